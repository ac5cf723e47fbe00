//! What the score of a passage cannot exceed, as it is computed, roundings included.
//!
//! An embedding is `v / n`, `v = c + w` a centroid and the weights of the residual, `n` the norm of `v`. So for a query
//! token `q`
//!
//! ```text
//! ⟨q, v⟩ / n = (⟨q, c⟩ + ⟨q, w⟩) / n
//! ```
//!
//! where `⟨q, c⟩` is the centroid's score. Two bounds follow, a rough one for all embeddings of a centroid together and a
//! fine one for each.
//!
//! **By angles.** With `p = ⟨q, c⟩ / ‖c‖` and `a` the cosine between `v` and `c`, `⟨q, v⟩ / n` is at most
//! `a p + √(1 − a²) √(‖q‖² − p²)` (Cauchy and Schwarz orthogonally to `c`), which falls with `a` from `a = p / ‖q‖` on,
//! where it is `‖q‖`. For `a` the least cosine of the centroid's embeddings is taken, which their norms give.
//!
//! **By whole numbers.** Let `w = δ l + ε` and `q = s k + η` with whole numbers `l` and `k` of 8 bits. Then
//! `|⟨q, w⟩ − δ s ⟨l, k⟩| ≤ ‖ε‖ ‖q‖ + (‖w‖ + ‖ε‖) ‖η‖`, and `⟨l, k⟩` is computed exactly.
//!
//! **Roundings.** With `u = 2⁻²⁴` a chain of `d` fused products errs by at most `d u ‖x‖ ‖y‖ / (1 − d u)`, however it is cut
//! into runs. A norm errs by `(d / 16 + 6) u` of itself, a value of an embedding by `2 u`, and a sum over `t` tokens by
//! `t u` of the sum of its terms' magnitudes. A bound allows for `4 (d + 64) u` times the norms of what it adds before it
//! is divided, and for `4 (d + t + 64) u ‖q‖` of each token after that: more than all of them together.

use concord_kernels::approximate::{Bounded, packed_in_rows, upper_bounds};
use concord_kernels::int8::{Int8Rows, Int8Weights, linear_int8};
use concord_kernels::maxsim::Floor;

use super::norms::Norms;
use crate::search::scoring::Scorer;
use crate::search::spread::{Pool, each};

/// Four times the unit of rounding.
const ROUNDING: f64 = 4.0 / (1 << 24) as f64;

/// Norms of query tokens beyond this are not bounded.
const HUGE: f64 = 1e15;

/// Query tokens whose largest value is below this are not told from zero.
const TINY: f32 = 1e-30;

/// Centroids, and passages, that one thread bounds.
const CENTROIDS_PER_PART: usize = 512;
const PASSAGES_PER_PART: usize = 16;

/// Between what and what a passage's score lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) pid: u32,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

/// A query, ready to bound scores.
pub(super) struct Bounds<'a> {
    scorer: &'a Scorer,
    norms: &'a Norms,
    floor: Floor,
    tokens: usize,
    /// The query in whole numbers.
    levels: Int8Weights,
    /// The norm of each token: `(tokens,)`.
    lengths: Vec<f64>,
    /// What is added for each token before the division: `(row,)`.
    slack: Vec<f32>,
    /// What is added to the sum.
    pub(super) margin: f64,
    buffers: Pool<Buffers>,
}

#[derive(Default)]
struct Buffers {
    rows: Option<Int8Rows>,
    products: Vec<f32>,
    best: Vec<f32>,
}

