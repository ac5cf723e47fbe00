//! Which matrix product stands behind a linear layer: the contract's own, or a named alternative.
//!
//! The alternatives exist because frameworks add in other orders. A run of one of them differs from the
//! native one for a known reason, which is what the comparisons of the lab are tested against.

use std::fmt;

use crate::compute::Compute;
use crate::library::Library;
use crate::linear::{PackedWeights, RUN, linear_in_pairs_of_runs, linear_in_runs};

/// The order in which a linear layer adds its products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gemm {
    /// Runs of [`RUN`] products, added in order: [`crate::linear::linear`].
    #[default]
    Native,
    /// Runs of this many products, added in order, as a blocked GEMM with another block adds them.
    Chunk(usize),
    /// This many equal parts, each one chain, their sums added pairwise: a GEMM split over K.
    SplitK(usize),
    /// That of a library: its order may depend on the machine and the rows, and is its own affair.
    Library(Library),
}

/// As options have it: `split-k:4`.
impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gemm::Native => f.write_str("native"),
            Gemm::Chunk(run) => write!(f, "chunk:{run}"),
            Gemm::SplitK(parts) => write!(f, "split-k:{parts}"),
            Gemm::Library(library) => f.write_str(library.name()),
        }
    }
}

impl Gemm {
    /// `y = x · Wᵀ + bias` in this order; shapes as in [`linear_in_runs`]. The bias is added last.
    pub fn linear(
        self,
        compute: &Compute,
        x: &[f32],
        weights: &PackedWeights,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        match self {
            Gemm::Native => linear_in_runs(compute, x, weights, bias, RUN, y),
            Gemm::Chunk(run) => linear_in_runs(compute, x, weights, bias, run, y),
            Gemm::SplitK(parts) => split_k(compute, x, weights, bias, parts, y),
            Gemm::Library(library) => of_library(library, x, weights, bias, y),
        }
    }
}

/// The inputs are cut into `parts` parts of `⌈inputs / parts⌉` (the last ones shorter or empty); each is
/// one chain of fused multiply-adds. The sums are added pairwise: part `i` takes part `i + 1`, then
/// `i + 2`, and so on by doubling strides.
fn split_k(
    compute: &Compute,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    parts: usize,
    y: &mut [f32],
) {
    let size = weights.inputs().div_ceil(parts.max(1)).max(1);
    linear_in_pairs_of_runs(compute, x, weights, bias, size, y);
}

fn of_library(
    library: Library,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (k, n) = (weights.inputs(), weights.outputs());
    library.product([y.len() / n.max(1), n, k], x, &weights.unpack(), y);
    add_bias(y, bias);
}

fn add_bias(y: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        for row in y.chunks_exact_mut(bias.len().max(1)) {
            add_assign(row, bias);
        }
    }
}

/// `x[i] += y[i]`, each rounded once.
pub fn add_assign(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
