//! The best of all passages, found by bounds.
//!
//! 1. Every passage is bounded by the angles between its centroids and the query ([`Bounds::by_angles`]).
//! 2. The passages with the largest bounds are bounded by whole numbers ([`Bounds::by_levels`]), from below as well: the
//!    `k`-th largest of the lower bounds is what a passage has to reach.
//! 3. So are all others whose bound by angles reaches it.
//! 4. Those whose upper bound reaches it are scored, the largest bound first, until no bound reaches the `k`-th best score.
//!
//! A passage is left out only if its bound is below the score of `k` others, so what comes out is what scoring every
//! passage would give, ties included.

mod bounds;
mod norms;

use std::cmp::Ordering;

use concord_kernels::approximate::{Approximated, Scratch as Approximating, approximate_scores};
use concord_kernels::linear::PackedWeights;

use super::hit::Hit;
use super::plan::Request;
use super::scoring::Scorer;
use super::spread::{Pool, each};
use super::stages::Scratch;
use bounds::{Bound, Bounds};
pub(super) use norms::Norms;

/// Passages that are bounded by whole numbers first, at least.
const FIRST: usize = 64;

/// Passages that are scored before bounds are compared again, at least.
const AT_ONCE: usize = 16;

/// Passages that one thread bounds by angles.
const PASSAGES_PER_PART: usize = 256;

/// The scores of the passages that had to be scored, best first, and how many were searched.
pub(super) fn hits(
    scorer: &Scorer,
    norms: &Norms,
    query: &[f32],
    request: &Request<'_>,
    scratch: &mut Scratch,
) -> (Vec<Hit>, usize) {
    let among = |pid: &u32| request.among.is_none_or(|among| among.contains(*pid));
    // A passage that was deleted has no embeddings, and its score would be 0.
    let there = |pid: &u32| !scorer.coded(*pid).codes.is_empty();
    let pids = (0..scorer.index.passages() as u32).filter(among);
    let pids: Vec<u32> = pids.filter(there).collect();
    let (k, searched) = (request.k, pids.len());
    let floor = request.options.floor;
    let dim = scorer.index.dim;
    let packed = PackedWeights::pack(query, query.len() / dim, dim);
    if k == 0 {
        return (Vec::new(), searched);
    }
    let bounds = match k < searched {
        true => Bounds::of(scorer, norms, query, floor),
        false => None,
    };
    let Some(bounds) = bounds else {
        let mut hits = scorer.score(&packed, &pids, floor);
        hits.sort_by(Hit::order);
        return (hits, searched);
    };
    scratch.survey(scorer, query, f32::INFINITY);
    let mut left = bounded(scorer, &bounds, pids, k, query.len() / dim, &scratch.scores);
    left.sort_by(|a, b| b.upper.total_cmp(&a.upper));

    let mut hits: Vec<Hit> = Vec::new();
    let mut rest = &left[..];
    while !rest.is_empty() {
        let reached = match hits.get(k - 1) {
            Some(hit) => f64::from(hit.score),
            None => f64::NEG_INFINITY,
        };
        let next: Vec<u32> = (rest.iter().take(AT_ONCE.max(k.saturating_sub(hits.len()))))
            .take_while(|bound| reaches(bound.upper, reached))
            .map(|bound| bound.pid)
            .collect();
        if next.is_empty() {
            break;
        }
        rest = &rest[next.len()..];
        hits.extend(scorer.score(&packed, &next, floor));
        hits.sort_by(Hit::order);
    }
    (hits, searched)
}

/// Whether something with this bound may have a score of at least `score`.
fn reaches(bound: f64, score: f64) -> bool {
    // Not `>=`: a bound that is no number rules nothing out.
    bound.partial_cmp(&score) != Some(Ordering::Less)
}

/// The passages that may be among the best `k`, fewer than `pids`, with their bounds.
fn bounded(
    scorer: &Scorer,
    bounds: &Bounds<'_>,
    pids: Vec<u32>,
    k: usize,
    tokens: usize,
    scores: &[f32],
) -> Vec<Bound> {
    let mut angles = Vec::new();
    bounds.by_angles(scores, &mut angles);
    let mut rough: Vec<(f32, u32)> = pids.into_iter().map(|pid| (0.0, pid)).collect();
    let by = Approximated {
        scores: &angles,
        tokens,
        near: None,
    };
    let scratch = Pool::<Approximating>::default();
    each(rough.chunks_mut(PASSAGES_PER_PART), |rough| {
        scratch.with(|scratch| {
            let codes = rough.iter().map(|&(_, pid)| scorer.index.codes(pid));
            let passages: Vec<&[i32]> = codes.collect();
            let mut bounded = rough.iter_mut().zip(&passages);
            approximate_scores(
                &scorer.compute,
                by,
                passages.iter().copied(),
                scratch,
                |bound| {
                    if let Some(((rough, _), codes)) = bounded.next() {
                        *rough = if codes.is_empty() { 0.0 } else { bound };
                    }
                },
            );
        });
    });
    let first = k.saturating_mul(2).max(FIRST);
    let (first, rest) = match first < rough.len() {
        true => {
            rough.select_nth_unstable_by(first, |a, b| b.0.total_cmp(&a.0));
            rough.split_at(first)
        }
        false => (&rough[..], &rough[..0]),
    };
    let pids = |of: &[(f32, u32)]| of.iter().map(|&(_, pid)| pid).collect::<Vec<_>>();
    let mut fine = bounds.by_levels(scores, &pids(first));
    let least = kth_lower(&fine, k);
    let rest: Vec<_> = (rest.iter().copied())
        .filter(|&(rough, _)| reaches(f64::from(rough) + bounds.margin, least))
        .collect();
    fine.extend(bounds.by_levels(scores, &pids(&rest)));
    let least = kth_lower(&fine, k);
    fine.retain(|bound| reaches(bound.upper, least));
    fine
}

/// The `k`-th largest lower bound, which that many passages reach.
fn kth_lower(bounds: &[Bound], k: usize) -> f64 {
    let lower = bounds.iter().map(|bound| bound.lower);
    // What is no number says nothing.
    let mut lower: Vec<f64> = lower.filter(|lower| !lower.is_nan()).collect();
    match k <= lower.len() {
        true => *lower.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1,
        false => f64::NEG_INFINITY,
    }
}
