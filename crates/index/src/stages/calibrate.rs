//! `calibrate`: cutoffs and weights of the buckets.

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, SAMPLE_HELDOUT,
};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};

use crate::calibrate::calibrate;

/// [Calibrates](calibrate) the buckets on the held-out rows. The centroids are those in `f32`: the reference computes
/// buckets before it saves the centroids.
pub struct Calibrate {
    /// Bits per residual dimension.
    pub nbits: usize,
    pub compute: Compute,
}

impl Calibrate {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::only(SAMPLE_HELDOUT)),
            Input::whole(Field::only(CENTROIDS)),
        ],
        outputs: &[
            Output::stored(BUCKET_CUTOFFS)
                .with_options(&["nbits"])
                .absorbed_by("the quantiles, which fall on values that agree"),
            Output::stored(BUCKET_WEIGHTS)
                .with_options(&["nbits"])
                .absorbed_by("the quantiles, which fall on values that agree"),
            Output::stored(AVG_RESIDUAL).absorbed_by("the mean, which rounds to the same"),
        ],
        arithmetic: &["contract"],
        ..StageDeclaration::named("calibrate", Scope::Once)
    };
}

impl Stage for Calibrate {
    fn declaration(&self) -> &'static StageDeclaration {
        &Calibrate::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::new("nbits", self.nbits),
            Setting::new("contract", CONTRACT_VERSION),
        ]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let heldout = call.tensor(SAMPLE_HELDOUT)?.cast(DType::F32)?;
        let centroids = call.tensor(CENTROIDS)?.cast(DType::F32)?;
        let (rows, width) = (heldout.as_slice()?, heldout.row_len());
        let centroids = centroids.as_slice()?;
        let buckets = calibrate(&self.compute, rows, centroids, width, self.nbits)?;
        Ok(vec![
            Tensor::vector(buckets.cutoffs).into(),
            Tensor::vector(buckets.weights).into(),
            Tensor::scalar(buckets.average).into(),
        ])
    }
}
