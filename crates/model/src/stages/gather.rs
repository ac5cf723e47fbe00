//! `gather`: the embeddings of the tokens that are kept.

use concord_pipeline::artifact::{BATCHES, D, DOCLENS, EMBS, TENSORIZE_OUTPUT};
use concord_pipeline::{Call, Input, Output, Scope, Stage, StageError, Value};
use concord_tensor::{DType, Tensor};

/// Drops the rows of tokens that are not kept, counts the others per passage, and rounds to f16.
pub struct Gather;

impl Stage for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn inputs(&self) -> &[Input] {
        &[
            Input::SameChunk(TENSORIZE_OUTPUT),
            Input::SameChunk(BATCHES),
        ]
    }

    fn outputs(&self) -> &[Output] {
        const {
            &[
                Output::transient(D),
                Output::stored(DOCLENS),
                Output::stored(EMBS),
            ]
        }
    }

    fn scope(&self) -> Scope {
        Scope::EachChunk
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let rows = call.field(BATCHES, "D_")?;
        let mask = call.field(BATCHES, "mask_")?;
        let mask = mask.as_slice::<bool>()?;
        let width = rows.row_len();
        let mut kept = Vec::new();
        for (row, &keep) in rows.as_slice::<f32>()?.chunks_exact(width).zip(mask) {
            if keep {
                kept.extend_from_slice(row);
            }
        }
        let lengths = call.field(TENSORIZE_OUTPUT, "lengths")?;
        let mut rest = mask;
        let mut doclens = Vec::with_capacity(lengths.len());
        for &length in lengths.as_slice::<i64>()? {
            let (own, others) = rest.split_at(length as usize);
            doclens.push(own.iter().filter(|&&keep| keep).count() as i64);
            rest = others;
        }
        let embeddings = Tensor::new(vec![kept.len() / width, width], kept)?;
        let rounded = embeddings.cast(DType::F16)?;
        Ok(vec![
            embeddings.into(),
            Tensor::vector(doclens).into(),
            rounded.into(),
        ])
    }
}
