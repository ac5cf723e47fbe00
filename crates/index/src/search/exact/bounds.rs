//! What the score of a passage cannot exceed, as it is computed, roundings included.
//!
//! An embedding is `v / n`, `v = c + w` a centroid and the weights of the residual, `n` the norm of `v`. So for a query
//! token `q`
//!
//! ```text
//! ⟨q, v⟩ / n = (⟨q, c⟩ + ⟨q, w⟩) / n
//! ```
//!
//! **By whole numbers.** Let `w = δ l + ε`, `c = r m + φ` and `q = s k + η` with whole numbers `l`, `m` and `k` of 8 bits.
//! The products of whole numbers are computed exactly, and
//!
//! ```text
//! ⟨q, v⟩ − (δ s ⟨l, k⟩ + r s ⟨m, k⟩) = ⟨q, ε + φ⟩ + ⟨η, v⟩ − ⟨η, ε + φ⟩
//! ```
//!
//! of which `⟨η, v⟩` is at most `n ‖η‖`, so after the division `‖η‖`, and the rest at most `(‖q‖ + ‖η‖) (‖ε‖ + ‖φ‖)`. Products
//! with centroids are added in units of `δ s`, of which they have at most 2²⁴: they are off by two of them, for which
//! [`Ceilings`] allows.
//!
//! **Tokens that are not bounded so**, since their values are too small for a step, are bounded by their norms.
//!
//! **Roundings.** With `u = 2⁻²⁴` a chain of `d` fused products errs by at most `d u ‖x‖ ‖y‖ / (1 − d u)`, however it is cut
//! into runs. A norm errs by `(d / 16 + 6) u` of itself, a value of an embedding by `2 u`, and a sum over `t` tokens by
//! `t u` of the sum of its terms' magnitudes. A bound allows for `4 (d + t + 64) u` times the norms of what it adds before
//! it is divided, and for as much of `‖q‖` of each token after that: more than all of them together. What the bound's own
//! steps round, a sum of whole numbers to `f32`, the product with the reciprocal norm, that with what a unit is worth and
//! the sum over the tokens, is `(t + 8) u` of each term, which is at most twice as large as those norms, divided as they
//! are.

use std::cell::Cell;

use concord_kernels::approximate::row_of;
use concord_kernels::ceilings::{Ceilings, Embeddings, Scratch, Start, Token, ceilings};
use concord_kernels::int8::{Int8Weights, linear_int8};
use concord_kernels::maxsim::Floor;

use super::norms::{CENTROIDS_PER_PART, Norms};
use crate::search::scoring::Scorer;
use crate::search::spread::{Pool, each};

/// Four times the unit of rounding.
const ROUNDING: f64 = 4.0 / (1 << 24) as f64;

/// Norms of query tokens beyond this are not bounded.
const HUGE: f64 = 1e15;

/// Passages that one thread bounds.
const PASSAGES_PER_PART: usize = 256;

/// A passage's score is at most this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) pid: u32,
    pub(super) upper: f32,
}

/// A query, ready to bound scores.
pub(super) struct Bounds<'a> {
    scorer: &'a Scorer,
    norms: &'a Norms,
    floor: Floor,
    /// The query in whole numbers, as it is multiplied with centroids, and with residuals.
    query: Int8Weights,
    ceilings: Ceilings<'a>,
    /// What is added to the sum of the ceilings.
    margin: f64,
}

/// What is reused from query to query.
#[derive(Default)]
pub(crate) struct Buffers {
    /// `(C, row)`: about the products of centroids and query tokens.
    scores: Vec<f32>,
    starts: Vec<Start>,
    scratch: Pool<Scratch>,
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
        let tokens = query.len() / dim;
        let lengths: Vec<f64> = (query.chunks_exact(dim))
            .map(|token| token.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>())
            .map(|squares| squares.sqrt() * 1.000_01)
            .collect();
        // A NaN is not below either.
        if !norms.are_bounded() || !lengths.iter().all(|&length| length < HUGE) {
            return None;
        }
        let (missed, residual) = (norms.largest_error, norms.largest_residual);
        let mut padded = query[..tokens * dim].to_vec();
        padded.resize(row_of(tokens) * dim, 0.0);
        let rounding = ROUNDING * (dim + tokens + 64) as f64;
        let missed_of_all = Cell::new(0.0);
        let slack = |token: Token| {
            let error = norms.largest_missed + missed;
            let magnitude = (norms.largest_centroid + residual + error) * token.length;
            missed_of_all.set(missed_of_all.get() + token.missed);
            error * (token.length + token.missed) + rounding * magnitude
        };
        let ceilings = Ceilings::new(&scorer.compute, query, dim, &norms.levels, slack);
        let margins = lengths.iter().enumerate().map(|(token, length)| {
            let whole = if ceilings.counts(token) { 0.0 } else { 1.0 };
            (whole + rounding) * length
        });
        Some(Bounds {
            margin: margins.sum::<f64>() + missed_of_all.get() * 1.000_1,
            scorer,
            norms,
            floor,
            query: Int8Weights::quantise(&padded, row_of(tokens), dim),
            ceilings,
        })
    }

    /// Raises the bounds of the passages from zero. Each passage has embeddings.
    pub(super) fn raise(&self, bounds: &mut [Bound], buffers: &mut Buffers) {
        let (compute, groups) = (&self.scorer.compute, self.ceilings.groups());
        if groups == 0 {
            return;
        }
        let Buffers {
            scores,
            starts,
            scratch: pool,
        } = buffers;
        let (count, row) = (self.scorer.index.centroids(), self.query.outputs());
        scores.resize(count * row, 0.0);
        starts.resize(count * groups, Start::default());
        let parts = (self.norms.centroids.iter())
            .zip(scores.chunks_mut(CENTROIDS_PER_PART * row))
            .zip(starts.chunks_mut(CENTROIDS_PER_PART * groups));
        each(compute, parts, |((centroids, scores), starts)| {
            linear_int8(compute, centroids, &self.query, None, scores);
            self.ceilings.start(compute, scores, starts);
        });
        let (starts, pool) = (&starts[..], &*pool);
        each(compute, bounds.chunks_mut(PASSAGES_PER_PART), |bounds| {
            pool.with(|scratch| {
                let (pids, mut uppers) = bounds_of(bounds);
                let passages = pids.iter().map(|&pid| self.embeddings(pid));
                ceilings(
                    compute,
                    &self.ceilings,
                    starts,
                    self.floor,
                    passages,
                    scratch,
                    |ceiling| {
                        if let Some(upper) = uppers.next() {
                            // Upwards, whatever the sum is rounded to.
                            *upper = ((f64::from(ceiling) + self.margin) as f32).next_up();
                        }
                    },
                );
            });
        });
    }

    fn embeddings(&self, pid: u32) -> Embeddings<'_> {
        let (codes, residuals) = self.scorer.index.coded(pid);
        Embeddings {
            codes,
            residuals,
            reciprocals: &self.norms.reciprocals[self.scorer.index.places(pid)],
        }
    }
}

/// The passages of bounds, and where the bounds are.
fn bounds_of(bounds: &mut [Bound]) -> (Vec<u32>, impl Iterator<Item = &mut f32>) {
    let pids = bounds.iter().map(|bound| bound.pid).collect();
    (pids, bounds.iter_mut().map(|bound| &mut bound.upper))
}
