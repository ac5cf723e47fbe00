//! The comparison against a plain formulation of what it should find.

#![allow(clippy::unwrap_used)] // in the functions that tests share

mod random;

use concord_tensor::closeness::{
    Closeness, ClosenessError, ClosenessReport, Comparison, Place, Tolerance, UlpBucket, compare,
    compare_sources,
};
use concord_tensor::{Container, DType, Tensor, npy};
use half::f16;
use proptest::prelude::*;

fn report(a: &Tensor, b: &Tensor) -> ClosenessReport {
    match compare(a, b, Tolerance::default()) {
        Comparison::Compared(report) => *report,
        other => panic!("{other:?}"),
    }
}

/// Pairs of `f32` tensors that agree in most elements and are near or far in the others.
fn pair() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let special = proptest::sample::select(vec![
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
    ]);
    let number = prop_oneof![2 => any::<u32>().prop_map(f32::from_bits), 1 => special];
    let element = (number.clone(), number, -4_i32..4, 0..4).prop_map(|(a, b, step, kind)| {
        let near = f32::from_bits(a.to_bits().wrapping_add_signed(step));
        match kind {
            0 | 1 => (a, a),
            2 => (a, near),
            _ => (a, b),
        }
    });
    proptest::collection::vec(element, 0..200).prop_map(|pairs| pairs.into_iter().unzip())
}

/// The position of a float on the line of all floats, found by counting from zero.
fn on_the_line(x: f32) -> i64 {
    let steps = i64::from(x.abs().to_bits());
    if x.is_sign_negative() { -steps } else { steps }
}

fn naive_allclose(a: &[f32], b: &[f32], rtol: f32, atol: f32, equal_nan: bool) -> usize {
    let close = |a: f32, b: f32| {
        a == b
            || (equal_nan && a.is_nan() && b.is_nan())
            || (a - b).abs().is_finite() && (a - b).abs() <= atol + (rtol * b).abs()
    };
    a.iter().zip(b).filter(|&(&a, &b)| !close(a, b)).count()
}

proptest! {
    #[test]
    fn floats_are_compared_as_the_definitions_say((a, b) in pair(), equal_nan: bool) {
        let tolerance = Tolerance { equal_nan, ..Tolerance::default() };
        let (left, right) = (Tensor::vector(a.clone()), Tensor::vector(b.clone()));
        let Comparison::Compared(report) = compare(&left, &right, tolerance) else {
            panic!("the shapes agree");
        };
        let pairs: Vec<(f32, f32)> = a.iter().copied().zip(b.iter().copied()).collect();

        let differing: Vec<usize> = (0..pairs.len())
            .filter(|&i| pairs[i].0.to_bits() != pairs[i].1.to_bits())
            .collect();
        prop_assert_eq!(report.differing, differing.len());
        prop_assert_eq!(report.bits_equal, differing.is_empty());
        prop_assert_eq!(report.bits_equal, left.hash() == right.hash());
        prop_assert_eq!(report.first_difference.map(|at| at.flat), differing.first().copied());

        let not_close = naive_allclose(&a, &b, 1e-5, 1e-8, equal_nan);
        prop_assert_eq!(report.not_close, not_close);
        prop_assert_eq!(report.allclose, not_close == 0);

        let numbers: Vec<(f32, f32)> =
            pairs.iter().copied().filter(|(a, b)| !a.is_nan() && !b.is_nan()).collect();
        let differences: Vec<f64> = numbers
            .iter()
            .map(|&(a, b)| if a == b { 0.0 } else { (f64::from(a) - f64::from(b)).abs() })
            .collect();
        let finite: Vec<f64> = differences.iter().copied().filter(|d| d.is_finite()).collect();
        prop_assert_eq!(report.infinite, differences.len() - finite.len());
        let largest = finite.iter().copied().fold(0.0, f64::max);
        prop_assert_eq!(report.max_abs.map_or(0.0, |peak| peak.value), largest);
        let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
        prop_assert_eq!(report.mean_abs, mean);
        prop_assert_eq!(report.nans.a, a.iter().filter(|x| x.is_nan()).count());
        prop_assert_eq!(report.nans.b, b.iter().filter(|x| x.is_nan()).count());

        let ulps = report.ulps.unwrap();
        let distances: Vec<u64> =
            numbers.iter().map(|&(a, b)| on_the_line(a).abs_diff(on_the_line(b))).collect();
        let worst = distances.iter().copied().max().unwrap_or(0);
        prop_assert_eq!(ulps.worst.map_or(0, |peak| peak.ulps), worst);
        for UlpBucket { low, high, count } in ulps.histogram {
            let expected = distances.iter().filter(|&&d| (low..=high).contains(&d)).count();
            prop_assert_eq!(count, expected);
        }
    }

    #[test]
    fn the_report_does_not_depend_on_where_the_chunks_are_cut(
        (a, b) in pair(),
        step in 1_usize..50,
    ) {
        let shape = [a.len()];
        let whole = report(&Tensor::vector(a.clone()), &Tensor::vector(b.clone()));
        let mut closeness = Closeness::new(Tolerance::default(), DType::F32, &shape);
        for (a, b) in a.chunks(step).zip(b.chunks(step)) {
            closeness.update(&Tensor::vector(a.to_vec()), &Tensor::vector(b.to_vec())).unwrap();
        }
        prop_assert_eq!(closeness.finish().unwrap(), whole);
    }

    #[test]
    fn a_tensor_is_the_same_as_itself(tensor in random::tensor()) {
        let report = report(&tensor, &tensor);
        prop_assert!(report.bits_equal && report.differing == 0 && report.max_abs.is_none());
        prop_assert_eq!(report.not_close, report.nans.both);
        prop_assert_eq!(report.ulps.is_some(), tensor.dtype().is_float());
    }

    #[test]
    fn any_two_dtypes_can_be_compared(a in random::dtype(), b in random::dtype()) {
        let values = Tensor::new([2, 1], vec![0_u8, 1]).unwrap();
        let report = report(&values.cast(a).unwrap(), &values.cast(b).unwrap());
        prop_assert_eq!(report.differing, 0);
        prop_assert_eq!(report.bits_equal, a == b);
        prop_assert!(report.allclose);
    }
}

