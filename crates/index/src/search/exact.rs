//! The best of all passages, found by bounds.
//!
//! 1. Every passage is bounded by whole numbers ([`Bounds::raise`]).
//! 2. The passages are scored, the largest bound first, until no bound reaches the `k`-th best score.
//!
//! A passage is left out only if its bound is below the score of `k` others, so what comes out is what scoring every
//! passage would give, ties included.

mod bounds;
mod norms;

use std::cmp::Ordering;

use concord_kernels::linear::PackedWeights;

use super::hit::Hit;
use super::plan::Request;
use super::scoring::Scorer;
pub(super) use bounds::Buffers;
use bounds::{Bound, Bounds};
pub(super) use norms::Norms;

/// Passages that are scored before bounds are compared again, at least.
const AT_ONCE: usize = 16;

/// The scores of the passages that had to be scored, best first, and how many were searched.
pub(super) fn hits(
    scorer: &Scorer,
    norms: &Norms,
    query: &[f32],
    request: &Request<'_>,
    buffers: &mut Buffers,
) -> (Vec<Hit>, usize) {
    let among = |pid: &u32| request.among.is_none_or(|among| among.contains(*pid));
    // A passage that was deleted has no embeddings, and its score would be 0.
    let there = |pid: &u32| !scorer.index.places(*pid).is_empty();
    let pids = (0..scorer.index.passages() as u32).filter(among);
    let unbounded = pids.filter(there).map(|pid| Bound { pid, upper: 0.0 });
    let mut left: Vec<Bound> = unbounded.collect();
    let (k, searched) = (request.k, left.len());
    let floor = request.options.floor;
    let dim = scorer.index.dim;
    if k == 0 {
        return (Vec::new(), searched);
    }
    let packed = PackedWeights::pack(query, query.len() / dim, dim);
    let bounds = match k < searched {
        true => Bounds::of(scorer, norms, query, floor),
        false => None,
    };
    let Some(bounds) = bounds else {
        let pids: Vec<u32> = left.iter().map(|bound| bound.pid).collect();
        let mut hits = scorer.score(&packed, &pids, floor);
        hits.sort_by(Hit::order);
        return (hits, searched);
    };
    bounds.raise(&mut left, buffers);

    let score = |bounds: &[Bound], hits: &mut Vec<Hit>| {
        let pids: Vec<u32> = bounds.iter().map(|bound| bound.pid).collect();
        hits.extend(scorer.score(&packed, &pids, floor));
        hits.sort_by(Hit::order);
    };
    let mut hits = Vec::new();
    let first = k.max(AT_ONCE);
    if first < left.len() {
        left.select_nth_unstable_by(first, larger_first);
    }
    let mut rest = left.split_off(first.min(left.len()));
    score(&left, &mut hits);
    rest.retain(|bound| reaches(bound.upper, hits[k - 1].score));
    rest.sort_unstable_by(larger_first);
    let mut rest = &rest[..];
    while !rest.is_empty() {
        let reached = hits[k - 1].score;
        let most = AT_ONCE.max(hits.len() / 8).min(rest.len());
        let reaching = rest[..most].partition_point(|bound| reaches(bound.upper, reached));
        if reaching == 0 {
            break;
        }
        score(&rest[..reaching], &mut hits);
        rest = &rest[reaching..];
    }
    (hits, searched)
}

/// The order of bounds, the largest first, but for those that are no numbers, which come before.
fn larger_first(a: &Bound, b: &Bound) -> Ordering {
    let nan = b.upper.is_nan().cmp(&a.upper.is_nan());
    nan.then(b.upper.total_cmp(&a.upper))
}

/// Whether something with this bound may have a score of at least `score`.
fn reaches(bound: f32, score: f32) -> bool {
    // Not `>=`: a bound that is no number rules nothing out.
    bound.partial_cmp(&score) != Some(Ordering::Less)
}
