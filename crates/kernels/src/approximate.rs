//! Scores of passages from those of their centroids: what search chooses candidates by.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::linear::{PackedWeights, linear};
use crate::machine::Machine;
use crate::reduction::LANES;

/// Centroids that are surveyed together: as many as a word has bits.
pub const BLOCK: usize = 64;

/// The score that a query token has for a passage none of whose centroids count.
pub const NOTHING: f32 = -9999.0;

/// Passages whose sums are added side by side.
const SIDE_BY_SIDE: usize = 8;

/// The width of a row of scores: the query's tokens and zeros up to whole lanes.
pub fn row_of(tokens: usize) -> usize {
    tokens.next_multiple_of(LANES)
}

/// A query `(tokens, width)` packed so that its products have rows of [`row_of`] scores.
pub fn packed_in_rows(query: &[f32], width: usize) -> PackedWeights {
    let tokens = query.len() / width.max(1);
    let mut padded = query[..tokens * width].to_vec();
    padded.resize(row_of(tokens) * width, 0.0);
    PackedWeights::pack(&padded, row_of(tokens), width)
}

/// What is found of the scores of one block of centroids.
pub struct Survey<'a> {
    /// `(centroids, row)`: their products with the query's tokens.
    pub scores: &'a mut [f32],
    /// For each token the largest score of the block: `(row,)`. No score is a NaN that is larger.
    pub largest: &'a mut [f32],
    /// A bit for each centroid that comes near enough to a token.
    pub near: &'a mut u64,
}

/// Scores up to [`BLOCK`] centroids `(centroids, width)` against a query from [`packed_in_rows`] of so many `tokens`.
/// A centroid is near if a score is at least `threshold`.
///
/// # Order of operations
/// The products are those of [`linear`]; the rest compares.
///
/// # Panics
/// When a length does not match its shape.
pub fn survey(
    compute: &Compute,
    centroids: &[f32],
    query: &PackedWeights,
    tokens: usize,
    threshold: f32,
    found: Survey<'_>,
) {
    let Survey {
        scores,
        largest,
        near,
    } = found;
    let row = query.outputs();
    assert!(
        tokens <= row && row.is_multiple_of(LANES),
        "rows of whole lanes"
    );
    assert_eq!(largest.len(), row, "a largest score for each token");
    largest.fill(f32::NEG_INFINITY);
    *near = 0;
    if row == 0 {
        return;
    }
    assert!(scores.len() <= BLOCK * row, "a bit for each centroid");
    linear(compute, centroids, query, None, scores);
    let scores = &*scores;
    on_isa!(compute.isa(), survey_body(scores: &[f32], tokens: usize, threshold: f32, largest: &mut [f32], near: &mut u64));
}

#[inline(always)]
fn survey_body<M: Machine>(
    _: M,
    scores: &[f32],
    tokens: usize,
    threshold: f32,
    largest: &mut [f32],
    near: &mut u64,
) {
    let row = largest.len();
    let (groups, _) = largest.as_chunks_mut::<LANES>();
    for (group, largest) in groups.iter_mut().enumerate() {
        // The zeros behind the last token are near nothing.
        let mut thresholds = [f32::NAN; LANES];
        for l in 0..LANES.min(tokens - (group * LANES).min(tokens)) {
            thresholds[l] = threshold;
        }
        for (centroid, scores) in scores.chunks_exact(row).enumerate() {
            let Some(scores) = scores[group * LANES..].first_chunk::<LANES>() else {
                continue;
            };
            let mut reached = 0u32;
            for l in 0..LANES {
                largest[l] = if scores[l] > largest[l] {
                    scores[l]
                } else {
                    largest[l]
                };
                reached |= u32::from(scores[l] >= thresholds[l]);
            }
            *near |= u64::from(reached) << centroid;
        }
    }
}

