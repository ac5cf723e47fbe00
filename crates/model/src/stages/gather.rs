//! `gather`: the embeddings of the tokens that are kept.

use concord_pipeline::artifact::{BATCHES, D, DOCLENS, EMBS, TENSORIZE_OUTPUT};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};

/// Drops the rows of tokens that are not kept, counts the others per passage, and rounds to f16.
pub struct Gather;

impl Gather {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::same_chunk(Field::new(TENSORIZE_OUTPUT, "lengths")),
            Input::same_chunk(Field::new(BATCHES, "D_")),
            Input::same_chunk(Field::new(BATCHES, "mask_")),
        ],
        outputs: &[
            Output::transient(D)
                .made_from(&[Field::new(BATCHES, "D_"), Field::new(BATCHES, "mask_")])
                .absorbed_by("the mask: only tokens that are not kept differ"),
            Output::stored(DOCLENS)
                .made_from(&[
                    Field::new(TENSORIZE_OUTPUT, "lengths"),
                    Field::new(BATCHES, "mask_"),
                ])
                .absorbed_by("counting: as many tokens are kept"),
            Output::stored(EMBS)
                .made_from(&[])
                .and_outputs(&[D])
                .absorbed_by("rounding to half precision"),
        ],
        // The reference pools embeddings here. This graph does not: a checkpoint that asks for it is refused.
        configuration: &["pool_factor", "protected_tokens"],
        ..StageDeclaration::named("gather", Scope::EachChunk)
    };
}

impl Stage for Gather {
    fn declaration(&self) -> &'static StageDeclaration {
        &Gather::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        Vec::new()
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
