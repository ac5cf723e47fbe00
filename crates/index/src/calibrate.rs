//! The buckets of the residuals: where they are cut, and what each stands for.

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_kernels::linear::PackedWeights;
use concord_kernels::nearest::nearest_by_dot;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, SAMPLE_HELDOUT,
};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};
use rayon::prelude::*;

/// `calibrate`: cutoffs and weights are quantiles of the residuals of the held-out rows.
///
/// # Order of operations
/// A row's centroid is the one with the largest inner product. Residuals are `f32` differences. The mean
/// absolute residual is summed in `f64`, row by row, and rounded once.
pub struct Calibrate {
    /// Bits per residual dimension.
    pub nbits: usize,
    /// What to compute on.
    pub compute: Compute,
}

impl Calibrate {
    /// What the stage reads and makes.
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
        let mut residuals = residuals(
            &self.compute,
            heldout.as_slice()?,
            centroids.as_slice()?,
            heldout.row_len(),
        );
        let total: f64 = residuals.iter().map(|r| f64::from(r.abs())).sum();
        let average = (total / residuals.len() as f64) as f32;
        residuals.par_sort_unstable_by(f32::total_cmp);
        let buckets = 1usize << self.nbits;
        let level = |numerator: f64| quantile(&residuals, (numerator / buckets as f64) as f32);
        let cutoffs: Vec<f32> = (1..buckets).map(|i| level(i as f64)).collect();
        let weights: Vec<f32> = (0..buckets).map(|i| level(i as f64 + 0.5)).collect();
        Ok(vec![
            Tensor::vector(cutoffs).into(),
            Tensor::vector(weights).into(),
            Tensor::scalar(average).into(),
        ])
    }
}

fn residuals(compute: &Compute, rows: &[f32], centroids: &[f32], width: usize) -> Vec<f32> {
    let packed = PackedWeights::pack(centroids, centroids.len() / width, width);
    rows.par_chunks(1024 * width)
        .flat_map_iter(|rows| {
            let codes = nearest_by_dot(compute, rows, &packed);
            let centroids = codes
                .into_iter()
                .flat_map(|code| &centroids[code as usize * width..][..width]);
            rows.iter()
                .zip(centroids)
                .map(|(row, centroid)| row - centroid)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// `torch.quantile(values, level)` of ascending `values`, linear interpolation: the rank is computed in
/// `f32`, and the interpolation starts from the nearer end. NaN where there are no values.
fn quantile(sorted: &[f32], level: f32) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f32::NAN;
    };
    let rank = level * last as f32;
    let (low, high) = (rank.floor(), rank.ceil());
    let (a, b) = (
        sorted[(low as usize).min(last)],
        sorted[(high as usize).min(last)],
    );
    let weight = rank - low;
    if weight < 0.5 {
        a + weight * (b - a)
    } else {
        b - (b - a) * (1.0 - weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        let values = [0.0, 1.0, 2.0, 4.0];
        assert_eq!(quantile(&values, 0.0), 0.0);
        assert_eq!(quantile(&values, 0.5), 1.5);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert_eq!(quantile(&values, 0.75), 2.5);
        assert_eq!(quantile(&[3.0], 0.3), 3.0);
        assert!(quantile(&[], 0.3).is_nan());
    }
}
