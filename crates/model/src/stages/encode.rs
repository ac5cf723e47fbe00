//! `encode`: token ids to the embedding of every token.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use concord_kernels::CONTRACT_VERSION;
use concord_pipeline::artifact::{BATCHES, TENSORIZE_OUTPUT};
use concord_pipeline::grid::GROUP;
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{BitHash, Tensor};

use crate::document::{Batch, DocEncoder};
use crate::numerics::Numerics;
use crate::precision::Precision;
use crate::tokenizer::BatchPlan;

/// Runs the encoder over the passages of a chunk, in batches of passages of like length.
pub struct Encode {
    /// The encoder, with the tokenizer.
    pub encoder: DocEncoder,
    /// The hash of the checkpoint.
    pub checkpoint: BitHash,
    /// What the encoder does otherwise than the contract.
    pub numerics: Numerics,
    /// The encoder's precision.
    pub precision: Precision,
    /// Passages in a batch.
    pub batch: NonZeroUsize,
}

impl Encode {
    /// The batches of a chunk: places of passages in it, and their tokens.
    fn batches(&self, call: &Call<'_>, ids: &[u32], lengths: &[usize]) -> Vec<Batch> {
        let starts: Vec<usize> = lengths
            .iter()
            .scan(0, |start, length| {
                *start += length;
                Some(*start - length)
            })
            .collect();
        let before = call.chunk() * GROUP.div_ceil(self.batch.get());
        BatchPlan::new(lengths, self.batch)
            .slices()
            .enumerate()
            .map(|(number, places)| Batch {
                number: before + number,
                pids: places
                    .iter()
                    .map(|place| call.first_pid() + place)
                    .collect(),
                ids: places
                    .iter()
                    .flat_map(|&p| &ids[starts[p]..][..lengths[p]])
                    .copied()
                    .collect(),
                lengths: places.iter().map(|&place| lengths[place]).collect(),
            })
            .collect()
    }
}

impl Encode {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::same_chunk(Field::new(TENSORIZE_OUTPUT, "ids")),
            Input::same_chunk(Field::new(TENSORIZE_OUTPUT, "lengths")),
        ],
        outputs: &[Output::transient(BATCHES).absorbed_by("the encoder")],
        other_inputs: &["checkpoint"],
        configuration: &["dim", "mask_punctuation", "similarity"],
        arithmetic: &["contract", "numerics", "precision", "batch"],
        ..StageDeclaration::named("encode", Scope::EachChunk)
    };
}

impl Stage for Encode {
    fn declaration(&self) -> &'static StageDeclaration {
        &Encode::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![
            Setting::new("checkpoint", self.checkpoint),
            Setting::new("contract", CONTRACT_VERSION),
            Setting::new("numerics", self.numerics.words().join(" ")),
            Setting::new("precision", self.precision),
        ];
        if !self.numerics.is_batch_invariant() {
            settings.push(Setting::new("batch", self.batch));
        }
        settings
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
        let batches = self.batches(call, &ids, &lengths);
        let first_pid = call.first_pid();
        let (progress, total) = (call.progress(), call.passages() as u64);
        let advanced = |done: usize| progress((first_pid + done) as u64, total, "passages");
        advanced(0);
        let done = AtomicUsize::new(0);
        let batch_done = |batch: &Batch| {
            let passages = batch.pids.len();
            let done = done.fetch_add(passages, Ordering::Relaxed) + passages;
            // That the chunk is done is reported when its outputs are kept.
            if done < lengths.len() {
                advanced(done);
            }
        };
        let mut of_passage: Vec<Vec<f32>> = vec![Vec::new(); lengths.len()];
        let dim = self.encoder.encoder.dim();
        let keep = |batch: &Batch, embeddings: Vec<f32>| {
            let mut rows = embeddings.as_slice();
            for (pid, &length) in batch.pids.iter().zip(&batch.lengths) {
                let (own, rest) = rows.split_at(length * dim);
                of_passage[pid - first_pid] = own.to_vec();
                rows = rest;
            }
        };
        self.encoder
            .encode(&batches, call.taps(), None, batch_done, keep)?;
        let mask = self.encoder.tokenizer.keep_mask(&ids);
        Ok(vec![Value::of_fields([
            (
                "D_",
                Tensor::new(vec![ids.len(), dim], of_passage.concat())?,
            ),
            ("mask_", Tensor::vector(mask)),
        ])])
    }
}
