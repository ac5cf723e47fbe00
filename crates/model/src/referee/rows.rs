//! Operations on single elements and single rows.

use concord_kernels::gelu::Gelu;
use rayon::prelude::*;

use super::elementary::{gelu_erf, gelu_tanh};
use crate::encoder::operations::NormLayer;

/// Elements that one task works on: enough that handing them out costs nothing.
const SHARE: usize = 4096;

/// The norm below which a row counts as zero and is divided by this instead: PyTorch's
/// `F.normalize(eps=1e-12)`.
const MIN_NORM: f64 = 1e-12;

/// GELU of every element in place.
pub(super) fn gelu(form: Gelu, x: &mut [f64]) {
    let gelu = match form {
        Gelu::Erf => gelu_erf,
        Gelu::Tanh => gelu_tanh,
    };
    x.par_chunks_mut(SHARE)
        .for_each(|x| x.iter_mut().for_each(|value| *value = gelu(*value)));
}

/// `(x − mean) / √(variance + eps) · gamma + beta` of every row in place.
pub(super) fn layer_norm(norm: &NormLayer, x: &mut [f64]) {
    for row in x.chunks_exact_mut(norm.gamma.len().max(1)) {
        let width = row.len() as f64;
        let mean = row.iter().fold(0.0, |sum, x| sum + x) / width;
        let squares = row.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        let deviation = (squares / width + norm.eps).sqrt();
        for ((value, &gamma), &beta) in row.iter_mut().zip(&norm.gamma).zip(&norm.beta) {
            *value = (*value - mean) / deviation * f64::from(gamma) + f64::from(beta);
        }
    }
}

/// `x / max(√Σx², 1e-12)` of every row in place.
pub(super) fn normalize(x: &mut [f64], width: usize) {
    for row in x.chunks_exact_mut(width.max(1)) {
        let norm = row.iter().fold(0.0, |sum, x| sum + x * x).sqrt();
        let norm = if norm < MIN_NORM { MIN_NORM } else { norm };
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normalised_row_has_the_mean_and_deviation_that_it_is_given() {
        let norm = NormLayer {
            gamma: vec![3.0; 5],
            beta: vec![2.0; 5],
            eps: 0.0,
        };
        let mut x: Vec<f64> = (0..15).map(|i| f64::from(i * i)).collect();
        layer_norm(&norm, &mut x);
        for row in x.chunks(5) {
            let mean = row.iter().sum::<f64>() / 5.0;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 5.0;
            assert!((mean - 2.0).abs() < 1e-14 && (variance - 9.0).abs() < 1e-13);
        }
        let mut constant = vec![1.0; 5];
        layer_norm(&NormLayer { eps: 1e-12, ..norm }, &mut constant);
        assert_eq!(constant, [2.0; 5]);
    }

    #[test]
    fn a_row_is_brought_to_unit_length_and_zero_stays_zero() {
        let mut x = vec![3.0, -4.0, 0.0, 0.0];
        normalize(&mut x, 2);
        assert_eq!(x, [0.6, -0.8, 0.0, 0.0]);
    }

    #[test]
    fn gelu_is_the_same_however_the_elements_are_shared_out() {
        let x: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 999.0 - 5.0).collect();
        for (form, single) in [
            (Gelu::Erf, gelu_erf as fn(f64) -> f64),
            (Gelu::Tanh, gelu_tanh),
        ] {
            let mut y = x.clone();
            gelu(form, &mut y);
            let expected: Vec<f64> = x.iter().map(|&x| single(x)).collect();
            assert_eq!(y, expected);
        }
    }
}
