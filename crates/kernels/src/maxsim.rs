//! MaxSim: the score of a passage for a query.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::linear::{PackedWeights, linear};
use crate::machine::Machine;
use crate::reduction::{LANES, lane_reduce};

/// Where the maximum over a passage's tokens starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floor {
    /// At the passage's own tokens: the definition.
    #[default]
    None,
    /// At zero, so that a query token to which every passage token is opposed adds nothing: what the
    /// reference's CPU kernel does.
    Zero,
}

/// `Σ_q max_t ⟨Q_q, D_t⟩` for a passage `(tokens, width)` and a packed query `(query tokens, width)`.
/// A passage without tokens scores zero.
///
/// # Order of operations
/// The products are those of [`linear`]; the sum over query tokens is [`lane_reduce`] in their order.
pub fn maxsim(compute: &Compute, query: &PackedWeights, passage: &[f32], floor: Floor) -> f32 {
    let mut maxima = Maxima::default();
    maxima.restart(query, floor);
    maxima.take(compute, query, passage);
    maxima.score()
}

/// The maxima of one passage, token after token or several at once. It is used for one passage after another, which
/// reuse its memory.
#[derive(Default)]
pub struct Maxima {
    /// `max_t ⟨Q_q, D_t⟩` for each query token, of the tokens so far.
    best: Vec<f32>,
    products: Vec<f32>,
    tokens: usize,
}

impl Maxima {
    /// Begins a passage.
    pub fn restart(&mut self, query: &PackedWeights, floor: Floor) {
        let start = match floor {
            Floor::None => f32::NEG_INFINITY,
            Floor::Zero => 0.0,
        };
        self.best.clear();
        self.best.resize(query.outputs(), start);
        self.tokens = 0;
    }

    /// Takes the next tokens `(tokens, width)` of the passage. `query` is the one of [`Maxima::restart`].
    ///
    /// # Panics
    /// When `passage` is no whole number of tokens.
    pub fn take(&mut self, compute: &Compute, query: &PackedWeights, passage: &[f32]) {
        let tokens = passage.len() / query.inputs().max(1);
        self.tokens += tokens;
        if self.best.is_empty() {
            return;
        }
        let needed = tokens * self.best.len();
        if self.products.len() < needed {
            self.products.resize(needed, 0.0);
        }
        let products = &mut self.products[..needed];
        linear(compute, passage, query, None, products);
        let (best, products) = (&mut self.best[..], &products[..]);
        on_isa!(compute.isa(), larger_of_each(best: &mut [f32], products: &[f32]));
    }

    /// The sum of the maxima over the query's tokens: what [`maxsim`] gives.
    pub fn score(&mut self) -> f32 {
        if self.tokens == 0 {
            self.best.fill(0.0);
        }
        lane_reduce(&self.best, |sum, x| sum + x)
    }
}

/// Raises each of `best` to the largest in its column of `products`. A NaN is not larger.
#[inline(always)]
fn larger_of_each<M: Machine>(_: M, best: &mut [f32], products: &[f32]) {
    let count = best.len();
    let (whole, rest) = best.as_chunks_mut::<LANES>();
    let first_of_rest = whole.len() * LANES;
    for (group, best) in whole.iter_mut().enumerate() {
        let mut largest = *best;
        for row in products.chunks_exact(count) {
            let Some(row) = row[group * LANES..].first_chunk::<LANES>() else {
                continue;
            };
            for l in 0..LANES {
                largest[l] = if row[l] > largest[l] {
                    row[l]
                } else {
                    largest[l]
                };
            }
        }
        *best = largest;
    }
    if !rest.is_empty() {
        for row in products.chunks_exact(count) {
            for (best, &product) in rest.iter_mut().zip(&row[first_of_rest..]) {
                if product > *best {
                    *best = product;
                }
            }
        }
    }
}
