//! Tests that the list holds, for every input of a sweep, what versions of PyTorch compute, and nothing twice.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{ShortOperation, Sweep, evaluate};

/// What versions computed, each a line: version, instructions, operation, width, and the SHA-256 of the
/// results for the sweep of seed 1. Made by `make_formulas.py` beside it.
const RESULTS: &str = include_str!("../../tests/golden/formulas.txt");

fn operation(name: &str) -> ShortOperation {
    match name {
        "gelu" => ShortOperation::Gelu,
        "layer-norm" => ShortOperation::LayerNorm,
        "normalize" => ShortOperation::Normalize,
        "softmax" => ShortOperation::Softmax,
        other => panic!("{other}"),
    }
}

/// The formulas of the list by the SHA-256 of what they give for the sweep of seed 1.
fn by_results(operation: ShortOperation, width: usize) -> BTreeMap<String, Vec<String>> {
    let sweep = Sweep::new(operation, width, 1).unwrap();
    let mut formulas: BTreeMap<String, Vec<String>> = BTreeMap::new();
    evaluate(&sweep, &mut |formula, values| {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let digest = Sha256::digest(&bytes);
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        formulas.entry(digest).or_default().push(formula);
    });
    formulas
}

/// What a version computes by this list, with these instructions; nothing for what is not in it.
fn formula(version: &str, instructions: &str, operation: &str) -> Option<String> {
    let scalar = instructions == "scalar";
    // 1.13.1 knows no more than AVX2 in what is asked here.
    let avx512 = instructions == "avx512" && version != "1.13.1";
    Some(match operation {
        "gelu" if scalar => "erf form in f32: (x/2)·erf + x/2, erf by Abramowitz and Stegun 7.1.26, unfused, exp by \
             a polynomial of degree 5, unfused (oneDNN)"
            .to_owned(),
        "gelu" if avx512 => "erf form in f32: (x·(1 + erf))/2, erf by polynomials of degree 5 in 23 pieces (oneDNN 3)"
            .to_owned(),
        "gelu" => "erf form in f32: fma(x/2, erf, x/2), erf by Abramowitz and Stegun 7.1.26, exp by a \
             polynomial of degree 5 (oneDNN)"
            .to_owned(),
        "layer-norm" => {
            let output = match (version, scalar) {
                ("1.13.1" | "2.1.0", true) => "(x·r − r·mean)·gamma + beta",
                ("1.13.1" | "2.1.0", false) => "fma(fma(x, r, −r·mean), gamma, beta)",
                (_, true) => "((x − mean)·r)·gamma + beta",
                (_, false) => "fma((x − mean)·r, gamma, beta)",
            };
            let combined = match version {
                "2.10.0" | "2.15.0" => ", the squares of two runs added first",
                _ => "",
            };
            let fusion = if scalar || version == "1.13.1" {
                "unfused"
            } else {
                "fused"
            };
            format!(
                "{output}, r = 1 / √(variance + eps); Welford in 8 lanes over runs of 16, combined as a \
                 cascade{combined}, {fusion}"
            )
        }
        "normalize" => {
            let fused = !scalar && matches!(version, "1.13.1" | "2.1.0" | "2.7.1");
            let squares = if fused {
                "squares fused into sums"
            } else {
                "squares"
            };
            format!("x / max(√sum, eps), {squares} in 8 lanes added in order")
        }
        // The exponential is that of the C library.
        "softmax" if scalar => return None,
        "softmax" => {
            let lanes = if avx512 { 16 } else { 8 };
            format!(
                "e · (1 / sum), e = exp(x − max), exp as Sleef's, sum of e in {lanes} lanes added by halves"
            )
        }
        other => panic!("{other}"),
    })
}

#[test]
fn every_result_of_a_version_is_that_of_one_formula() {
    let mut lists = BTreeMap::new();
    let mut lines = 0;
    for line in RESULTS.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [version, instructions, name, width, digest] = words[..] else {
            panic!("{line}");
        };
        let list = lists
            .entry((name, width))
            .or_insert_with(|| by_results(operation(name), width.parse().unwrap()));
        let found = list.get(digest).map_or(&[][..], |formulas| &formulas[..]);
        match formula(version, instructions, name) {
            Some(expected) => {
                assert_eq!(found.len(), 1, "{line}: {found:?}");
                // Where a row does not fill all lanes, it is said what becomes of its end.
                assert!(found[0].starts_with(&expected), "{line}: {found:?}");
            }
            None => assert!(found.is_empty(), "{line}: {found:?}"),
        }
        lines += 1;
    }
    assert_eq!(lines, 108);
}

#[test]
fn no_two_formulas_of_a_list_give_the_same() {
    for (operation, width) in [
        (ShortOperation::Gelu, 1),
        (ShortOperation::LayerNorm, 100),
        (ShortOperation::LayerNorm, 384),
        (ShortOperation::Normalize, 100),
        (ShortOperation::Normalize, 128),
        (ShortOperation::Softmax, 50),
        (ShortOperation::Softmax, 384),
    ] {
        for same in by_results(operation, width).values() {
            assert_eq!(same.len(), 1, "{operation} {width}: {same:?}");
        }
    }
}
