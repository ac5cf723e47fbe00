//! `tokenize`: passages to token ids.

use std::sync::Arc;

use concord_pipeline::artifact::{PASSAGES, TENSORIZE_OUTPUT};
use concord_pipeline::{Call, Input, Output, Scope, Stage, StageError, Value};
use concord_tensor::{BitHash, Tensor};
use rayon::prelude::*;

use super::passages::texts_of;
use crate::tokenizer::DocTokenizer;

/// Token ids of each passage, marker and special tokens included, without padding.
pub struct Tokenize {
    /// The tokenizer.
    pub tokenizer: Arc<DocTokenizer>,
    /// The hash of the checkpoint that the tokenizer is from.
    pub checkpoint: BitHash,
    /// The most tokens of a passage.
    pub doc_maxlen: usize,
}

impl Stage for Tokenize {
    fn name(&self) -> &'static str {
        "tokenize"
    }

    fn settings(&self) -> String {
        format!(
            "checkpoint={} doc_maxlen={}",
            self.checkpoint, self.doc_maxlen
        )
    }

    fn inputs(&self) -> &[Input] {
        &[Input::SameChunk(PASSAGES)]
    }

    fn outputs(&self) -> &[Output] {
        const { &[Output::transient(TENSORIZE_OUTPUT)] }
    }

    fn scope(&self) -> Scope {
        Scope::EachChunk
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let texts = texts_of(&call.value(PASSAGES)?)?;
        let first = call.first_pid();
        let tokens = texts
            .par_iter()
            .enumerate()
            .map(|(at, text)| {
                let ids = self.tokenizer.encode_one(text);
                ids.map_err(|error| format!("passage {}: {error}", first + at))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let lengths: Vec<i64> = tokens.iter().map(|ids| ids.len() as i64).collect();
        let ids: Vec<i64> = tokens.iter().flatten().map(|&id| i64::from(id)).collect();
        Ok(vec![Value::of_fields([
            ("ids", Tensor::vector(ids)),
            ("lengths", Tensor::vector(lengths)),
        ])])
    }
}