impl<'a> Bounds<'a> {
    /// Nothing where the numbers of the index or the query are so large that no bound holds.
    pub(super) fn of(
        scorer: &'a Scorer,
        norms: &'a Norms,
        query: &[f32],
        floor: Floor,
    ) -> Option<Bounds<'a>> {
        let dim = scorer.index.dim;
        let packed = packed_in_rows(query, dim);
        let (row, tokens) = (packed.outputs(), query.len() / dim);
        let levels = Int8Weights::quantise(&packed.unpack(), row, dim);
        let lengths: Vec<f64> = (query.chunks_exact(dim))
            .map(|token| token.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>())
            .map(f64::sqrt)
            .collect();
        // A NaN is not below either.
        if !norms.are_bounded() || !lengths.iter().all(|&length| length < HUGE) {
            return None;
        }
        let (missed, residual) = (norms.levels.largest_error, norms.largest_residual);
        let slack = query.chunks_exact(dim).zip(&lengths).enumerate();
        let slack = slack.map(|(token, (values, &length))| {
            let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            // Half a step in each dimension, and what the step itself is off.
            let by_levels = match largest < TINY {
                true => length,
                false => 0.5001 * f64::from(levels.step(token)) * (dim as f64).sqrt(),
            };
            let magnitude = (norms.largest_centroid + residual + missed) * length;
            let slack = missed * length
                + (residual + missed) * by_levels
                + ROUNDING * (dim + 64) as f64 * magnitude;
            (slack * 1.000_01) as f32
        });
        let mut slack: Vec<f32> = slack.collect();
        slack.resize(row, 0.0);
        let allowed = ROUNDING * (dim + tokens + 64) as f64;
        Some(Bounds {
            scorer,
            norms,
            floor,
            tokens,
            levels,
            slack,
            margin: allowed * lengths.iter().sum::<f64>(),
            lengths,
            buffers: Pool::default(),
        })
    }

    /// For each centroid and token what no embedding of the centroid exceeds, by angles: `(C, row)` for `scores` of that
    /// shape, not below the floor.
    pub(super) fn by_angles(&self, scores: &[f32], out: &mut Vec<f32>) {
        let row = self.slack.len();
        out.resize(scores.len(), 0.0);
        let dim = self.scorer.index.dim;
        let least = match self.floor {
            Floor::None => f32::NEG_INFINITY,
            Floor::Zero => 0.0,
        };
        let lengths: Vec<f32> = self.lengths.iter().map(|&length| length as f32).collect();
        let rounding = (ROUNDING * (dim + 64) as f64) as f32;
        let parts = (out.chunks_mut(CENTROIDS_PER_PART * row))
            .zip(scores.chunks(CENTROIDS_PER_PART * row))
            .enumerate();
        each(parts, |(part, (out, scores))| {
            let rows = out.chunks_exact_mut(row).zip(scores.chunks_exact(row));
            for (at, (out, scores)) in rows.enumerate() {
                let centroid = part * CENTROIDS_PER_PART + at;
                let cosine = self.norms.cosines[centroid];
                let sine = (1.0 - cosine * cosine).max(0.0).sqrt() + 1e-3;
                let reciprocal = 1.0 / self.norms.centroids[centroid].max(f32::MIN_POSITIVE);
                for ((out, &score), &length) in out.iter_mut().zip(scores).zip(&lengths) {
                    let (p, error) = (score * reciprocal, rounding * length);
                    let beside = length * length - p * p + error * (2.0 * length + error);
                    let along = cosine * p + error;
                    let bound = along + sine * beside.max(0.0).sqrt();
                    let all = cosine * length <= p + error || cosine <= -1.0;
                    let bound = if all { length } else { bound };
                    *out = (bound + 1e-5 * length).max(least);
                }
            }
        });
    }

    /// The bounds of passages by whole numbers, for the `scores` of all centroids.
    pub(super) fn by_levels(&self, scores: &[f32], pids: &[u32]) -> Vec<Bound> {
        let unbounded = |&pid: &u32| Bound {
            pid,
            lower: 0.0,
            upper: 0.0,
        };
        let mut bounds: Vec<Bound> = pids.iter().map(unbounded).collect();
        each(bounds.chunks_mut(PASSAGES_PER_PART), |bounds| {
            self.buffers.with(|buffers| {
                for bound in bounds {
                    self.bound(scores, bound, buffers);
                }
            });
        });
        bounds
    }

    fn bound(&self, scores: &[f32], bound: &mut Bound, buffers: &mut Buffers) {
        let (scorer, row) = (self.scorer, self.slack.len());
        let tokens = scorer.index.places(bound.pid);
        if tokens.is_empty() || row == 0 {
            // A passage without embeddings scores zero.
            return;
        }
        let coded = scorer.coded(bound.pid);
        let rows = &mut buffers.rows;
        let rows = rows.get_or_insert_with(|| Int8Rows::of_levels(scorer.index.dim));
        let levels = &self.norms.levels;
        levels.unpack(coded.residuals, rows.refill(tokens.len()));
        buffers.products.resize(tokens.len() * row, 0.0);
        let products = &mut buffers.products;
        linear_int8(&scorer.compute, rows, &self.levels, None, products);
        let start = match self.floor {
            Floor::None => f32::NEG_INFINITY,
            Floor::Zero => 0.0,
        };
        buffers.best.clear();
        buffers.best.resize(row, start);
        let reciprocals = &self.norms.reciprocals[tokens];
        let bounded = Bounded {
            scores,
            codes: coded.codes,
            residuals: products,
            unit: levels.unit,
            slack: &self.slack,
            reciprocals,
        };
        upper_bounds(&scorer.compute, bounded, &mut buffers.best);
        let best = &buffers.best[..self.tokens];
        let upper: f64 = best.iter().map(|&best| f64::from(best)).sum();
        let slack: f64 = self.slack.iter().map(|&slack| f64::from(slack)).sum();
        let longest = reciprocals.iter().copied().fold(0.0, f32::max);
        bound.upper = upper + self.margin;
        bound.lower = upper - 2.0 * (slack * 1.000_01 * f64::from(longest) + self.margin);
    }
}
