//! `split`: training and held-out rows of the sample.

use concord_pipeline::artifact::{LOCAL_SAMPLE_EMBS, SAMPLE, SAMPLE_HELDOUT};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;
use half::f16;

use crate::sample::shuffle_and_split;

/// Shuffles the sample by torch's permutation; the last rows are held out.
pub struct Split {
    /// The seed of the permutation.
    pub seed: u32,
}

impl Split {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[Input::whole(Field::only(LOCAL_SAMPLE_EMBS))],
        outputs: &[
            Output::stored(SAMPLE)
                .with_options(&["seed"])
                .absorbed_by("the split, whose held-out part has all that differs"),
            Output::stored(SAMPLE_HELDOUT)
                .with_options(&["seed"])
                .absorbed_by("the split, whose training part has all that differs"),
        ],
        ..StageDeclaration::named("split", Scope::Once)
    };
}

impl Stage for Split {
    fn declaration(&self) -> &'static StageDeclaration {
        &Split::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("seed", self.seed)]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let embs = call.tensor(LOCAL_SAMPLE_EMBS)?;
        let width = embs.row_len();
        let (sample, heldout) = shuffle_and_split(self.seed, embs.as_slice::<f16>()?, width)?;
        let rows = |rows: Vec<f16>| Tensor::new(vec![rows.len() / width, width], rows);
        Ok(vec![rows(sample)?.into(), rows(heldout)?.into()])
    }
}
