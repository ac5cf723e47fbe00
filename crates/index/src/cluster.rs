//! K-means with the semantics of faiss: the centroids.

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_kernels::linear::PackedWeights;
use concord_kernels::nearest::{nearest_by_l2, squared_norms};
use concord_kernels::normalize::{Normalize, normalize};
use concord_pipeline::artifact::{CENTROIDS, PLAN, SAMPLE};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::random::{MersenneTwister, permutation};

/// faiss' seed for its own draws, as the reference sets it; the initial centroids are drawn with the
/// next one.
const FAISS_SEED: u32 = 123;

/// faiss' seed for the splitting of empty clusters, fresh in every iteration.
const SPLIT_SEED: u32 = 1234;

/// More training rows than this per centroid are not used.
const MOST_ROWS_PER_CENTROID: usize = 256;

/// By how much the two halves of a split cluster are moved apart.
const SPLIT_STEP: f32 = 1.0 / 1024.0;

/// Rows that one task assigns; a fixed number, so that the work does not depend on the threads.
const ROWS_PER_TASK: usize = 2048;

/// `cluster`: k-means over the sample, then unit length.
///
/// # Order of operations
/// Rows are assigned by [`nearest_by_l2`]. A centroid is the `f32` sum of its rows in their order,
/// starting from zero, times the rounded reciprocal of their number.
pub struct Cluster {
    /// The number of iterations.
    pub iterations: usize,
    /// How the centroids are brought to unit length.
    pub normalize: Normalize,
    /// What to compute on.
    pub compute: Compute,
}

impl Cluster {
    /// What the stage reads and makes.
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
        let count = call.field(PLAN, "num_partitions")?.as_slice::<i64>()?[0] as usize;
        let sample = call.tensor(SAMPLE)?.cast(DType::F32)?;
        let width = sample.row_len();
        if sample.rows() < count {
            return Err(format!(
                "{count} centroids cannot be trained on {} rows",
                sample.rows()
            )
            .into());
        }
        let advanced = |done: usize| {
            call.advanced(done as u64, self.iterations as u64, "iterations");
        };
        let mut centroids = kmeans(
            &self.compute,
            sample.as_slice()?,
            width,
            count,
            self.iterations,
            &advanced,
        );
        normalize(&self.compute, self.normalize, &mut centroids, width);
        Ok(vec![Tensor::new(vec![count, width], centroids)?.into()])
    }
}

/// faiss' k-means: `count` centroids of `rows` `(n, width)`, `n ≥ count`.
fn kmeans(
    compute: &Compute,
    rows: &[f32],
    width: usize,
    count: usize,
    iterations: usize,
    advanced: &dyn Fn(usize),
) -> Vec<f32> {
    let subsampled;
    let mut rows = rows;
    if rows.len() / width > MOST_ROWS_PER_CENTROID * count {
        let chosen = permutation(FAISS_SEED, rows.len() / width);
        subsampled = gather(rows, width, &chosen[..MOST_ROWS_PER_CENTROID * count]);
        rows = &subsampled;
    }
    let available = rows.len() / width;
    if available == count {
        return rows.to_vec();
    }
    let mut centroids = gather(
        rows,
        width,
        &permutation(FAISS_SEED + 1, available)[..count],
    );
    let mut before = Vec::new();
    for iteration in 0..iterations {
        advanced(iteration);
        let assigned = assign(compute, rows, width, &centroids);
        let split = update(rows, width, &assigned, &mut centroids);
        if !split && assigned == before {
            // The centroids are those of the last iteration, and will be those of every further one.
            break;
        }
        before = assigned;
    }
    if iterations > 0 {
        advanced(iterations);
    }
    centroids
}

fn gather(rows: &[f32], width: usize, chosen: &[u32]) -> Vec<f32> {
    chosen
        .iter()
        .flat_map(|&row| &rows[row as usize * width..(row as usize + 1) * width])
        .copied()
        .collect()
}

fn assign(compute: &Compute, rows: &[f32], width: usize, centroids: &[f32]) -> Vec<u32> {
    let packed = PackedWeights::pack(centroids, centroids.len() / width, width);
    let norms = squared_norms(compute, centroids, width);
    rows.par_chunks(ROWS_PER_TASK * width)
        .flat_map_iter(|rows| nearest_by_l2(compute, rows, &packed, &norms))
        .map(|(centroid, _)| centroid)
        .collect()
}

