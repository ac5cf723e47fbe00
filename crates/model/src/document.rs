//! Encoding batches of documents.

use std::sync::Arc;

use concord_kernels::compute::Compute;
use concord_pipeline::{Replacements, StageError, Tap, TapSink, TappedPassage};
use rayon::prelude::*;

use crate::checkpoint::Checkpoint;
use crate::encoder::{BuildError, Encoder, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use crate::precision::Precision;
use crate::referee::Referee;
use crate::tokenizer::DocTokenizer;

/// An encoder in one of the precisions there are.
pub enum AnyEncoder {
    /// One of the numeric contract's.
    Contract(Encoder),
    /// The referee, in `f64`.
    Referee(Referee),
}

impl AnyEncoder {
    /// The encoder of a checkpoint in `precision`, with the changes that `numerics` makes to it. The
    /// instruction set decides how fast it is, except for the referee, and nothing else.
    ///
    /// # Errors
    /// Those of [`Encoder::build`] and [`Referee::build`].
    pub fn build(
        checkpoint: &Checkpoint,
        numerics: &Numerics,
        precision: Precision,
        compute: &Compute,
    ) -> Result<AnyEncoder, BuildError> {
        Ok(match precision {
            Precision::F64 => AnyEncoder::Referee(Referee::build(checkpoint, numerics)?),
            _ => AnyEncoder::Contract(Encoder::build(checkpoint, numerics, precision, compute)?),
        })
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        match self {
            AnyEncoder::Contract(encoder) => encoder.dim(),
            AnyEncoder::Referee(referee) => referee.dim(),
        }
    }

    /// The embedding of every token, `(tokens, dim)`; the referee's rounded once.
    pub fn encode(&self, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        match self {
            AnyEncoder::Contract(encoder) => encoder.encode(rows, taps),
            AnyEncoder::Referee(referee) => {
                let embeddings = referee.encode(rows, taps);
                embeddings.into_iter().map(|value| value as f32).collect()
            }
        }
    }
}

/// Batches for each thread whose hashes may wait for those of batches before them. Of all modules of a batch they
/// take some 500 kB.
const BATCHES_OF_HASHES: usize = 8;

/// Documents that go through the encoder together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The number under which its taps are reported.
    pub number: usize,
    pub pids: Vec<usize>,
    /// The token ids of all of them, one behind the other.
    pub ids: Vec<u32>,
    /// How many each of them has.
    pub lengths: Vec<usize>,
}

/// Turns documents into embeddings. Clones share the weights.
#[derive(Clone)]
pub struct DocEncoder {
    pub encoder: Arc<AnyEncoder>,
    /// The tokenizer, for which tokens are kept.
    pub tokenizer: Arc<DocTokenizer>,
}

impl DocEncoder {
    /// Encodes batches side by side. Their taps go to `taps`, modules give on what `replacements` has instead
    /// of what they computed, and with the embeddings of each, which are `(tokens, dim)`, `take` is called;
    /// taps and embeddings come in the order of batches. `done` is told of each batch that is computed, in any
    /// order.
    ///
    /// # Errors
    /// When a tap cannot be taken, or replacements cannot be had or do not fit.
    pub fn encode(
        &self,
        batches: &[Batch],
        taps: Option<&dyn TapSink>,
        replacements: Option<&dyn Replacements>,
        done: impl Fn(&Batch) + Sync,
        mut take: impl FnMut(&Batch, Vec<f32>),
    ) -> Result<(), StageError> {
        // What all modules compute is large: where it is kept, no more batches at once than there are threads.
        // Hashes of it are not, but of very many batches they are.
        let at_once = match taps {
            Some(taps) if taps.wants_rows() => rayon::current_num_threads(),
            Some(_) => BATCHES_OF_HASHES * rayon::current_num_threads(),
            None if replacements.is_some() => rayon::current_num_threads(),
            None => batches.len(),
        };
        let encode = |batch: &Batch| {
            let encoded = self.encode_one(batch, taps, replacements);
            done(batch);
            encoded
        };
        for batches in batches.chunks(at_once.max(1)) {
            let encoded: Vec<_> = batches.par_iter().with_max_len(1).map(encode).collect();
            for (batch, encoded) in batches.iter().zip(encoded) {
                let (embeddings, taken) = encoded?;
                if let Some(sink) = taps {
                    taken.into_iter().try_for_each(|tap| sink.tap(tap))?;
                }
                take(batch, embeddings);
            }
        }
        Ok(())
    }

    fn encode_one(
        &self,
        batch: &Batch,
        taps: Option<&dyn TapSink>,
        replacements: Option<&dyn Replacements>,
    ) -> Result<(Vec<f32>, Vec<Tap>), StageError> {
        let lengths = batch.pids.iter().zip(&batch.lengths);
        let passages = lengths.map(|(&pid, &tokens)| TappedPassage { pid, tokens });
        let mut taps = TapsOfBatch::of(taps, replacements, batch.number, passages);
        let keep = self.tokenizer.keep_mask(&batch.ids);
        let rows = PackedRows {
            ids: &batch.ids,
            lengths: &batch.lengths,
            attend: None,
            keep: Some(&keep),
        };
        let embeddings = self.encoder.encode(&rows, &mut taps);
        Ok((embeddings, taps.into_taps()?))
    }
}
