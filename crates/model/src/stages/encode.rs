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
    pub precision: Precision,
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
        settings(self.checkpoint, &self.numerics, self.precision, self.batch)
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

/// Everything beside the tokens that the embeddings depend on.
fn settings(
    checkpoint: BitHash,
    numerics: &Numerics,
    precision: Precision,
    batch: NonZeroUsize,
) -> Vec<Setting> {
    let mut settings = vec![
        Setting::new("checkpoint", checkpoint),
        Setting::new("contract", CONTRACT_VERSION),
        Setting::new("numerics", numerics.options().join(" ")),
        Setting::new("precision", precision),
    ];
    if !numerics.is_batch_invariant() {
        settings.push(Setting::new("batch", batch));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(words: &[&str], patches: &[&str], precision: Precision) -> Vec<String> {
        let numerics = Numerics {
            variants: words.iter().map(|word| word.parse().unwrap()).collect(),
            patches: patches.iter().map(|word| word.parse().unwrap()).collect(),
        };
        let batch = NonZeroUsize::new(64).unwrap();
        let settings = settings(BitHash::of_bytes(b""), &numerics, precision, batch);
        settings[1..].iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_are_written_out() {
        let contract = format!("contract={CONTRACT_VERSION}");
        for (words, numerics) in [
            (&[][..], "numerics="),
            (&["gemm=split-k:4"], "numerics=gemm=split-k:4"),
            (
                &["gemm=chunk:7", "ties=last"],
                "numerics=gemm=chunk:7 ties=last",
            ),
            (&["gelu=erf", "gelu=tanh"], "numerics=gelu=erf gelu=tanh"),
            (&["layer_norm=one-pass"], "numerics=layer_norm=one-pass"),
            (&["layer_norm=two-pass"], "numerics=layer_norm=two-pass"),
            (&["normalize=rsqrt"], "numerics=normalize=rsqrt"),
        ] {
            let expected = [contract.as_str(), numerics, "precision=f32"];
            assert_eq!(written(words, &[], Precision::F32), expected);
        }
        for (precision, name) in [
            (Precision::F16, "precision=f16"),
            (Precision::Bf16, "precision=bf16"),
            (Precision::Int8, "precision=int8"),
            (Precision::F64, "precision=f64"),
        ] {
            assert_eq!(written(&[], &[], precision)[2], name);
        }
        let patched = written(
            &[],
            &["linear:identity", "bert:gemm=chunk:3"],
            Precision::F32,
        );
        assert_eq!(patched[1], "numerics=linear:identity bert:gemm=chunk:3");
    }

    #[test]
    fn the_batch_is_among_them_where_the_bits_depend_on_it() {
        let words = written(&["gemm=matrixmultiply"], &[], Precision::F32);
        assert_eq!(words[3], "batch=64");
        let words = written(&["gemm=split-k:3@640"], &[], Precision::F32);
        assert_eq!(
            (words[1].as_str(), words[3].as_str()),
            ("numerics=gemm=split-k:3@640", "batch=64")
        );
    }
}
