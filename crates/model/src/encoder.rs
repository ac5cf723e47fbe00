//! BERT and the ColBERT head, over packed rows.
//!
//! A batch is the rows of its passages one below the other, without padding. Linear layers, layer
//! normalisation and GELU see rows; attention sees one passage at a time. So nothing that a passage's
//! rows go through depends on which other passages are in the batch.
//!
//! Every module has the path that `transformers` gives it, and reports what it computed under that path.
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

pub use build::BuildError;
pub use modules::module_paths;
pub use observed::TapsOfBatch;

use concord_kernels::compute::Compute;

use crate::checkpoint::Checkpoint;
use crate::numerics::{Arithmetic, Numerics, Variant};
use crate::precision::Precision;
use bert::Bert;
use kernels::Kernels;
use operations::{LinearLayer, Operations};

/// The rows of several sequences of tokens, one below the other.
pub struct PackedRows<'a> {
    /// Token ids of all sequences.
    pub ids: &'a [u32],
    /// How many of them each sequence has.
    pub lengths: &'a [usize],
    /// Which tokens others may attend to; `None` means all.
    pub attend: Option<&'a [bool]>,
    /// Which rows are kept, the others being set to zero; `None` means all.
    pub keep: Option<&'a [bool]>,
}

impl PackedRows<'_> {
    /// The same sequences in parts of at most `most` tokens, or of one sequence that has more.
    pub(crate) fn parts(&self, most: usize) -> impl Iterator<Item = PackedRows<'_>> {
        let (mut sequence, mut token) = (0, 0);
        std::iter::from_fn(move || {
            let lengths = &self.lengths[sequence..];
            let mut tokens = *lengths.first()?;
            let mut count = 1;
            while count < lengths.len() && tokens + lengths[count] <= most {
                tokens += lengths[count];
                count += 1;
            }
            let span = token..token + tokens;
            (sequence, token) = (sequence + count, span.end);
            Some(PackedRows {
                ids: &self.ids[span.clone()],
                lengths: &lengths[..count],
                attend: self.attend.map(|attend| &attend[span.clone()]),
                keep: self.keep.map(|keep| &keep[span]),
            })
        })
    }
}

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
    /// leaves widths that do not fit; when the precision is the referee's or does not go with a variant.
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
        let most = if taps.any() || !self.divisible {
            rows.ids.len()
        } else {
            ROWS_AT_ONCE
        };
        let parts: Vec<PackedRows<'_>> = rows.parts(most).collect();
        self.bert.encode(&self.kernels, &parts, taps)
    }
}
