//! L2 normalisation of embeddings over their last axis.

use std::fmt;

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::machine::Machine;
use crate::reduction::lane_reduce;

/// The norm below which a row counts as zero and is divided by this instead: PyTorch's
/// `F.normalize(eps=1e-12)`.
const MIN_NORM: f32 = 1e-12;

/// How a row is brought to unit length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalize {
    /// Divide by the norm, `x / max(√Σx², 1e-12)`.
    #[default]
    Divide,
    /// Multiply by the norm's reciprocal, `x · (1 / max(√Σx², 1e-12))`: one more rounding.
    Rsqrt,
}

/// As options have it: `rsqrt`.
impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Normalize::Divide => "divide",
            Normalize::Rsqrt => "rsqrt",
        })
    }
}

/// Brings every row of `x` `(rows, width)` to unit length in place.
///
/// # Order of operations
/// `Σ x_i²` is [`lane_reduce`]: lane `i mod 16`, ascending, squares fused into the lane, then the fixed
/// tree. The square root, the maximum and the division (or reciprocal and product) round once each.
///
/// # Panics
/// When `x` is not a whole number of rows.
pub fn normalize(compute: &Compute, form: Normalize, x: &mut [f32], width: usize) {
    assert_eq!(x.len() % width.max(1), 0, "x is (rows, width)");
    match form {
        Normalize::Divide => on_isa!(compute.isa(), divide(x: &mut [f32], width: usize)),
        Normalize::Rsqrt => on_isa!(compute.isa(), rsqrt(x: &mut [f32], width: usize)),
    }
}

#[inline(always)]
fn norm<M: Machine>(machine: M, row: &[f32]) -> f32 {
    at_least_min(lane_reduce(row, |sum, x| machine.fma(x, x, sum)))
}

/// What a row is divided by whose squares add up to `squares`.
#[inline(always)]
pub(crate) fn at_least_min(squares: f32) -> f32 {
    let norm = squares.sqrt();
    if norm < MIN_NORM { MIN_NORM } else { norm }
}

#[inline(always)]
fn divide<M: Machine>(machine: M, x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width.max(1)) {
        let norm = norm(machine, row);
        for value in row {
            *value /= norm;
        }
    }
}

#[inline(always)]
fn rsqrt<M: Machine>(machine: M, x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width.max(1)) {
        let scale = 1.0 / norm(machine, row);
        for value in row {
            *value *= scale;
        }
    }
}
