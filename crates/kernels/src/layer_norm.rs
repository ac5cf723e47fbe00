//! Layer normalisation over the last axis.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::machine::Machine;
use crate::reduction::lane_reduce;

/// How the variance of a row is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// The mean first, then the mean of the squared differences from it.
    #[default]
    TwoPass,
    /// The mean of the squares less the square of the mean, from one pass over the row.
    OnePass,
}

/// Normalises every row of `x` `(rows, width)` in place; `gamma` and `beta` are `(width,)`.
///
/// # Order of operations
/// `mean = Σ x_i / width` and, for [`Variance::TwoPass`], `variance = Σ (x_i − mean)² / width`; for
/// [`Variance::OnePass`], `variance = Σ x_i² / width − mean²`, not below zero. Both sums are
/// [`lane_reduce`]: lane `i mod 16`, ascending, squares fused into the lane, then the fixed tree. Then
/// `scale = 1 / √(variance + eps)` and `y_i = fma((x_i − mean) · scale, gamma_i, beta_i)`. Everything is
/// `f32`, each operation rounded to nearest even.
///
/// # Panics
/// When `gamma` and `beta` differ in length or `x` is not a whole number of rows.
pub fn layer_norm(
    compute: &Compute,
    variance: Variance,
    x: &mut [f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) {
    add_layer_norm(compute, variance, x, &[], gamma, beta, eps);
}

/// The same of the sums `x + residual`, in the place of `x`; each sum rounds once. No residual is an empty
/// one.
///
/// # Panics
/// As [`layer_norm`], and when `residual` is not empty and not as long as `x`.
pub fn add_layer_norm(
    compute: &Compute,
    variance: Variance,
    x: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) {
    assert_eq!(gamma.len(), beta.len(), "gamma and beta are (width,)");
    assert_eq!(x.len() % gamma.len().max(1), 0, "x is (rows, width)");
    assert!(
        residual.is_empty() || residual.len() == x.len(),
        "a residual is as long as what it is added to"
    );
    on_isa!(compute.isa(), body(variance: Variance, x: &mut [f32], residual: &[f32], gamma: &[f32], beta: &[f32], eps: f32));
}

#[inline(always)]
fn body<M: Machine>(
    variance: Variance,
    x: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) {
    let width = gamma.len();
    let mut residual = residual.chunks_exact(width.max(1));
    for row in x.chunks_exact_mut(width.max(1)) {
        if let Some(residual) = residual.next() {
            for (value, &residual) in row.iter_mut().zip(residual) {
                *value += residual;
            }
        }
        let mean = lane_reduce(row, |sum, x| sum + x) / width as f32;
        let variance = match variance {
            Variance::TwoPass => {
                let squares = lane_reduce(row, |sum, x| {
                    let difference = x - mean;
                    M::fma(difference, difference, sum)
                });
                squares / width as f32
            }
            Variance::OnePass => {
                let squares = lane_reduce(row, |sum, x| M::fma(x, x, sum));
                let variance = squares / width as f32 - mean * mean;
                if variance > 0.0 { variance } else { 0.0 }
            }
        };
        let scale = 1.0 / (variance + eps).sqrt();
        for ((value, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
            *value = M::fma((*value - mean) * scale, gamma, beta);
        }
    }
}
