//! `tokenize`: passages to token ids.

use std::sync::Arc;

use concord_pipeline::artifact::{PASSAGES, TENSORIZE_OUTPUT};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{BitHash, Tensor};
use rayon::prelude::*;

use super::cuts::{CutPassages, Cuts};
use super::passages::texts_of;
use crate::tokenizer::DocTokenizer;

/// Token ids of each passage, marker and special tokens included, without padding.
pub struct Tokenize {
    pub tokenizer: Arc<DocTokenizer>,
    /// The hash of the checkpoint that the tokenizer is from.
    pub checkpoint: BitHash,
    /// The most tokens of a passage.
    pub doc_maxlen: usize,
    /// Where it is counted what does not fit into that.
    pub cuts: Arc<Cuts>,
}

impl Tokenize {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::same_chunk(Field::new(PASSAGES, "text")),
            Input::same_chunk(Field::new(PASSAGES, "ends")),
        ],
        outputs: &[Output::transient(TENSORIZE_OUTPUT)
            .with_options(&["doc_maxlen"])
            .absorbed_by("the tokenizer, which sees no difference between the texts")],
        other_inputs: &["checkpoint"],
        ..StageDeclaration::named("tokenize", Scope::EachChunk)
    };
}

impl Stage for Tokenize {
    fn declaration(&self) -> &'static StageDeclaration {
        &Tokenize::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::new("checkpoint", self.checkpoint),
            Setting::new("doc_maxlen", self.doc_maxlen),
        ]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let (text, ends) = (call.field(PASSAGES, "text")?, call.field(PASSAGES, "ends")?);
        let texts = texts_of(&text, &ends)?;
        let first = call.first_pid();
        let tokens = texts
            .par_iter()
            .enumerate()
            .map(|(at, text)| {
                let encoded = self.tokenizer.encode_counted(text);
                encoded.map_err(|error| format!("passage {}: {error}", first + at))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let came_to = CutPassages {
            passages: tokens.len(),
            cut: tokens.iter().filter(|encoded| encoded.lost > 0).count(),
            lost: tokens.iter().map(|encoded| encoded.lost).sum(),
        };
        self.cuts.note(call.chunk(), came_to);
        let tokens = tokens.into_iter().map(|encoded| encoded.ids);
        let tokens: Vec<_> = tokens.collect();
        let lengths: Vec<i64> = tokens.iter().map(|ids| ids.len() as i64).collect();
        let ids: Vec<i64> = tokens.iter().flatten().map(|&id| i64::from(id)).collect();
        Ok(vec![Value::of_fields([
            ("ids", Tensor::vector(ids)),
            ("lengths", Tensor::vector(lengths)),
        ])])
    }
}