#[test]
fn a_report_survives_json() {
    let a = Tensor::new([2, 2], vec![0.5_f32, f32::NAN, f32::INFINITY, 4.0]).unwrap();
    let b = Tensor::new([2, 2], vec![1.0_f32, 1.0, 1.0, 4.0]).unwrap();
    for comparison in [
        compare(&a, &b, Tolerance::default()),
        compare(&a, &Tensor::scalar(1_u8), Tolerance::default()),
    ] {
        let json = serde_json::to_string(&comparison).unwrap();
        assert_eq!(
            serde_json::from_str::<Comparison>(&json).unwrap(),
            comparison
        );
    }
}

#[test]
fn zeros_of_either_sign_differ_in_bits_and_are_no_ulp_apart() {
    let report = report(&Tensor::scalar(0.0_f32), &Tensor::scalar(-0.0_f32));
    assert!(!report.bits_equal && report.allclose);
    assert_eq!(
        report.ulps.unwrap().histogram,
        [UlpBucket {
            low: 0,
            high: 0,
            count: 1
        }]
    );
}

#[test]
fn half_precision_is_measured_in_its_own_units() {
    let a = Tensor::new([2, 2], [1.0, 2.0, 3.0, 4.0].map(f16::from_f32).to_vec()).unwrap();
    let mut elements = a.as_slice::<f16>().unwrap().to_vec();
    elements[2] = f16::from_bits(elements[2].to_bits() + 3);
    let report = report(&a, &Tensor::new([2, 2], elements).unwrap());
    let worst = report.ulps.unwrap().worst.unwrap();
    assert_eq!(
        (worst.ulps, worst.at),
        (
            3,
            Place {
                flat: 2,
                index: vec![1, 0]
            }
        )
    );
    let largest = report.max_abs.unwrap();
    assert_eq!(largest.value, 3.0 * 2.0_f64.powi(-9));
}

#[test]
fn tensors_of_different_dtype_are_compared_by_value() {
    let exact = report(
        &Tensor::scalar(f16::from_f32(0.1)),
        &Tensor::scalar(0.1_f32),
    );
    assert_eq!((exact.dtype_a, exact.dtype_b), (DType::F16, DType::F32));
    assert!(!exact.bits_equal && exact.ulps.is_none());
    let rounding = f64::from(f16::from_f32(0.1)) - f64::from(0.1_f32);
    assert_eq!(exact.max_abs.unwrap().value, rounding.abs());
}

#[test]
fn large_integers_differ_by_exactly_what_they_differ_by() {
    let report = report(&Tensor::scalar(i64::MAX), &Tensor::scalar(i64::MAX - 1));
    assert_eq!(report.max_abs.unwrap().value, 1.0);
    assert_eq!(report.differing, 1);
    assert!(
        report.allclose,
        "PyTorch compares integers in f32, where these are equal"
    );
}

#[test]
fn different_shapes_are_an_outcome() {
    let (a, b) = (Tensor::vector(vec![1_u8]), Tensor::scalar(1_u8));
    let outcome = compare(&a, &b, Tolerance::default());
    assert_eq!(
        outcome,
        Comparison::ShapesDiffer {
            a: vec![1],
            b: vec![]
        }
    );
    assert!(!outcome.bits_equal());
}

#[test]
fn chunks_that_do_not_fit_are_errors() {
    let begun = || Closeness::new(Tolerance::default(), DType::U8, &[2]);
    let (one, two) = (Tensor::vector(vec![1_u8]), Tensor::vector(vec![1_u8, 2]));
    let lengths = begun().update(&one, &two).unwrap_err();
    assert_eq!(lengths, ClosenessError::LengthsDiffer { a: 1, b: 2 });
    let dtype = begun()
        .update(&one, &Tensor::vector(vec![1_i8]))
        .unwrap_err();
    assert!(dtype.to_string().contains("holds i8, not u8"));
    let mut short = begun();
    short.update(&one, &one).unwrap();
    let count = short.finish().unwrap_err();
    assert_eq!(
        count,
        ClosenessError::WrongCount {
            shape: vec![2],
            elements: 1
        }
    );
}

#[test]
fn sources_are_compared_like_tensors_whatever_is_read_at_a_time() {
    let a = Tensor::new([5, 3], (0..15).map(|n| n as f32 / 7.0).collect()).unwrap();
    let b = a.cast(DType::F16).unwrap();
    let source = |tensor: &Tensor| {
        let mut file = Vec::new();
        npy::write_to(&mut file, "x.npy", tensor).unwrap();
        npy::open_container(Container::from_bytes("x.npy", file)).unwrap()
    };
    let expected = compare(&a, &b, Tolerance::default());
    for max_bytes in [0, 4, 10, 1000] {
        let found = compare_sources(&source(&a), &source(&b), Tolerance::default(), max_bytes);
        assert_eq!(found.unwrap(), expected);
    }
}
