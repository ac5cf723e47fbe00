//! `sample`: the embeddings of the sampled passages, and the sizes derived from them.

use std::num::NonZeroUsize;

use concord_pipeline::artifact::{
    DOCLENS, EMBS, LOCAL_SAMPLE_EMBS, NUM_PASSAGES, PLAN, SAMPLED_PIDS,
};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::Tensor;
use half::f16;

use crate::plan::Plan;
use crate::sample::PassageSample;

/// Picks the embeddings of the sampled passages, and plans the index. The mean length of the sampled passages is
/// rounded to f32.
#[derive(Default)]
pub struct Sample {
    /// So many centroids, instead of those by the rule.
    pub partitions: Option<NonZeroUsize>,
}

impl Sample {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::only(NUM_PASSAGES)),
            Input::whole(Field::only(SAMPLED_PIDS)),
            Input::whole(Field::only(DOCLENS)),
            Input::whole(Field::only(EMBS)),
        ],
        outputs: &[
            Output::stored(LOCAL_SAMPLE_EMBS)
                .made_from(&[
                    Field::only(SAMPLED_PIDS),
                    Field::only(DOCLENS),
                    Field::only(EMBS),
                ])
                .absorbed_by("the sample, which holds none of the passages that differ"),
            Output::stored(PLAN)
                .made_from(&[
                    Field::only(NUM_PASSAGES),
                    Field::only(SAMPLED_PIDS),
                    Field::only(DOCLENS),
                ])
                .with_options(&["partitions"])
                .absorbed_by("rounding the number of centroids to a power of two"),
        ],
        ..StageDeclaration::named("sample", Scope::Once)
    };
}

impl Stage for Sample {
    fn declaration(&self) -> &'static StageDeclaration {
        &Sample::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        // Where nothing is asked for, nothing is said, so that what was remembered before there was a choice counts.
        let partitions = self.partitions.map(|n| Setting::new("partitions", n));
        partitions.into_iter().collect()
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let passages = call.tensor(NUM_PASSAGES)?.as_slice::<i64>()?[0];
        let pids = call.tensor(SAMPLED_PIDS)?;
        let pids = pids.as_slice::<i64>()?;
        let mut sample = PassageSample::of(pids);
        for (embs, doclens) in call.chunks(EMBS)?.zip(call.chunks(DOCLENS)?) {
            let (embs, doclens) = (embs?, doclens?);
            let values = embs.as_slice::<f16>()?;
            sample.add(values, embs.row_len(), doclens.as_slice()?)?;
        }
        let sample = sample.finish();
        let count = sample.rows.len() / sample.width.max(1);
        let mean = (sample.tokens as f64 / pids.len() as f64) as f32;
        let plan = Plan::of(passages as f64, mean, count).with_partitions(self.partitions, count);
        Ok(vec![
            Tensor::new(vec![count, sample.width], sample.rows)?.into(),
            plan.into_value(),
        ])
    }
}
