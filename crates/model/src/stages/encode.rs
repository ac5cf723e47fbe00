//! `encode`: token ids to the embedding of every token.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::isa::Isa;
use concord_pipeline::artifact::{BATCHES, TENSORIZE_OUTPUT};
use concord_pipeline::grid::GROUP;
use concord_pipeline::{
    Call, Input, Output, Scope, Stage, StageError, Tap, TapSink, TappedPassage, Value,
};
use concord_tensor::{BitHash, Tensor};
use rayon::prelude::*;

use crate::encoder::{Encoder, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use crate::tokenizer::{BatchPlan, DocTokenizer};

/// Runs the encoder over the passages of a chunk, in batches of passages of like length.
pub struct Encode {
    /// The encoder.
    pub encoder: Arc<Encoder>,
    /// The tokenizer, for which tokens are kept.
    pub tokenizer: Arc<DocTokenizer>,
    /// The hash of the checkpoint.
    pub checkpoint: BitHash,
    /// What the encoder does otherwise than the contract.
    pub numerics: Numerics,
    /// Passages in a batch.
    pub batch: NonZeroUsize,
    /// The instruction set to compute on.
    pub isa: Isa,
}

/// One batch: places of its passages in the chunk, and their rows.
struct Batch {
    number: usize,
    places: Vec<usize>,
    ids: Vec<u32>,
    lengths: Vec<usize>,
}

impl Encode {
    fn batches(&self, chunk: usize, ids: &[u32], lengths: &[usize]) -> Vec<Batch> {
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |start, length| {
                *start += length;
                Some(*start - length)
            })
            .collect();
        let before = chunk * GROUP.div_ceil(self.batch.get());
        BatchPlan::new(lengths, self.batch)
            .slices()
            .enumerate()
            .map(|(number, places)| Batch {
                number: before + number,
                places: places.to_vec(),
                ids: places
                    .iter()
                    .flat_map(|&p| &ids[starts[p]..][..lengths[p]])
                    .copied()
                    .collect(),
                lengths: places.iter().map(|&place| lengths[place]).collect(),
            })
            .collect()
    }

    /// The embeddings `(tokens, dim)` of a batch and what was tapped on the way.
    fn encode(
        &self,
        batch: &Batch,
        first_pid: usize,
        sink: Option<&dyn TapSink>,
    ) -> (Vec<f32>, Vec<Tap>) {
        let passages = batch.places.iter().zip(&batch.lengths);
        let passages = passages.map(|(place, &tokens)| TappedPassage {
            pid: first_pid + place,
            tokens,
        });
        let mut taps = match sink {
            Some(sink) => TapsOfBatch::of(sink, batch.number, passages),
            None => TapsOfBatch::none(),
        };
        let keep = self.tokenizer.keep_mask(&batch.ids);
        let rows = PackedRows {
            ids: &batch.ids,
            lengths: &batch.lengths,
            attend: None,
            keep: Some(&keep),
        };
        let embeddings = self.encoder.encode(self.isa, &rows, &mut taps);
        (embeddings, taps.into_taps())
    }
}

impl Stage for Encode {
    fn name(&self) -> &'static str {
        "encode"
    }

    fn settings(&self) -> String {
        let mut settings = format!("checkpoint={} contract={CONTRACT_VERSION}", self.checkpoint);
        for word in self.numerics.words() {
            settings.push_str(&format!(" {word}"));
        }
        if !self.numerics.is_batch_invariant() {
            settings.push_str(&format!(" batch={}", self.batch));
        }
        settings
    }

    fn inputs(&self) -> &[Input] {
        &[Input::SameChunk(TENSORIZE_OUTPUT)]
    }

    fn outputs(&self) -> &[Output] {
        const { &[Output::transient(BATCHES)] }
    }

    fn scope(&self) -> Scope {
        Scope::EachChunk
    }

    fn has_taps(&self) -> bool {
        true
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let ids = call.field(TENSORIZE_OUTPUT, "ids")?;
        let ids: Vec<u32> = ids
            .as_slice::<i64>()?
            .iter()
            .map(|&id| u32::try_from(id))
            .collect::<Result<_, _>>()?;
        let lengths = call.field(TENSORIZE_OUTPUT, "lengths")?;
        let lengths: Vec<usize> = lengths
            .as_slice::<i64>()?
            .iter()
            .map(|&length| usize::try_from(length))
            .collect::<Result<_, _>>()?;
        let batches = self.batches(call.chunk(), &ids, &lengths);
        let (sink, first_pid) = (call.taps(), call.first_pid());
        // Taps of all modules are large: no more batches at once than there are threads.
        let at_once = if sink.is_some() {
            rayon::current_num_threads()
        } else {
            batches.len()
        };
        let (progress, total) = (call.progress(), call.passages() as u64);
        let advanced = |done: usize| progress((first_pid + done) as u64, total, "passages");
        advanced(0);
        let done = AtomicUsize::new(0);
        let encode = |batch: &Batch| {
            let encoded = self.encode(batch, first_pid, sink);
            let passages = batch.places.len();
            let done = done.fetch_add(passages, Ordering::Relaxed) + passages;
            // That the chunk is done is reported when its outputs are kept.
            if done < lengths.len() {
                advanced(done);
            }
            encoded
        };
        let mut of_passage: Vec<Vec<f32>> = vec![Vec::new(); lengths.len()];
        let dim = self.encoder.dim();
        for batches in batches.chunks(at_once.max(1)) {
            let encoded: Vec<_> = batches.par_iter().map(encode).collect();
            for (batch, (embeddings, taps)) in batches.iter().zip(encoded) {
                if let Some(sink) = sink {
                    taps.into_iter().try_for_each(|tap| sink.tap(tap))?;
                }
                let mut rows = embeddings.as_slice();
                for (&place, &length) in batch.places.iter().zip(&batch.lengths) {
                    let (own, rest) = rows.split_at(length * dim);
                    of_passage[place] = own.to_vec();
                    rows = rest;
                }
            }
        }
        let mask = self.tokenizer.keep_mask(&ids);
        Ok(vec![Value::of_fields([
            (
                "D_",
                Tensor::new(vec![ids.len(), dim], of_passage.concat())?,
            ),
            ("mask_", Tensor::vector(mask)),
        ])])
    }
}
