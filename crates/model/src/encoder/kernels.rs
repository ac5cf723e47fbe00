//! The operations in the precisions of the numeric contract.

use std::borrow::Cow;

use concord_kernels::attention::{Projections, attention};
use concord_kernels::bf16::{Bf16Rows, Bf16Weights, linear_bf16};
use concord_kernels::compute::Compute;
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::gemm::Gemm;
use concord_kernels::int8::{Int8Rows, Int8Weights, linear_int8};
use concord_kernels::layer_norm::{Variance, add_layer_norm, layer_norm};
use concord_kernels::linear::PackedWeights;
use concord_kernels::normalize::{Normalize, normalize};
use concord_kernels::rounding::{Format, round};

use rayon::prelude::*;

use super::operations::{Heads, LinearLayer, NormLayer, Operations};
use crate::precision::Precision;

/// The kernels of one precision on one instruction set.
pub(super) struct Kernels {
    pub(super) compute: Compute,
    pub(super) precision: Precision,
}

/// The weights of a linear layer, laid out for the product of a precision.
pub(super) enum Weights {
    /// Operands in `f32`, which may have been rounded to this format.
    Single(PackedWeights, Format),
    Bf16(Bf16Weights),
    Int8(Int8Weights),
}

/// Rows as the product of a precision takes them.
enum Operands<'a> {
    Single(Cow<'a, [f32]>),
    Bf16(Bf16Rows),
    Int8(Int8Rows),
}

impl Kernels {
    fn round(&self, x: &mut [f32]) {
        match self.precision.format() {
            Format::F32 => {}
            format => round(&self.compute, format, x),
        }
    }

    /// The products of several layers with the same rows, which are some of `rows`.
    fn products(
        &self,
        layers: &[&LinearLayer<Weights>],
        rows: usize,
        x: &[f32],
        ys: &mut [&mut [f32]],
    ) {
        let compute = &self.compute;
        let inputs = layers.first().map_or(0, |layer| layer.inputs);
        let mut operands = Operands::Single(Cow::Borrowed(x));
        match self.precision {
            Precision::F32 | Precision::F64 => {}
            Precision::F16 => operands = Operands::Single(self.rounded(x, Format::F16).into()),
            Precision::Bf16 => operands = Operands::Bf16(Bf16Rows::round(compute, x, inputs)),
            Precision::Int8 => operands = Operands::Int8(Int8Rows::quantise(compute, x, inputs)),
        }
        for (layer, y) in layers.iter().zip(ys) {
            let bias = layer.bias.as_deref();
            match (&layer.weights, &operands) {
                (Weights::Single(weights, Format::F32), _) => {
                    let gemm = layer.arithmetic.gemm_for(rows);
                    gemm.linear(compute, x, weights, bias, y);
                }
                (Weights::Single(weights, format), Operands::Single(x)) => {
                    let bias = bias.map(|bias| self.rounded(bias, *format));
                    Gemm::Native.linear(compute, x, weights, bias.as_deref(), y);
                    round(compute, *format, y);
                }
                (Weights::Bf16(weights), Operands::Bf16(x)) => {
                    linear_bf16(compute, x, weights, bias, y);
                }
                (Weights::Int8(weights), Operands::Int8(x)) => {
                    linear_int8(compute, x, weights, bias, y);
                }
                _ => unreachable!("weights and operands are those of one precision"),
            }
        }
    }

    fn rounded(&self, x: &[f32], format: Format) -> Vec<f32> {
        let mut x = x.to_vec();
        round(&self.compute, format, &mut x);
        x
    }
}

impl Operations for Kernels {
    type Number = f32;
    type Weights = Weights;

    fn weights(&self, values: &[f32], outputs: usize, inputs: usize) -> Weights {
        match self.precision {
            Precision::Bf16 => Weights::Bf16(Bf16Weights::pack(values, outputs, inputs)),
            Precision::Int8 => Weights::Int8(Int8Weights::quantise(values, outputs, inputs)),
            Precision::F32 | Precision::F16 | Precision::F64 => {
                let format = self.precision.format();
                let values = self.rounded(values, format);
                Weights::Single(PackedWeights::pack(&values, outputs, inputs), format)
            }
        }
    }

    fn linear(&self, layers: &[&LinearLayer<Weights>], x: &[f32], ys: &mut [&mut [f32]]) {
        let inputs = layers.first().map_or(0, |layer| layer.inputs);
        let rows = x.len() / inputs.max(1);
        // Batches that are too few to keep all threads busy, such as one query, are divided among them. Rows
        // do not depend on each other, except in a product that is another library's affair.
        let divisible = |layer: &&LinearLayer<Weights>| {
            !matches!(layer.arithmetic.gemm_for(rows), Gemm::Library(_))
        };
        let threads = match self.compute.threads_to_spare() {
            true => rayon::current_num_threads(),
            false => 1,
        };
        let part = rows.div_ceil(threads);
        if part == rows || part * inputs == 0 || !layers.iter().all(divisible) {
            return self.products(layers, rows, x, ys);
        }
        let mut parts: Vec<(&[f32], Vec<&mut [f32]>)> = x
            .chunks(part * inputs)
            .map(|x| (x, Vec::with_capacity(layers.len())))
            .collect();
        for (y, layer) in ys.iter_mut().zip(layers) {
            let of_parts = y.chunks_mut((part * layer.outputs).max(1));
            for ((_, ys), y) in parts.iter_mut().zip(of_parts) {
                ys.push(y);
            }
        }
        parts
            .into_par_iter()
            .for_each(|(x, mut ys)| self.products(layers, rows, x, &mut ys));
    }

    fn layer_norm(&self, norm: &NormLayer, variance: Variance, x: &mut [f32]) {
        let eps = norm.eps as f32;
        layer_norm(&self.compute, variance, x, &norm.gamma, &norm.beta, eps);
    }

    fn add_layer_norm(
        &self,
        norm: &NormLayer,
        variance: Variance,
        x: &mut [f32],
        residual: &[f32],
    ) {
        let (eps, gamma, beta) = (norm.eps as f32, &norm.gamma, &norm.beta);
        add_layer_norm(&self.compute, variance, x, residual, gamma, beta, eps);
    }

    fn gelu(&self, form: Gelu, x: &mut [f32]) {
        gelu(&self.compute, form, x);
        self.round(x);
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
                format: self.precision.format(),
            };
            attention(&self.compute, &projections, &mut context[span]);
            token = tokens.end;
        }
        self.round(context);
    }

    fn normalize(&self, form: Normalize, x: &mut [f32], width: usize) {
        normalize(&self.compute, form, x, width);
    }
}
