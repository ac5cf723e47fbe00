//! `sample_pids`: which passages are sampled.

use concord_pipeline::artifact::{NUM_PASSAGES, SAMPLED_PIDS};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;

use crate::sample::sampled_pids;

/// Draws the passages that centroids and buckets are learned from.
pub struct SamplePids {
    /// The seed of the draw.
    pub seed: u32,
}

impl SamplePids {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[Input::whole(Field::only(NUM_PASSAGES))],
        outputs: &[Output::stored(SAMPLED_PIDS)
            .with_options(&["seed"])
            .absorbed_by("the draw of the sample")],
        ..StageDeclaration::named("sample_pids", Scope::Once)
    };
}

impl Stage for SamplePids {
    fn declaration(&self) -> &'static StageDeclaration {
        &SamplePids::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("seed", self.seed)]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let passages = call.tensor(NUM_PASSAGES)?.as_slice::<i64>()?[0];
        let passages = u32::try_from(passages)
            .map_err(|_| format!("{passages} passages are more than an index numbers (2^32)"))?;
        Ok(vec![
            Tensor::vector(sampled_pids(self.seed, passages)).into(),
        ])
    }
}
