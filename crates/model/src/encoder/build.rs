//! Making an encoder out of a checkpoint's weights.

use concord_kernels::gelu::Gelu;
use concord_pipeline::ModulePattern;
use concord_tensor::{Tensor, TensorError};

use super::bert::{Bert, Tables};
use super::layer::Layer;
use super::modules::{Activate, LayerNorm, Linear};
use super::operations::{LinearLayer, NormLayer, Operations};
use crate::architecture::{Architecture, BIAS, Module, WEIGHT, bert, head};
use crate::checkpoint::Checkpoint;
use crate::config::{Activation, BertConfig};
use crate::numerics::{Change, Numerics, Patch, STAGES, Variant};
use crate::precision::Precision;

/// Why an encoder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// A tensor is not what its place needs.
    #[error("tensor `{name}` of the checkpoint: {source}")]
    Tensor { name: String, source: TensorError },
    #[error(
        "`{pattern}` names no module of this checkpoint, whose modules run from \
         bert.embeddings over bert.encoder.layer.0 to .{last} to linear and normalize",
        last = layers.saturating_sub(1)
    )]
    NoSuchModule {
        pattern: ModulePattern,
        /// The number of layers there are.
        layers: usize,
    },
    /// A module that cannot be cut out.
    #[error(
        "identity cannot stand at `{0}`: it can at linear layers (query, key, value, dense, linear), \
         LayerNorm, intermediate_act_fn, attention.self, a whole layer, and normalize"
    )]
    NotRemovable(String),
    /// A change at a stage after the encoder that does not have it, or of such a stage at a module.
    #[error(
        "`{0}`: the stages after the encoder take cluster:normalize=…, compress:gemm=… and \
         compress:ties=…, and modules take no ties="
    )]
    NotAtStage(Patch),
    /// A variant of an operation, for the referee.
    #[error(
        "precision=f64 is the referee, which computes every operation as it is defined, so that others can \
         be judged by it: it takes no {0}; leave that away, or use precision=f32"
    )]
    NotForReferee(Variant),
    /// Another matrix product, for a precision that has its own.
    #[error(
        "precision={precision} has one matrix product, whose operands it rounds: it takes no {variant}; leave \
         that away, or use precision=f32"
    )]
    NotForPrecision {
        precision: Precision,
        variant: Variant,
    },
    /// A finite weight for which the precision has no finite number.
    #[error(
        "{name:?} is {value:e} at {index:?}, which is infinite in precision={precision}; use precision=f32"
    )]
    NotInPrecision {
        /// The tensor.
        name: String,
        /// The element's index in each dimension, from 0.
        index: Vec<usize>,
        value: f32,
        precision: Precision,
    },
    /// What is left does not fit together.
    #[error(
        "`{path}` takes rows of {expected} values, but gets {found} with the modules before it cut out; \
         cut it out as well, or none of them"
    )]
    Width {
        /// The module whose input does not fit.
        path: String,
        expected: usize,
        found: usize,
    },
}

impl<O: Operations> Bert<O> {
    /// The encoder of a checkpoint, with the changes that `numerics` makes to it.
    ///
    /// # Errors
    /// When the checkpoint lacks a tensor, or a patch names no module, one that cannot be cut out, or
    /// leaves widths that do not fit.
    pub(crate) fn build(
        checkpoint: &Checkpoint,
        numerics: &Numerics,
        operations: &O,
    ) -> Result<Bert<O>, BuildError> {
        let config = checkpoint.bert_config();
        let architecture = &checkpoint.architecture();
        check_patches(architecture, numerics)?;
        let parts = Parts {
            checkpoint,
            architecture,
            config,
            numerics,
            operations,
        };
        let hidden = config.hidden_size;
        let tables = Tables {
            words: parts.values(&parts.parameter(bert::WORDS, WEIGHT)?)?,
            positions: parts.values(&parts.parameter(bert::POSITIONS, WEIGHT)?)?,
            token_type: parts.values(bert::TOKEN_TYPES)?[..hidden].to_vec(),
            norm: parts.layer_norm(bert::EMBEDDINGS_NORM)?,
        };
        let layers = (0..config.num_hidden_layers)
            .map(|number| parts.layer(number))
            .collect::<Result<_, _>>()?;
        let linear = parts.linear(head::LINEAR, hidden)?;
        let normalize = (!numerics.is_identity(head::NORMALIZE))
            .then(|| numerics.at(head::NORMALIZE).normalize);
        let dim = linear.outputs;
        Ok(Bert {
            tables,
            layers,
            linear,
            normalize,
            hidden,
            dim,
        })
    }
}

/// Every patch must name something, and an identity something that can be cut out.
fn check_patches(architecture: &Architecture, numerics: &Numerics) -> Result<(), BuildError> {
    for patch in &numerics.patches {
        if let Some(stage) = STAGES.iter().find(|stage| patch.at.names(stage)) {
            if !applies(stage, patch.change) {
                return Err(BuildError::NotAtStage(patch.clone()));
            }
            continue;
        }
        if matches!(patch.change, Change::Variant(Variant::Ties(_))) {
            return Err(BuildError::NotAtStage(patch.clone()));
        }
        let names = |module: &&Module| patch.at.names(&module.path);
        let mut named = architecture.modules().iter().filter(names).peekable();
        if named.peek().is_none() {
            let (pattern, layers) = (patch.at.clone(), architecture.layers());
            return Err(BuildError::NoSuchModule { pattern, layers });
        }
        if patch.change == Change::Identity
            && let Some(module) = named.find(|module| !module.removable)
        {
            return Err(BuildError::NotRemovable(module.path.clone()));
        }
    }
    Ok(())
}

