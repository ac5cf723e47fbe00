//! K-means with the semantics of faiss: the centroids.

use concord_kernels::closest::{Centroids, Measure, Work};
use concord_kernels::compute::Compute;
use rayon::prelude::*;

use crate::random::{MersenneTwister, permutation};
use crate::rows::{self, NotRows};

/// faiss' seed for its own draws, as the reference sets it; the initial centroids are drawn with the
/// next one.
const FAISS_SEED: u32 = 123;

/// faiss' seed for the splitting of empty clusters, fresh in every iteration.
const SPLIT_SEED: u32 = 1234;

/// More training rows than this per centroid are not used.
const MAX_ROWS_PER_CENTROID: usize = 256;

/// By how much the two halves of a split cluster are moved apart.
const SPLIT_STEP: f32 = 1.0 / 1024.0;

/// Rows that one task assigns; a fixed number, so that the work does not depend on the threads.
const ROWS_PER_TASK: usize = 2048;

/// What k-means makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KMeans {
    pub centroids: usize,
    /// Iterations, of which those are left out that would change nothing.
    pub iterations: usize,
}

/// What k-means made, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// `(C, width)`.
    pub centroids: Vec<f32>,
    /// Of all iterations together.
    pub work: Work,
}

/// Why centroids cannot be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KMeansError {
    #[error("{centroids} centroids cannot be trained on {rows} rows")]
    TooFewRows { centroids: usize, rows: usize },
    /// There is nothing to assign rows to.
    #[error("there are no centroids")]
    NoCentroids,
    #[error(transparent)]
    Rows(#[from] NotRows),
}

/// faiss' k-means: centroids `(centroids, width)` of `rows` `(n, width)`. `advanced` is told how many iterations
/// are done.
///
/// # Order of operations
/// Rows are [assigned](assign) to the nearest centroid. A centroid is the `f32` sum of its rows in their order,
/// starting from zero, times the rounded reciprocal of their number. The threads of `compute` decide nothing.
///
/// # Errors
/// [`KMeansError`].
pub fn kmeans(
    compute: &Compute,
    rows: &[f32],
    width: usize,
    wanted: KMeans,
    advanced: &dyn Fn(usize),
) -> Result<Trained, KMeansError> {
    let (count, available) = (wanted.centroids, rows::count(rows.len(), width)?);
    if available < count {
        return Err(KMeansError::TooFewRows {
            centroids: count,
            rows: available,
        });
    }
    let subsampled;
    let mut rows = rows;
    if available > MAX_ROWS_PER_CENTROID * count {
        let chosen = permutation(FAISS_SEED, available);
        subsampled = rows::gather(rows, width, &chosen[..MAX_ROWS_PER_CENTROID * count]);
        rows = &subsampled;
    }
    let available = rows.len() / width;
    let mut work = Work::default();
    if available == count {
        let centroids = rows.to_vec();
        return Ok(Trained { centroids, work });
    }
    let first = permutation(FAISS_SEED + 1, available);
    let mut centroids = rows::gather(rows, width, &first[..count]);
    let mut before: Option<Vec<u32>> = None;
    for iteration in 0..wanted.iterations {
        advanced(iteration);
        let (assigned, done) = nearest(compute, rows, width, &centroids, before.as_deref());
        work += done;
        let split = update(rows, width, &assigned, &mut centroids);
        if !split && before.as_ref() == Some(&assigned) {
            // The centroids are those of the last iteration, and will be those of every further one.
            break;
        }
        before = Some(assigned);
    }
    if wanted.iterations > 0 {
        advanced(wanted.iterations);
    }
    Ok(Trained { centroids, work })
}

/// The nearest of `centroids` `(C, width)` to each of `rows` `(n, width)` by Euclidean distance, the first of
/// those equally near: [`Measure::L2`].
///
/// # Errors
/// When either is no whole number of rows, or there are no centroids.
pub fn assign(
    compute: &Compute,
    rows: &[f32],
    width: usize,
    centroids: &[f32],
) -> Result<Vec<u32>, KMeansError> {
    rows::count(rows.len(), width)?;
    if rows::count(centroids.len(), width)? == 0 {
        return Err(KMeansError::NoCentroids);
    }
    Ok(nearest(compute, rows, width, centroids, None).0)
}

/// [`assign`]; `before` is what the rows were assigned to when the centroids were nearly the same.
fn nearest(
    compute: &Compute,
    rows: &[f32],
    width: usize,
    centroids: &[f32],
    before: Option<&[u32]>,
) -> (Vec<u32>, Work) {
    let centroids = Centroids::new(compute, centroids, width, Measure::L2);
    let parts: Vec<(Vec<u32>, Work)> = rows
        .par_chunks(ROWS_PER_TASK * width)
        .enumerate()
        .map(|(task, rows)| {
            let first = task * ROWS_PER_TASK;
            let before = before.map(|before| &before[first..first + rows.len() / width]);
            centroids.nearest(compute, rows, before)
        })
        .collect();
    let work = parts.iter().map(|(_, work)| *work).sum();
    let assigned = parts.into_iter().flat_map(|(assigned, _)| assigned);
    (assigned.collect(), work)
}

