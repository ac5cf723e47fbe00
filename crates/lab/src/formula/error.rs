//! How far results lie from the true values.

use concord_tensor::Tensor;
use concord_tensor::closeness::{Comparison, Tolerance, UlpBucket, compare};
use serde::{Deserialize, Serialize};

/// Distances in units of the last place: how many steps, from one `f32` to the next, lead from a result to
/// the true value rounded to `f32`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UlpError {
    pub max: u64,
    pub mean: f64,
    /// How many results are how far away, in ranges that double, without those that are empty.
    pub histogram: Vec<UlpBucket>,
    /// Results that are no number where the true value is one, or the other way round: no distance.
    pub not_numbers: usize,
}

impl UlpError {
    /// The distances of as many `results` from `true_values`.
    pub fn between(results: &[f32], true_values: &[f32]) -> UlpError {
        let pairs = results.len().min(true_values.len());
        let (results, true_values) = (&results[..pairs], &true_values[..pairs]);
        let [a, b] = [results, true_values].map(|values| Tensor::vector(values.to_vec()));
        let ulps = match compare(&a, &b, Tolerance::default()) {
            Comparison::Compared(report) => report.ulps,
            Comparison::ShapesDiffer { .. } => None,
        };
        let histogram = ulps.as_ref().map(|ulps| ulps.histogram.clone());
        let histogram = histogram.unwrap_or_default();
        let counted: usize = histogram.iter().map(|bucket| bucket.count).sum();
        let distances = results.iter().zip(true_values).map(|(&a, &b)| steps(a, b));
        let sum: f64 = distances.flatten().map(|steps| steps as f64).sum();
        UlpError {
            max: ulps
                .and_then(|ulps| ulps.worst)
                .map_or(0, |worst| worst.ulps),
            mean: sum / counted.max(1) as f64,
            histogram,
            not_numbers: pairs - counted,
        }
    }
}

/// The distance that `closeness` counts in ranges; nothing for a NaN.
fn steps(a: f32, b: f32) -> Option<u64> {
    let ordered = |value: f32| {
        let magnitude = i64::from(value.to_bits() & 0x7fff_ffff);
        if value.is_sign_negative() {
            -magnitude
        } else {
            magnitude
        }
    };
    (!a.is_nan() && !b.is_nan()).then(|| ordered(a).abs_diff(ordered(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_and_the_histogram_are_of_the_same_distances() {
        let up = |value: f32, steps: u32| f32::from_bits(value.to_bits() + steps);
        let truth = [1.0, -2.0, 0.0, 3.0, f32::NAN];
        let results = [up(1.0, 3), up(-2.0, 1), -0.0, 3.0, 1.0];
        let error = UlpError::between(&results, &truth);
        assert_eq!((error.max, error.mean, error.not_numbers), (3, 1.0, 1));
        let counts: Vec<_> = error.histogram.iter().map(|b| (b.low, b.count)).collect();
        assert_eq!(counts, [(0, 2), (1, 1), (3, 1)]);
    }
}
