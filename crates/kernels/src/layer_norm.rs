//! Layer normalisation over the last axis.

use crate::isa::{Isa, on_isa};
use crate::lanes::{Fma, lane_reduce};

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
    isa: Isa,
    variance: Variance,
    x: &mut [f32],
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) {
    assert_eq!(gamma.len(), beta.len(), "gamma and beta are (width,)");
    assert_eq!(x.len() % gamma.len().max(1), 0, "x is (rows, width)");
    match variance {
        Variance::TwoPass => {
            on_isa!(isa, two_pass(x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32));
        }
        Variance::OnePass => {
            on_isa!(isa, one_pass(x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32));
        }
    }
}

#[inline(always)]
fn two_pass<A: Fma>(x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) {
    let width = gamma.len() as f32;
    for row in x.chunks_exact_mut(gamma.len().max(1)) {
        let mean = lane_reduce(row.len(), |sum, i| sum + row[i]) / width;
        let squares = lane_reduce(row.len(), |sum, i| {
            let difference = row[i] - mean;
            A::fma(difference, difference, sum)
        });
        scale_row::<A>(row, mean, squares / width, gamma, beta, eps);
    }
}

#[inline(always)]
fn one_pass<A: Fma>(x: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) {
    let width = gamma.len() as f32;
    for row in x.chunks_exact_mut(gamma.len().max(1)) {
        let mean = lane_reduce(row.len(), |sum, i| sum + row[i]) / width;
        let squares = lane_reduce(row.len(), |sum, i| A::fma(row[i], row[i], sum));
        let variance = squares / width - mean * mean;
        let variance = if variance > 0.0 { variance } else { 0.0 };
        scale_row::<A>(row, mean, variance, gamma, beta, eps);
    }
}

#[inline(always)]
fn scale_row<A: Fma>(
    row: &mut [f32],
    mean: f32,
    variance: f32,
    gamma: &[f32],
    beta: &[f32],
    eps: f32,
) {
    let scale = 1.0 / (variance + eps).sqrt();
    for ((value, &gamma), &beta) in row.iter_mut().zip(gamma).zip(beta) {
        *value = A::fma((*value - mean) * scale, gamma, beta);
    }
}