/// Moves every centroid to the mean of its rows. Returns whether an empty cluster had to be filled.
fn update(rows: &[f32], width: usize, assigned: &[u32], centroids: &mut [f32]) -> bool {
    let count = centroids.len() / width;
    let (ends, order) = by_centroid(assigned, count);
    let mut sizes = vec![0.0f32; count];
    let each = centroids.par_chunks_exact_mut(width).zip(&mut sizes);
    each.enumerate().for_each(|(at, (centroid, size))| {
        let first = if at == 0 { 0 } else { ends[at - 1] };
        let own = &order[first..ends[at]];
        centroid.fill(0.0);
        for &row in own {
            let row = &rows[row as usize * width..][..width];
            for (sum, value) in centroid.iter_mut().zip(row) {
                *sum += value;
            }
        }
        if !own.is_empty() {
            // As the reference counts, one by one: above 2^24 nothing is added any more.
            *size = own.len().min(1 << 24) as f32;
            let scale = 1.0 / *size;
            centroid.iter_mut().for_each(|value| *value *= scale);
        }
    });
    split_empty(centroids, width, &mut sizes, assigned.len())
}

/// The rows of one centroid after another, those of each in their order, and where those of each end.
fn by_centroid(assigned: &[u32], count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut ends = vec![0; count];
    for &centroid in assigned {
        ends[centroid as usize] += 1;
    }
    let mut total = 0;
    for end in &mut ends {
        (*end, total) = (total, total + *end);
    }
    let mut order = vec![0; assigned.len()];
    for (row, &centroid) in assigned.iter().enumerate() {
        let place = &mut ends[centroid as usize];
        order[*place] = row as u32;
        *place += 1;
    }
    (ends, order)
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

    fn trained(rows: &[f32], width: usize, centroids: usize, iterations: usize) -> Vec<f32> {
        let wanted = KMeans {
            centroids,
            iterations,
        };
        let trained = kmeans(&Compute::fastest(), rows, width, wanted, &|_| ());
        trained.unwrap().centroids
    }

    #[test]
    fn rows_are_assigned_to_the_first_of_the_nearest_centroids() {
        let compute = Compute::fastest();
        let rows = [0.0, 0.0, 1.0, 1.0, 0.5, 0.5];
        let centroids = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
        assert_eq!(assign(&compute, &rows, 2, &centroids).unwrap(), [1, 0, 0]);
        let none = assign(&compute, &rows, 2, &[]);
        assert_eq!(none, Err(KMeansError::NoCentroids));
        let ragged = assign(&compute, &rows[..5], 2, &centroids);
        assert!(matches!(ragged, Err(KMeansError::Rows(_))));
    }

    #[test]
    fn more_centroids_than_rows_are_refused() {
        let wanted = KMeans {
            centroids: 9,
            iterations: 3,
        };
        let error = kmeans(&Compute::fastest(), &spread(8, 4), 4, wanted, &|_| ()).unwrap_err();
        let expected = "9 centroids cannot be trained on 8 rows";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_iteration_is_told_of_and_the_last_too() {
        let told = std::cell::RefCell::new(Vec::new());
        let wanted = KMeans {
            centroids: 4,
            iterations: 2,
        };
        let rows = spread(100, 4);
        let tell = |done| told.borrow_mut().push(done);
        kmeans(&Compute::fastest(), &rows, 4, wanted, &tell).unwrap();
        assert_eq!(told.into_inner(), [0, 1, 2]);
    }

    #[test]
    fn as_many_rows_as_centroids_are_the_centroids() {
        let rows = spread(8, 4);
        assert_eq!(trained(&rows, 4, 8, 3), rows);
    }

    #[test]
    fn empty_clusters_are_filled_from_large_ones() {
        // Two distinct rows, many times each, leave all but two of the clusters empty.
        let rows: Vec<f32> = (0..64)
            .flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] })
            .collect();
        let mut centroids = rows::gather(&rows, 2, &[0, 1, 2, 3]);
        let assigned = assign(&Compute::scalar(), &rows, 2, &centroids).unwrap();
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
        let long = trained(&rows, 8, 16, 200);
        assert_eq!(long, trained(&rows, 8, 16, 1000));
    }

    #[test]
    fn the_threads_do_not_matter() {
        let rows = spread(9000, 8);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| trained(&rows, 8, 32, 5))
        };
        assert_eq!(run(1), run(3));
    }
}