/// Moves every centroid to the mean of its rows. Returns whether an empty cluster had to be filled.
fn update(rows: &[f32], width: usize, assigned: &[u32], centroids: &mut [f32]) -> bool {
    let count = centroids.len() / width;
    let mut sizes = vec![0.0f32; count];
    centroids.fill(0.0);
    for (row, &centroid) in rows.chunks_exact(width).zip(assigned) {
        let centroid = centroid as usize;
        sizes[centroid] += 1.0;
        for (sum, value) in centroids[centroid * width..][..width].iter_mut().zip(row) {
            *sum += value;
        }
    }
    for (centroid, &size) in centroids.chunks_exact_mut(width).zip(&sizes) {
        if size > 0.0 {
            let scale = 1.0 / size;
            centroid.iter_mut().for_each(|value| *value *= scale);
        }
    }
    split_empty(centroids, width, &mut sizes, assigned.len())
}

/// Fills each empty cluster with half of another, drawn with a chance that grows with its size.
fn split_empty(centroids: &mut [f32], width: usize, sizes: &mut [f32], rows: usize) -> bool {
    let count = sizes.len();
    let mut twister = MersenneTwister::from_number(SPLIT_SEED);
    let mut split = false;
    for empty in 0..count {
        if sizes[empty] != 0.0 {
            continue;
        }
        split = true;
        let mut donor = 0;
        loop {
            let chance = (f64::from(sizes[donor]) - 1.0) / f64::from((rows - count) as f32);
            if f64::from(twister.unit_f32()) < chance {
                break;
            }
            donor = (donor + 1) % count;
        }
        for dimension in 0..width {
            let value = centroids[donor * width + dimension];
            let step = if dimension % 2 == 0 {
                SPLIT_STEP
            } else {
                -SPLIT_STEP
            };
            centroids[empty * width + dimension] = value * (1.0 + step);
            centroids[donor * width + dimension] = value * (1.0 - step);
        }
        sizes[empty] = sizes[donor] / 2.0;
        sizes[donor] -= sizes[empty];
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(count: usize, width: usize) -> Vec<f32> {
        let mut twister = MersenneTwister::from_number(7);
        (0..count * width)
            .map(|_| twister.unit_f32() - 0.5)
            .collect()
    }

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

    #[test]
    fn as_many_rows_as_centroids_are_the_centroids() {
        let rows = spread(8, 4);
        assert_eq!(kmeans(&Compute::fastest(), &rows, 4, 8, 3, &|_| ()), rows);
    }

    #[test]
    fn empty_clusters_are_filled_from_large_ones() {
        // Two distinct rows, many times each, leave all but two of the clusters empty.
        let rows: Vec<f32> = (0..64)
            .flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] })
            .collect();
        let mut centroids = gather(&rows, 2, &[0, 1, 2, 3]);
        let assigned = assign(&Compute::scalar(), &rows, 2, &centroids);
        assert!(update(&rows, 2, &assigned, &mut centroids));
        assert_eq!(centroids.iter().filter(|v| v.is_nan()).count(), 0);
        let distinct: std::collections::BTreeSet<Vec<u32>> = centroids
            .chunks(2)
            .map(|c| c.iter().map(|v| v.to_bits()).collect())
            .collect();
        assert_eq!(distinct.len(), 4, "{centroids:?}");
    }

    #[test]
    fn stopping_at_a_fixed_point_changes_nothing() {
        let rows = spread(400, 8);
        let long = kmeans(&Compute::fastest(), &rows, 8, 16, 200, &|_| ());
        assert_eq!(
            long,
            kmeans(&Compute::fastest(), &rows, 8, 16, 1000, &|_| ())
        );
    }

    #[test]
    fn the_threads_do_not_matter() {
        let rows = spread(9000, 8);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| kmeans(&Compute::fastest(), &rows, 8, 32, 5, &|_| ()))
        };
        assert_eq!(run(1), run(3));
    }
}
