//! The referee: the same encoder in `f64`, which says which of two runs is nearer the truth.
//!
//! # What is rounded when
//! The weights are those of the checkpoint in `f32`, widened, which is exact. From there on everything is
//! `f64`: each multiplication, addition, division and square root rounds once to nearest even, nothing is
//! fused, and what one module gives on is not rounded before the next one reads it. So are the taps. Only
//! the embeddings are rounded to `f32` where the stages after the encoder read them, once.
//!
//! # Order of operations
//! Every sum is one chain from zero in ascending order: over the inputs of a linear layer (the bias is
//! added last), over the values of a row in layer normalisation (the mean first, then the squared
//! differences from it) and in the norm of an embedding, over the channels of a head and over the keys in
//! attention. `exp` and GELU are within 1e-14 of their true values.
//!
//! A chain of 1,536 products errs by some 1e-13 of their magnitude, where the encoders that it judges err
//! by 1e-7 and more; so its order matters to nobody but to those who want the same bits again. It is the
//! same for every batch and every number of threads.
//!
//! It is written plainly, without the contract's kernels, so that it does not share their mistakes. It
//! computes each operation as it is defined: modules can be cut out, but numeric variants are refused.

mod attention;
pub mod elementary;
mod linear;
mod rows;

use concord_kernels::gelu::Gelu;
use concord_kernels::layer_norm::Variance;
use concord_kernels::normalize::Normalize;

use crate::checkpoint::Checkpoint;
use crate::encoder::bert::Bert;
use crate::encoder::operations::{Heads, LinearLayer, NormLayer, Operations};
use crate::encoder::{BuildError, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use linear::Weights;

/// A BERT encoder with the ColBERT head, in `f64`.
pub struct Referee(Bert<Double>);

impl Referee {
    /// The referee of a checkpoint, with the modules cut out that `numerics` cuts out.
    ///
    /// # Errors
    /// Those of [`Encoder::build`](crate::encoder::Encoder::build), and [`BuildError::NotForReferee`] for
    /// a variant.
    pub fn build(checkpoint: &Checkpoint, numerics: &Numerics) -> Result<Referee, BuildError> {
        if let Some(variant) = numerics.all_variants().next() {
            return Err(BuildError::NotForReferee(variant));
        }
        Ok(Referee(Bert::build(checkpoint, numerics, &Double)?))
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.0.dim()
    }

    /// The unit-length embedding of every token: `(tokens, dim)`, zero for those not kept.
    ///
    /// # Panics
    /// As [`Encoder::encode`](crate::encoder::Encoder::encode).
    pub fn encode(&self, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f64> {
        let parts: Vec<PackedRows<'_>> = rows.parts(rows.ids.len(), 1).collect();
        self.0.encode(&Double, &parts, taps)
    }
}

/// The operations in `f64`. Of an operation's ways they have one, since variants are refused; GELU's form
/// is the checkpoint's own.
struct Double;

impl Operations for Double {
    type Number = f64;
    type Weights = Weights;

    fn weights(&self, values: &[f32], outputs: usize, inputs: usize) -> Weights {
        Weights::new(values, outputs, inputs)
    }

    fn linear(&self, layers: &[&LinearLayer<Weights>], x: &[f64], ys: &mut [&mut [f64]]) {
        for (layer, y) in layers.iter().zip(ys) {
            linear::linear(layer, x, y);
        }
    }

    fn layer_norm(&self, norm: &NormLayer, _: Variance, x: &mut [f64]) {
        rows::layer_norm(norm, x);
    }

    fn gelu(&self, form: Gelu, x: &mut [f64]) {
        rows::gelu(form, x);
    }

    fn attention(&self, heads: &Heads<'_, f64>, context: &mut [f64]) {
        attention::attention(heads, context);
    }

    fn normalize(&self, _: Normalize, x: &mut [f64], width: usize) {
        rows::normalize(x, width);
    }
}
