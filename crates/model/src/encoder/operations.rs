//! What BERT is computed with, in one precision.

use bytemuck::NoUninit;
use concord_kernels::gelu::Gelu;
use concord_kernels::layer_norm::Variance;
use concord_kernels::normalize::Normalize;
use concord_tensor::Element;

use crate::numerics::Arithmetic;
use std::ops::{AddAssign, MulAssign};

/// A number that modules pass on. The weights are `f32`, and widening them is exact.
pub(crate) trait Number:
    Element + NoUninit + Default + From<f32> + PartialOrd + AddAssign + MulAssign
{
}

impl Number for f32 {}
impl Number for f64 {}

/// The operations of BERT, in one precision. How they are put together is written once, in
/// [`super::bert`] and what it uses, so that two precisions have the same modules and taps.
pub(crate) trait Operations: Sync {
    type Number: Number;
    /// The weights of a linear layer, laid out for [`Operations::linear`].
    type Weights: Send + Sync;

    /// Lays out weights `(outputs, inputs)`.
    fn weights(&self, values: &[f32], outputs: usize, inputs: usize) -> Self::Weights;

    /// `y = x · Wᵀ + bias` of each of several layers on the same `x` `(rows, inputs)`; each `y` is
    /// `(rows, outputs)`.
    fn linear(
        &self,
        layers: &[&LinearLayer<Self::Weights>],
        x: &[Self::Number],
        ys: &mut [&mut [Self::Number]],
    );

    /// Normalises every row of `x` `(rows, width)` in place.
    fn layer_norm(&self, norm: &NormLayer, variance: Variance, x: &mut [Self::Number]);

    /// Adds `residual` to `x` `(rows, width)` and normalises every row of the sum in place.
    fn add_layer_norm(
        &self,
        norm: &NormLayer,
        variance: Variance,
        x: &mut [Self::Number],
        residual: &[Self::Number],
    ) {
        add(x, residual);
        self.layer_norm(norm, variance, x);
    }

    /// GELU of every element in place.
    fn gelu(&self, form: Gelu, x: &mut [Self::Number]);

    /// The self-attention of each sequence over its own tokens; `context` is `(tokens, width)`.
    fn attention(&self, heads: &Heads<'_, Self::Number>, context: &mut [Self::Number]);

    /// Brings every row of `x` `(rows, width)` to unit length in place.
    fn normalize(&self, form: Normalize, x: &mut [Self::Number], width: usize);
}

/// The parameters of a linear layer.
pub(crate) struct LinearLayer<W> {
    pub(crate) weights: W,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) arithmetic: Arithmetic,
}

/// The parameters of a layer normalisation.
pub(crate) struct NormLayer {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) eps: f64,
}

/// What attention works on: the projections `(tokens, width)` of several sequences, one below the other,
/// heads side by side in a row.
pub(crate) struct Heads<'a, N> {
    pub(crate) query: &'a [N],
    pub(crate) key: &'a [N],
    pub(crate) value: &'a [N],
    /// The tokens of each sequence.
    pub(crate) lengths: &'a [usize],
    /// Which tokens others may attend to; `None` means all.
    pub(crate) attend: Option<&'a [bool]>,
    pub(crate) heads: usize,
    pub(crate) width: usize,
}

/// `x[i] += y[i]`, each rounded once.
pub(crate) fn add<N: Number>(x: &mut [N], y: &[N]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x[i] += y[i]` for a parameter `y`, each rounded once.
pub(crate) fn add_parameter<N: Number>(x: &mut [N], y: &[f32]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x += N::from(y);
    }
}
