//! The modules that layers are made of.

use concord_kernels::gelu::Gelu;
use concord_kernels::layer_norm::Variance;

use super::observed::TapsOfBatch;
use super::operations::{LinearLayer, NormLayer, Number, Operations, add};

/// A linear layer, or nothing where it is cut out.
pub(super) struct Linear<O: Operations> {
    pub(super) path: String,
    /// The width of a row it returns.
    pub(super) outputs: usize,
    pub(super) layer: Option<LinearLayer<O::Weights>>,
}

impl<O: Operations> Linear<O> {
    pub(super) fn apply(
        &self,
        operations: &O,
        x: &[O::Number],
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        let [y] = Linear::apply_each([self], operations, x, taps);
        y
    }

    /// What each of several layers makes of the same rows. What nobody sees is not computed.
    pub(super) fn apply_each<const N: usize>(
        layers: [&Linear<O>; N],
        operations: &O,
        x: &[O::Number],
        taps: &mut TapsOfBatch<'_>,
    ) -> [Vec<O::Number>; N] {
        let mut outputs = layers.map(|linear| match &linear.layer {
            None => x.to_vec(),
            Some(layer) => vec![O::Number::default(); x.len() / layer.inputs * layer.outputs],
        });
        let (there, mut ys): (Vec<_>, Vec<&mut [O::Number]>) = (layers.iter().zip(&mut outputs))
            .filter(|(linear, _)| taps.sees(&linear.path))
            .filter_map(|(linear, y)| Some((linear.layer.as_ref()?, y.as_mut_slice())))
            .unzip();
        if !there.is_empty() {
            operations.linear(&there, x, &mut ys);
        }
        for (linear, y) in layers.iter().zip(&mut outputs) {
            taps.take(&linear.path, y, linear.outputs);
        }
        outputs
    }
}

/// A layer normalisation, or nothing where it is cut out.
pub(super) struct LayerNorm {
    pub(super) path: String,
    pub(super) layer: NormLayer,
    pub(super) variance: Option<Variance>,
}

impl LayerNorm {
    pub(super) fn apply<O: Operations>(
        &self,
        operations: &O,
        x: &mut [O::Number],
        taps: &mut TapsOfBatch<'_>,
    ) {
        if let Some(variance) = self.variance {
            operations.layer_norm(&self.layer, variance, x);
        }
        taps.take(&self.path, x, self.layer.gamma.len());
    }

    /// Normalises the sum of `x` and `residual`, in the place of `x`.
    pub(super) fn apply_to_sum<O: Operations>(
        &self,
        operations: &O,
        x: &mut [O::Number],
        residual: &[O::Number],
        taps: &mut TapsOfBatch<'_>,
    ) {
        match self.variance {
            Some(variance) => operations.add_layer_norm(&self.layer, variance, x, residual),
            None => add(x, residual),
        }
        taps.take(&self.path, x, self.layer.gamma.len());
    }
}

/// The activation between the two linear layers of the feed-forward part.
#[derive(Clone, Copy)]
pub(super) enum Activate {
    Gelu(Gelu),
    Relu,
    Identity,
}

impl Activate {
    pub(super) fn apply<O: Operations>(self, operations: &O, x: &mut [O::Number]) {
        match self {
            Activate::Gelu(form) => operations.gelu(form, x),
            Activate::Relu => x.iter_mut().for_each(|value| *value = relu(*value)),
            Activate::Identity => {}
        }
    }
}

/// `max(x, 0)`; NaN stays NaN.
fn relu<N: Number>(x: N) -> N {
    if x < N::default() { N::default() } else { x }
}
