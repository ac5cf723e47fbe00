//! What short operations compute is recognised from their results.

#![allow(clippy::unwrap_used)]

use concord_kernels::compute::Compute;
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::layer_norm::{Variance, layer_norm};
use concord_kernels::normalize::{Normalize, normalize};
use concord_lab::formula::{
    FormulaError, Recognition, ShortOperation, Sweep, UlpError, recognise, true_values,
};

fn sweep(operation: ShortOperation, width: usize) -> Sweep {
    Sweep::new(operation, width, 7).unwrap()
}

/// Asserts that a formula whose words contain all of `words` gives every result.
fn assert_recognised(sweep: &Sweep, results: &[f32], words: &[&str], what: &str) {
    let found = recognise(sweep, results).unwrap();
    assert!(found.is_complete(), "{what}: {found:?}");
    assert_eq!(found.samples, results.len());
    for word in words {
        assert!(found.best.formula.contains(word), "{what}: {found:?}");
    }
}

#[test]
fn the_native_gelu_is_recognised_in_both_forms_on_every_instruction_set() {
    let sweep = sweep(ShortOperation::Gelu, 384);
    for compute in &Compute::available() {
        for (form, words) in [
            (
                Gelu::Erf,
                "max(x, 0) − |x|·erfc(|x|/√2)/2 in sixteen pieces (Concord)",
            ),
            (Gelu::Tanh, "tanh form in f64, rounded once"),
        ] {
            let mut y = sweep.values().to_vec();
            gelu(compute, form, &mut y);
            assert_recognised(&sweep, &y, &[words], &format!("{compute} {form:?}"));
        }
    }
}

#[test]
fn the_native_layer_norm_is_recognised_in_both_ways_on_every_instruction_set() {
    // The second width fills no last group of lanes.
    for (width, lanes) in [
        (96, "sums in 16 lanes added by halves"),
        (
            100,
            "sums in 16 lanes added by halves, the last terms in the first lanes",
        ),
    ] {
        let sweep = sweep(ShortOperation::LayerNorm, width);
        let eps = sweep.eps() as f32;
        for compute in &Compute::available() {
            for (variance, way) in [
                (Variance::TwoPass, "two passes"),
                (Variance::OnePass, "one pass, E[x²] − mean²"),
            ] {
                let mut y = sweep.values().to_vec();
                layer_norm(compute, variance, &mut y, sweep.gamma(), sweep.beta(), eps);
                let words = [
                    way,
                    lanes,
                    "squares fused into them",
                    "fma((x − mean)·r, gamma, beta), r = 1 / √(variance + eps);",
                ];
                let what = format!("{compute} {variance:?} {width}");
                assert_recognised(&sweep, &y, &words, &what);
            }
        }
    }
}

#[test]
fn the_native_normalize_is_recognised_in_both_ways_on_every_instruction_set() {
    for width in [96, 100] {
        let sweep = sweep(ShortOperation::Normalize, width);
        for compute in &Compute::available() {
            for (form, words) in [
                (
                    Normalize::Divide,
                    "x / max(√sum, eps), squares fused into sums in 16 lanes",
                ),
                (
                    Normalize::Rsqrt,
                    "x · (1 / max(√sum, eps)), squares fused into sums in 16 lanes",
                ),
            ] {
                let mut y = sweep.values().to_vec();
                normalize(compute, form, &mut y, width);
                assert_recognised(&sweep, &y, &[words], &format!("{compute} {form:?} {width}"));
            }
        }
    }
}

/// Bits in hexadecimal, `columns` to a line.
fn golden(text: &str, columns: usize) -> Vec<Vec<f32>> {
    let bits = |word: &str| f32::from_bits(u32::from_str_radix(word, 16).unwrap());
    let rows = text.lines().map(|line| line.split(' ').map(bits).collect());
    let rows: Vec<Vec<f32>> = rows.collect();
    assert!(rows.iter().all(|row| row.len() == columns));
    rows
}

