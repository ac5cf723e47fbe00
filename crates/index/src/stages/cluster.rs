//! `cluster`: the centroids.

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_kernels::normalize::{Normalize, normalize};
use concord_pipeline::artifact::{CENTROIDS, PLAN, SAMPLE};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};

use super::work::report;
use crate::cluster::{KMeans, kmeans};

/// [K-means](kmeans) over the sample, then unit length.
pub struct Cluster {
    pub iterations: usize,
    /// How the centroids are brought to unit length.
    pub normalize: Normalize,
    pub compute: Compute,
}

impl Cluster {
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::whole(Field::new(PLAN, "num_partitions")),
            Input::whole(Field::only(SAMPLE)),
        ],
        outputs: &[Output::stored(CENTROIDS)
            .with_options(&["kmeans_niters"])
            .absorbed_by("k-means, whose means round to the same")],
        arithmetic: &["contract", "normalize"],
        ..StageDeclaration::named("cluster", Scope::Once)
    };
}

impl Stage for Cluster {
    fn declaration(&self) -> &'static StageDeclaration {
        &Cluster::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::new("kmeans_niters", self.iterations),
            Setting::new("contract", CONTRACT_VERSION),
            Setting::new("normalize", self.normalize),
        ]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let centroids = call.field(PLAN, "num_partitions")?.as_slice::<i64>()?[0] as usize;
        let sample = call.tensor(SAMPLE)?.cast(DType::F32)?;
        let width = sample.row_len();
        let wanted = KMeans {
            centroids,
            iterations: self.iterations,
        };
        let advanced = |done: usize| {
            call.advanced(done as u64, self.iterations as u64, "iterations");
        };
        let rows = sample.as_slice()?;
        let trained = kmeans(&self.compute, rows, width, wanted, &advanced)?;
        report(call, trained.work);
        let mut trained = trained.centroids;
        normalize(&self.compute, self.normalize, &mut trained, width);
        Ok(vec![Tensor::new(vec![centroids, width], trained)?.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_out() {
        for (normalize, written) in [
            (Normalize::Divide, "normalize=divide"),
            (Normalize::Rsqrt, "normalize=rsqrt"),
        ] {
            let stage = Cluster {
                iterations: 4,
                normalize,
                compute: Compute::scalar(),
            };
            let settings = stage.settings();
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let contract = format!("contract={CONTRACT_VERSION}");
            assert_eq!(settings, ["kmeans_niters=4", &contract, written]);
        }
    }
}
