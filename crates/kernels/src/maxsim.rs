//! MaxSim: the score of a passage for a query.

use crate::compute::Compute;
use crate::linear::{PackedWeights, linear};
use crate::reduction::lane_reduce;

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
    let best = token_maxima(compute, query, passage, floor);
    lane_reduce(&best, |sum, x| sum + x)
}

/// `max_t ⟨Q_q, D_t⟩` for each query token `q`: what [`maxsim`] adds up.
pub fn token_maxima(
    compute: &Compute,
    query: &PackedWeights,
    passage: &[f32],
    floor: Floor,
) -> Vec<f32> {
    let count = query.outputs();
    let tokens = passage.len() / query.inputs().max(1);
    if tokens == 0 {
        return vec![0.0; count];
    }
    let mut products = vec![0.0; tokens * count];
    linear(compute, passage, query, None, &mut products);
    let start = match floor {
        Floor::None => f32::NEG_INFINITY,
        Floor::Zero => 0.0,
    };
    let mut best = vec![start; count];
    for products in products.chunks_exact(count.max(1)) {
        for (best, &product) in best.iter_mut().zip(products) {
            if product > *best {
                *best = product;
            }
        }
    }
    best
}