/// The passages that are scored, and what they are scored by.
#[derive(Clone, Copy)]
pub struct Approximated<'a> {
    /// `(C, row)`, as [`survey`] writes them.
    pub scores: &'a [f32],
    /// Tokens of the query, which are the first of a row.
    pub tokens: usize,
    /// A bit for each centroid that counts; all do if there are none.
    pub near: Option<&'a [u64]>,
}

/// What is reused from call to call.
#[derive(Default)]
pub struct Scratch {
    best: Vec<f32>,
    near: Vec<i32>,
}

/// `Σ_q max_c S[c][q]` over the centroids of each passage, the codes of its embeddings, those that are near.
///
/// # Order of operations
/// A maximum starts at [`NOTHING`] and takes what is larger. The sum begins with −0 and takes the query's tokens in their
/// order.
///
/// # Panics
/// When a code has no scores.
pub fn approximate_scores<'a>(
    compute: &Compute,
    by: Approximated<'_>,
    passages: impl Iterator<Item = &'a [i32]>,
    scratch: &mut Scratch,
    mut scored: impl FnMut(f32),
) {
    let row = row_of(by.tokens);
    scratch.best.resize(SIDE_BY_SIDE * row, 0.0);
    let mut waiting = 0;
    for passage in passages {
        let codes = near_codes(&by, passage, &mut scratch.near);
        let best = &mut scratch.best[waiting * row..][..row];
        let scores = by.scores;
        on_isa!(compute.isa(), maxima_body(codes: &[i32], scores: &[f32], best: &mut [f32]));
        waiting += 1;
        if waiting == SIDE_BY_SIDE {
            sums(&scratch.best, row, by.tokens)
                .into_iter()
                .for_each(&mut scored);
            waiting = 0;
        }
    }
    for sum in &sums(&scratch.best, row, by.tokens)[..waiting] {
        scored(*sum);
    }
}

/// The codes that count, without a branch that nobody can foresee.
fn near_codes<'a>(by: &Approximated<'_>, codes: &'a [i32], kept: &'a mut Vec<i32>) -> &'a [i32] {
    let Some(near) = by.near else {
        return codes;
    };
    if kept.len() < codes.len() {
        kept.resize(codes.len(), 0);
    }
    let mut count = 0;
    for &code in codes {
        kept[count] = code;
        count += (near[code as usize / BLOCK] >> (code as usize % BLOCK) & 1) as usize;
    }
    &kept[..count]
}

#[inline(always)]
fn maxima_body<M: Machine>(_: M, codes: &[i32], scores: &[f32], best: &mut [f32]) {
    let row = best.len();
    // The lanes of two groups stay in registers while the codes go by.
    let mut group = 0;
    while row - group >= 2 * LANES {
        maxima_of::<{ 2 * LANES }>(codes, scores, row, group, best);
        group += 2 * LANES;
    }
    if group < row {
        maxima_of::<LANES>(codes, scores, row, group, best);
    }
}

#[inline(always)]
fn maxima_of<const WIDTH: usize>(
    codes: &[i32],
    scores: &[f32],
    row: usize,
    first: usize,
    best: &mut [f32],
) {
    let mut largest = [NOTHING; WIDTH];
    for &code in codes {
        let scores = &scores[code as usize * row + first..][..WIDTH];
        for l in 0..WIDTH {
            largest[l] = if scores[l] > largest[l] {
                scores[l]
            } else {
                largest[l]
            };
        }
    }
    best[first..first + WIDTH].copy_from_slice(&largest);
}

/// The sums of the first `tokens` of each row, several at once: each waits for its own last addition.
fn sums(best: &[f32], row: usize, tokens: usize) -> [f32; SIDE_BY_SIDE] {
    let mut sums = [-0.0; SIDE_BY_SIDE];
    for token in 0..tokens {
        for (passage, sum) in sums.iter_mut().enumerate() {
            *sum += best[passage * row + token];
        }
    }
    sums
}
