//! BERT and the ColBERT head, over packed rows.
//!
//! A batch is the rows of its passages one below the other, without padding. Linear layers, layer
//! normalisation and GELU see rows; attention sees one passage at a time. So nothing that a passage's
//! rows go through depends on which other passages are in the batch.
//!
//! Every module has the path that the [architecture](crate::architecture) gives it, and reports what it computed
//! under that path.
//!
//! How the modules are put together is written once, over operations of any precision: those of this
//! encoder are the contract's kernels, those of the [referee](crate::referee) are in `f64`.

pub(crate) mod bert;
mod build;
mod kernels;
mod layer;
mod modules;
mod observed;
pub(crate) mod operations;
mod rows;

pub use build::BuildError;
pub use observed::TapsOfBatch;
pub use rows::PackedRows;

use concord_kernels::compute::Compute;
use concord_kernels::rounding::Format;
use concord_tensor::RowsHash;

use crate::architecture::Operation;
use crate::checkpoint::Checkpoint;
use crate::numerics::{Arithmetic, Numerics, Variant};
use crate::precision::Precision;
use bert::Bert;
use kernels::Kernels;
use operations::{LinearLayer, Operations};

/// `y = x · Wᵀ` of a linear layer by itself, as an encoder of `precision` computes it where its arithmetic is
/// `arithmetic`: `x` is `(rows, inputs)`, `weights` `(outputs, inputs)`, `y` `(rows, outputs)`. The referee's
/// is that of `f32`.
pub fn linear_alone(
    precision: Precision,
    arithmetic: Arithmetic,
    compute: &Compute,
    x: &[f32],
    weights: &[f32],
    inputs: usize,
) -> Vec<f32> {
    let kernels = Kernels {
        compute: compute.clone(),
        precision,
    };
    let (rows, outputs) = (x.len() / inputs.max(1), weights.len() / inputs.max(1));
    let layer = LinearLayer {
        weights: kernels.weights(weights, outputs, inputs),
        bias: None,
        inputs,
        outputs,
        arithmetic,
    };
    let mut y = vec![0.0; rows * outputs];
    kernels.linear(&[&layer], x, &mut [&mut y]);
    y
}

/// Tokens that operations see at once where nothing depends on their number: so few that what one operation
/// gives on to the next is still in a core's second cache.
const ROWS_AT_ONCE: usize = 96;

/// A BERT encoder with the ColBERT head, in one of the precisions of the numeric contract.
pub struct Encoder {
    bert: Bert<Kernels>,
    kernels: Kernels,
    /// An embedding is the same in every batch, so that a batch may be taken in parts.
    divisible: bool,
}

impl Encoder {
    /// The encoder of a checkpoint, with the changes that `numerics` makes to it.
    ///
    /// # Errors
    /// When the checkpoint lacks a tensor, or a patch names no module, one that cannot be cut out, or
    /// leaves widths that do not fit; when the precision is the referee's, does not go with a variant, or has
    /// no finite number for a weight that it rounds.
    pub fn build(
        checkpoint: &Checkpoint,
        numerics: &Numerics,
        precision: Precision,
        compute: &Compute,
    ) -> Result<Encoder, BuildError> {
        let product =
            |variant: &Variant| matches!(variant, Variant::Gemm(_) | Variant::GemmFrom { .. });
        if precision != Precision::F32
            && let Some(variant) = numerics.encoder_variants().find(product)
        {
            return Err(BuildError::NotForPrecision { precision, variant });
        }
        check_in_precision(checkpoint, precision)?;
        let kernels = Kernels {
            compute: compute.clone(),
            precision,
        };
        Ok(Encoder {
            bert: Bert::build(checkpoint, numerics, &kernels)?,
            kernels,
            divisible: numerics.is_batch_invariant(),
        })
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.bert.dim()
    }

    /// The unit-length embedding of every token: `(tokens, dim)`, zero for those not kept.
    ///
    /// # Order of operations
    /// Each kernel's own; in between, `word + token type + position` in this order, and
    /// `dense output + residual` before each layer normalisation, every addition rounded once.
    ///
    /// # Panics
    /// When `lengths` do not add up to the ids, an id is outside the vocabulary, or a sequence is longer
    /// than the positions; the tokenizer's limits are checked against the checkpoint when it is loaded.
    pub fn encode(&self, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        let most = if self.divisible {
            ROWS_AT_ONCE
        } else {
            rows.ids.len()
        };
        // Each passage has a hash of its own at each module, and several are made side by side.
        let together = if taps.hashes() {
            RowsHash::SIDE_BY_SIDE
        } else {
            1
        };
        let parts: Vec<PackedRows<'_>> = rows.parts(most, together).collect();
        self.bert.encode(&self.kernels, &parts, taps)
    }
}

/// Refuses weights and biases of linear layers that are infinite once they are rounded to `precision`. Other
/// parameters stay in `f32`.
fn check_in_precision(checkpoint: &Checkpoint, precision: Precision) -> Result<(), BuildError> {
    let format = precision.format();
    if format == Format::F32 {
        return Ok(());
    }
    let architecture = checkpoint.architecture();
    let linear = architecture
        .modules()
        .iter()
        .filter(|module| module.operation == Some(Operation::Linear));
    for parameter in linear.flat_map(|module| &module.parameters) {
        let name = &parameter.name;
        let Some(tensor) = checkpoint.weights().get(name) else {
            continue;
        };
        let wrong = |source| BuildError::Tensor {
            name: name.clone(),
            source,
        };
        let values = tensor.as_slice::<f32>().map_err(wrong)?;
        if let Some(at) = values
            .iter()
            .position(|&value| !format.round(value).is_finite())
        {
            return Err(BuildError::NotInPrecision {
                name: name.clone(),
                index: tensor.index_of(at),
                value: values[at],
                precision,
            });
        }
    }
    Ok(())
}
