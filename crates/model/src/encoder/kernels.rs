//! The operations in `f32`: the kernels whose order of operations is the numeric contract.

use concord_kernels::attention::{Projections, attention};
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::isa::Isa;
use concord_kernels::layer_norm::{Variance, layer_norm};
use concord_kernels::linear::PackedWeights;
use concord_kernels::normalize::{Normalize, normalize};

use super::operations::{Heads, LinearLayer, NormLayer, Operations};

/// The kernels on one instruction set.
pub(super) struct Kernels(pub(super) Isa);

impl Operations for Kernels {
    type Number = f32;
    type Weights = PackedWeights;

    fn weights(values: &[f32], outputs: usize, inputs: usize) -> PackedWeights {
        PackedWeights::pack(values, outputs, inputs)
    }

    fn linear(&self, layer: &LinearLayer<PackedWeights>, x: &[f32], y: &mut [f32]) {
        let bias = layer.bias.as_deref();
        let rows = x.len() / layer.inputs.max(1);
        let gemm = layer.arithmetic.gemm_for(rows);
        gemm.linear(self.0, x, &layer.weights, bias, y);
    }

    fn layer_norm(&self, norm: &NormLayer, variance: Variance, x: &mut [f32]) {
        let eps = norm.eps as f32;
        layer_norm(self.0, variance, x, &norm.gamma, &norm.beta, eps);
    }

    fn gelu(&self, form: Gelu, x: &mut [f32]) {
        gelu(self.0, form, x);
    }

    fn attention(&self, heads: &Heads<'_, f32>, context: &mut [f32]) {
        let width = heads.width;
        let mut token = 0;
        for &length in heads.lengths {
            let tokens = token..token + length;
            let span = tokens.start * width..tokens.end * width;
            let projections = Projections {
                query: &heads.query[span.clone()],
                key: &heads.key[span.clone()],
                value: &heads.value[span.clone()],
                attend: heads.attend.map(|attend| &attend[tokens.clone()]),
                heads: heads.heads,
                width,
            };
            attention(self.0, &projections, &mut context[span]);
            token = tokens.end;
        }
    }

    fn normalize(&self, form: Normalize, x: &mut [f32], width: usize) {
        normalize(self.0, form, x, width);
    }
}
