//! The true values of short operations, as near as `f64` has them.

use concord_model::referee::elementary;

use super::sweep::{ShortOperation, Sweep};

/// The norm below which a row is divided by this instead, as an `f32`: PyTorch's `F.normalize(eps=1e-12)`.
pub(super) const MIN_NORM: f32 = 1e-12;

/// The results of a sweep in `f64`, rounded to `f32` once, row after row.
///
/// GELU is that of the error function, whatever form an operation uses. Sums are compensated (Neumaier,
/// 1974), and `erfc` and `exp` are the referee's, so that before the last rounding a value errs by some
/// 1e-14 of itself, but for layer normalisation where adding `beta` cancels: there, of the larger term.
pub fn true_values(sweep: &Sweep) -> Vec<f32> {
    match sweep.operation() {
        ShortOperation::Gelu => sweep.values().iter().map(|&x| gelu(x)).collect(),
        ShortOperation::LayerNorm => sweep
            .rows()
            .flat_map(|row| layer_norm(sweep, row))
            .collect(),
        ShortOperation::Normalize => sweep.rows().flat_map(normalize).collect(),
        ShortOperation::Softmax => sweep.rows().flat_map(softmax).collect(),
    }
}

/// By `erfc`, because `1 + erf` cancels for negative numbers.
pub(super) fn gelu(x: f32) -> f32 {
    elementary::gelu_erf(f64::from(x)) as f32
}

pub(super) fn normalize(row: &[f32]) -> Vec<f32> {
    let squares = sum(row.iter().map(|&x| f64::from(x) * f64::from(x)));
    let norm = squares.sqrt().max(f64::from(MIN_NORM));
    row.iter().map(|&x| (f64::from(x) / norm) as f32).collect()
}

pub(super) fn softmax(row: &[f32]) -> Vec<f32> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponential = |&x: &f32| elementary::exp(f64::from(x) - f64::from(largest));
    let whole = sum(row.iter().map(exponential));
    row.iter()
        .map(|x| (exponential(x) / whole) as f32)
        .collect()
}

fn layer_norm(sweep: &Sweep, row: &[f32]) -> Vec<f32> {
    let count = row.len() as f64;
    let mean = sum(row.iter().map(|&x| f64::from(x))) / count;
    let difference = |&x: &f32| f64::from(x) - mean;
    let variance = sum(row.iter().map(|x| difference(x) * difference(x))) / count;
    let deviation = (variance + sweep.eps()).sqrt();
    row.iter()
        .zip(sweep.gamma().iter().zip(sweep.beta()))
        .map(|(x, (&gamma, &beta))| {
            (difference(x) / deviation * f64::from(gamma) + f64::from(beta)) as f32
        })
        .collect()
}

/// The sum with the errors of its additions added at the end.
fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for term in terms {
        let next = sum + term;
        lost += if sum.abs() >= term.abs() {
            (sum - next) + term
        } else {
            (term - next) + sum
        };
        sum = next;
    }
    sum + lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_keeps_what_additions_lose() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100].into_iter()), 2.0);
    }

    #[test]
    fn gelu_is_true_in_its_tail() {
        // Φ(−6) = 9.865876e-10.
        assert_eq!(gelu(-6.0), -5.919_525_6e-9);
        assert_eq!(gelu(1e30), 1e30);
        assert_eq!(gelu(-1e30), 0.0);
        assert_eq!(gelu(2f32.powi(-100)), 2f32.powi(-101));
    }

    #[test]
    fn softmax_sums_to_one_and_rows_have_unit_length() {
        let row: Vec<f32> = (0..100).map(|i| (i * i % 17) as f32 / 3.0).collect();
        let total: f32 = softmax(&row).iter().sum();
        assert!((total - 1.0).abs() < 1e-5);
        let length: f32 = normalize(&row).iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
        assert_eq!(normalize(&[0.0, 1e-15]), [0.0, 1e-15 / 1e-12]);
    }
}
