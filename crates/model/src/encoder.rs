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

use concord_kernels::isa::Isa;

use crate::checkpoint::Checkpoint;
use crate::numerics::Numerics;
use bert::Bert;
use kernels::Kernels;

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

/// A BERT encoder with the ColBERT head, in `f32`.
pub struct Encoder(Bert<Kernels>);

impl Encoder {
    /// The encoder of a checkpoint, with the changes that `numerics` makes to it.
    ///
    /// # Errors
    /// When the checkpoint lacks a tensor, or a patch names no module, one that cannot be cut out, or
    /// leaves widths that do not fit.
    pub fn build(checkpoint: &Checkpoint, numerics: &Numerics) -> Result<Encoder, BuildError> {
        Ok(Encoder(Bert::build(checkpoint, numerics)?))
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.0.dim()
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
    pub fn encode(&self, isa: Isa, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        self.0.encode(&Kernels(isa), rows, taps)
    }
}