#[test]
fn the_gelu_of_pytorch_is_recognised_at_the_edges_too() {
    // Zeros, subnormal numbers, the largest, the tails, the ends of pieces and of approximations, and some
    // of a sweep. 2.1.0 and later give the first with AVX-512; 1.13.1 gives the second with AVX-512, too.
    for (text, words) in [
        (
            include_str!("golden/torch-2.8.0-avx512/gelu.txt"),
            "(x·(1 + erf))/2, erf by polynomials of degree 5 in 23 pieces (oneDNN 3)",
        ),
        (
            include_str!("golden/torch-2.8.0-avx2/gelu.txt"),
            "fma(x/2, erf, x/2), erf by Abramowitz and Stegun 7.1.26, exp by a polynomial of degree 5 (oneDNN)",
        ),
        (
            include_str!("golden/torch-2.8.0-scalar/gelu.txt"),
            "(x/2)·erf + x/2, erf by Abramowitz and Stegun 7.1.26, unfused, exp by a polynomial of degree 5, \
             unfused (oneDNN)",
        ),
    ] {
        let rows = golden(text, 2);
        let [inputs, results] =
            [0, 1].map(|column| -> Vec<f32> { rows.iter().map(|row| row[column]).collect() });
        assert_eq!(inputs.len(), 496);
        let sweep = sweep(ShortOperation::Gelu, 1).with_inputs(inputs).unwrap();
        assert_recognised(&sweep, &results, &[words], words);
        let found = recognise(&sweep, &results).unwrap();
        assert_eq!(found.as_many, Vec::<String>::new());
    }
}

#[test]
fn a_plain_softmax_is_recognised() {
    let sweep = sweep(ShortOperation::Softmax, 50);
    let quotients = |row: &[f32]| -> Vec<f32> {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let terms: Vec<f32> = row
            .iter()
            .map(|x| concord_kernels::elementary::exp(x - largest))
            .collect();
        let sum = terms.iter().fold(0.0, |sum, term| sum + term);
        terms.iter().map(|term| term / sum).collect()
    };
    let results: Vec<f32> = sweep.rows().flat_map(quotients).collect();
    let words = ["e / sum, e = exp(x − max), exp correctly rounded, sum of e one after the other"];
    assert_recognised(&sweep, &results, &words, "softmax");
}

#[test]
fn results_that_were_rounded_from_the_true_values_are_recognised_as_such() {
    for operation in [
        ShortOperation::Gelu,
        ShortOperation::LayerNorm,
        ShortOperation::Normalize,
        ShortOperation::Softmax,
    ] {
        let sweep = sweep(operation, 40);
        let truth = true_values(&sweep);
        assert_recognised(&sweep, &truth, &["in f64, rounded once"], "truth");
        let error = UlpError::between(&truth, &truth);
        assert_eq!((error.max, error.mean, error.not_numbers), (0, 0.0, 0));
    }
}

#[test]
fn no_formula_reproduces_all_results_of_an_operation_that_is_not_in_the_list() {
    for operation in [
        ShortOperation::Gelu,
        ShortOperation::LayerNorm,
        ShortOperation::Normalize,
        ShortOperation::Softmax,
    ] {
        let sweep = sweep(operation, 40);
        let made_up: Vec<f32> = sweep.values().iter().map(|x| x / 3.0 + 1.0).collect();
        let found = recognise(&sweep, &made_up).unwrap();
        assert!(!found.is_complete(), "{operation}: {found:?}");
    }
    // One wrong result among all is enough.
    let sweep = sweep(ShortOperation::Normalize, 40);
    let mut y = sweep.values().to_vec();
    normalize(&Compute::fastest(), Normalize::Divide, &mut y, 40);
    y[5] = f32::from_bits(y[5].to_bits() + 1);
    let found = recognise(&sweep, &y).unwrap();
    assert_eq!(found.best.reproduced, found.samples - 1);
    assert!(!found.is_complete());
}

#[test]
fn the_histogram_counts_every_sample() {
    let sweep = sweep(ShortOperation::Gelu, 1);
    let mut y = sweep.values().to_vec();
    gelu(&Compute::fastest(), Gelu::Tanh, &mut y);
    let error = UlpError::between(&y, &true_values(&sweep));
    let counted: usize = error.histogram.iter().map(|bucket| bucket.count).sum();
    assert_eq!(counted + error.not_numbers, sweep.values().len());
    assert!(error.max > 0 && error.mean > 0.0);
    let last = error.histogram.last().unwrap();
    assert!((last.low..=last.high).contains(&error.max));
}

#[test]
fn the_seed_decides_what_is_found() {
    let found = |seed| -> (Recognition, UlpError) {
        let sweep = Sweep::new(ShortOperation::LayerNorm, 48, seed).unwrap();
        let y: Vec<f32> = sweep.values().iter().map(|x| x * 0.5).collect();
        let error = UlpError::between(&y, &true_values(&sweep));
        (recognise(&sweep, &y).unwrap(), error)
    };
    assert_eq!(found(3), found(3));
    assert_ne!(found(3).1, found(4).1);
}

#[test]
fn results_that_are_not_as_many_as_the_inputs_are_refused() {
    let sweep = sweep(ShortOperation::Softmax, 8);
    let error = recognise(&sweep, &[1.0]).unwrap_err();
    assert!(matches!(error, FormulaError::WrongCount { given: 1, .. }));
}
