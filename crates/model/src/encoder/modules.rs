//! The modules that layers are made of.

use concord_kernels::elementary;
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::gemm::Gemm;
use concord_kernels::isa::Isa;
use concord_kernels::layer_norm::{Variance, layer_norm};
use concord_kernels::linear::PackedWeights;

use super::TapsOfBatch;
use crate::config::BertConfig;

/// A linear layer, or nothing where it is cut out.
pub(super) struct Linear {
    pub(super) path: String,
    /// The width of a row it returns.
    pub(super) outputs: usize,
    pub(super) weights: Option<(PackedWeights, Option<Vec<f32>>, Gemm)>,
}

impl Linear {
    pub(super) fn apply(&self, isa: Isa, x: &[f32], taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        let y = match &self.weights {
            None => x.to_vec(),
            Some((weights, bias, gemm)) => {
                let rows = x.len() / weights.inputs();
                let mut y = vec![0.0; rows * weights.outputs()];
                gemm.linear(isa, x, weights, bias.as_deref(), &mut y);
                y
            }
        };
        taps.take(&self.path, &y, self.outputs);
        y
    }
}

/// A layer normalisation, or nothing where it is cut out.
pub(super) struct LayerNorm {
    pub(super) path: String,
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) eps: f32,
    pub(super) variance: Option<Variance>,
}

impl LayerNorm {
    pub(super) fn apply(&self, isa: Isa, x: &mut [f32], taps: &mut TapsOfBatch<'_>) {
        if let Some(variance) = self.variance {
            layer_norm(isa, variance, x, &self.gamma, &self.beta, self.eps);
        }
        taps.take(&self.path, x, self.gamma.len());
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
    pub(super) fn apply(self, isa: Isa, x: &mut [f32]) {
        match self {
            Activate::Gelu(form) => gelu(isa, form, x),
            Activate::Relu => x
                .iter_mut()
                .for_each(|value| *value = elementary::relu(*value)),
            Activate::Identity => {}
        }
    }
}

/// The paths of all modules of a checkpoint, in the order in which they compute.
pub fn module_paths(config: &BertConfig) -> Vec<String> {
    let mut paths: Vec<String> = [
        "bert.embeddings.word_embeddings",
        "bert.embeddings.position_embeddings",
        "bert.embeddings.LayerNorm",
        "bert.embeddings",
    ]
    .map(str::to_owned)
    .to_vec();
    for layer in 0..config.num_hidden_layers {
        for module in [
            ".attention.self.query",
            ".attention.self.key",
            ".attention.self.value",
            ".attention.self",
            ".attention.output.dense",
            ".attention.output.LayerNorm",
            ".attention.output",
            ".attention",
            ".intermediate.dense",
            ".intermediate.intermediate_act_fn",
            ".intermediate",
            ".output.dense",
            ".output.LayerNorm",
            ".output",
            "",
        ] {
            paths.push(format!("bert.encoder.layer.{layer}{module}"));
        }
    }
    paths.extend(["bert.encoder", "bert", "linear", "mask", "normalize"].map(str::to_owned));
    paths
}