/// Whether a stage after the encoder has something to compute in another way.
fn applies(stage: &str, change: Change) -> bool {
    match change {
        Change::Variant(Variant::Normalize(_)) => stage == "cluster",
        Change::Variant(Variant::Gemm(_) | Variant::Ties(_)) => stage == "compress",
        Change::Variant(_) | Change::Identity => false,
    }
}

struct Parts<'a, O> {
    checkpoint: &'a Checkpoint,
    architecture: &'a Architecture,
    config: &'a BertConfig,
    numerics: &'a Numerics,
    operations: &'a O,
}

impl<O: Operations> Parts<'_, O> {
    fn tensor(&self, name: &str) -> Result<&Tensor, BuildError> {
        self.checkpoint
            .weights()
            .get(name)
            .ok_or_else(|| BuildError::Missing(name.to_owned()))
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, BuildError> {
        let slice = self.tensor(name)?.as_slice::<f32>();
        let values = slice.map_err(|source| BuildError::Tensor {
            name: name.to_owned(),
            source,
        })?;
        Ok(values.to_vec())
    }

    /// The whole name of the parameter `name` of the module at `path`.
    fn parameter(&self, path: &str, name: &str) -> Result<String, BuildError> {
        let module = self.architecture.module(path);
        let parameter = module.and_then(|module| module.parameter(name));
        let found = parameter.map(|parameter| parameter.name.clone());
        found.ok_or_else(|| BuildError::Missing(format!("{path}.{name}")))
    }

    /// A linear layer that gets rows of `found` values.
    fn linear(&self, path: &str, found: usize) -> Result<Linear<O>, BuildError> {
        let path = path.to_owned();
        if self.numerics.is_identity(&path) {
            return Ok(Linear {
                path,
                outputs: found,
                layer: None,
            });
        }
        let name = self.parameter(&path, WEIGHT)?;
        let weight = self.tensor(&name)?;
        let (outputs, inputs) = (weight.rows(), weight.row_len());
        if inputs != found {
            return Err(BuildError::Width {
                path,
                expected: inputs,
                found,
            });
        }
        let weights = self
            .operations
            .weights(&self.values(&name)?, outputs, inputs);
        // The projection has none.
        let bias = match self.parameter(&path, BIAS) {
            Ok(name) => Some(self.values(&name)?),
            Err(_) => None,
        };
        let arithmetic = self.numerics.at(&path);
        let layer = LinearLayer {
            weights,
            bias,
            inputs,
            outputs,
            arithmetic,
        };
        Ok(Linear {
            path,
            outputs,
            layer: Some(layer),
        })
    }

    fn layer_norm(&self, path: &str) -> Result<LayerNorm, BuildError> {
        let cut = self.numerics.is_identity(path);
        let layer = NormLayer {
            gamma: self.values(&self.parameter(path, WEIGHT)?)?,
            beta: self.values(&self.parameter(path, BIAS)?)?,
            eps: self.config.layer_norm_eps,
        };
        Ok(LayerNorm {
            path: path.to_owned(),
            layer,
            variance: (!cut).then(|| self.numerics.at(path).layer_norm),
        })
    }

    fn activate(&self, path: &str) -> Activate {
        let form = self.numerics.at(path).gelu;
        match self.config.hidden_act {
            _ if self.numerics.is_identity(path) => Activate::Identity,
            Activation::Relu => Activate::Relu,
            Activation::GeluErf => Activate::Gelu(form.unwrap_or(Gelu::Erf)),
            Activation::GeluTanh => Activate::Gelu(form.unwrap_or(Gelu::Tanh)),
        }
    }

    fn layer(&self, number: usize) -> Result<Layer<O>, BuildError> {
        let hidden = self.config.hidden_size;
        let at = |module: &str| bert::BERT.path_in_layer(number, module);
        let linear = |module: &str, found| self.linear(&at(module), found);
        let intermediate: Linear<O> = linear(bert::INTERMEDIATE_DENSE, hidden)?;
        let output = linear(bert::OUTPUT_DENSE, intermediate.outputs)?;
        if output.outputs != hidden {
            let (path, found) = (at(bert::OUTPUT_NORM), output.outputs);
            return Err(BuildError::Width {
                path,
                expected: hidden,
                found,
            });
        }
        Ok(Layer {
            number,
            identity: self.numerics.is_identity(&at(bert::LAYER)),
            query: linear(bert::QUERY, hidden)?,
            key: linear(bert::KEY, hidden)?,
            value: linear(bert::VALUE, hidden)?,
            no_attention: self.numerics.is_identity(&at(bert::ATTEND)),
            heads: self.config.num_attention_heads,
            attention_output: linear(bert::ATTENTION_DENSE, hidden)?,
            attention_norm: self.layer_norm(&at(bert::ATTENTION_NORM))?,
            intermediate,
            activate: self.activate(&at(bert::ACTIVATION)),
            output,
            output_norm: self.layer_norm(&at(bert::OUTPUT_NORM))?,
        })
    }
}
