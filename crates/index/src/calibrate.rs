//! The buckets of the residuals: where they are cut, and what each stands for.

use concord_kernels::closest::{Centroids, Measure};
use concord_kernels::compute::Compute;
use rayon::prelude::*;

use crate::codec::{CodecError, check_bits};
use crate::rows;

/// Rows that one task takes; a fixed number, so that the work does not depend on the threads.
const ROWS_PER_TASK: usize = 1024;

/// The buckets that residuals fall into, the same for all dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// Where one ends and the next begins, ascending: `(2^nbits − 1,)`.
    pub cutoffs: Vec<f32>,
    /// What each stands for: `(2^nbits,)`.
    pub weights: Vec<f32>,
    /// The mean absolute residual.
    pub average: f32,
}

/// Cutoffs and weights as quantiles of the residuals of `heldout` `(n, width)` from `centroids` `(C, width)`; NaN
/// where nothing is held out.
///
/// # Order of operations
/// A row's centroid is the one with the largest inner product. Residuals are `f32` differences. The mean
/// absolute residual is summed in `f64`, row by row, and rounded once. Quantiles are those of `torch.quantile`:
/// linear interpolation, the rank in `f32`.
///
/// # Errors
/// When `nbits` is not 1, 2, 4 or 8, either is no whole number of rows, or there are no centroids.
pub fn calibrate(
    compute: &Compute,
    heldout: &[f32],
    centroids: &[f32],
    width: usize,
    nbits: usize,
) -> Result<Buckets, CodecError> {
    check_bits(nbits)?;
    let mut residuals = residuals(compute, heldout, centroids, width)?;
    let total: f64 = residuals.iter().map(|r| f64::from(r.abs())).sum();
    let average = (total / residuals.len() as f64) as f32;
    residuals.par_sort_unstable_by(f32::total_cmp);
    let buckets = 1usize << nbits;
    let level = |numerator: f64| quantile(&residuals, (numerator / buckets as f64) as f32);
    Ok(Buckets {
        cutoffs: (1..buckets).map(|i| level(i as f64)).collect(),
        weights: (0..buckets).map(|i| level(i as f64 + 0.5)).collect(),
        average,
    })
}

fn residuals(
    compute: &Compute,
    rows: &[f32],
    centroids: &[f32],
    width: usize,
) -> Result<Vec<f32>, CodecError> {
    rows::count(rows.len(), width)?;
    if rows::count(centroids.len(), width)? == 0 {
        return Err(CodecError::NoCentroids);
    }
    let nearest = Centroids::new(compute, centroids, width, Measure::Dot);
    Ok(rows
        .par_chunks(ROWS_PER_TASK * width)
        .flat_map_iter(|rows| {
            let codes = nearest.nearest(compute, rows, None).0;
            let centroids = codes
                .into_iter()
                .flat_map(|code| &centroids[code as usize * width..][..width]);
            rows.iter()
                .zip(centroids)
                .map(|(row, centroid)| row - centroid)
                .collect::<Vec<_>>()
        })
        .collect())
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

    #[test]
    fn buckets_are_cut_where_as_many_residuals_are_on_either_side() {
        let compute = Compute::fastest();
        let centroids = [1.0, 0.0, 0.0, 1.0];
        // The residuals, from the first centroid, are −0.2 to 0.2.
        let heldout = [0.8, -0.1, 1.0, 0.0, 1.2, 0.1];
        let buckets = calibrate(&compute, &heldout, &centroids, 2, 1).unwrap();
        assert_eq!(buckets.cutoffs, [0.0]);
        assert_eq!(buckets.weights.len(), 2);
        assert!(buckets.weights[0] < 0.0 && buckets.weights[1] > 0.0);
        assert!((buckets.average - 0.1).abs() < 1e-6);
        let four = calibrate(&compute, &heldout, &centroids, 2, 2).unwrap();
        assert_eq!((four.cutoffs.len(), four.weights.len()), (3, 4));
        assert_eq!(four.cutoffs[1], 0.0);
    }

    #[test]
    fn what_cannot_be_calibrated_is_refused() {
        let compute = Compute::fastest();
        let calibrated = |heldout: &[f32], centroids: &[f32], nbits| {
            calibrate(&compute, heldout, centroids, 2, nbits)
        };
        let error = calibrated(&[1.0, 0.0], &[1.0, 0.0], 3).unwrap_err();
        assert_eq!(error, CodecError::Bits(3));
        let error = calibrated(&[1.0, 0.0], &[], 2).unwrap_err();
        assert_eq!(error, CodecError::NoCentroids);
        assert!(calibrated(&[1.0], &[1.0, 0.0], 2).is_err());
        let nothing = calibrated(&[], &[1.0, 0.0], 2).unwrap();
        assert!(nothing.average.is_nan() && nothing.cutoffs[0].is_nan());
    }
}
