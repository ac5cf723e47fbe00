//! Casts against independent formulations of the same conversions.

#![allow(clippy::unwrap_used)] // in the bodies of properties

mod random;

use concord_tensor::{DType, Tensor, TensorError};
use half::{bf16, f16};
use proptest::prelude::*;

/// The value of the nearest `f16`, ties to even, found among all of them.
fn nearest_f16(x: f64) -> f16 {
    nearest(x, f16::from_bits, f16::MAX.to_bits(), f64::from)
}

fn nearest_bf16(x: f64) -> bf16 {
    nearest(x, bf16::from_bits, bf16::MAX.to_bits(), f64::from)
}

/// Looks for the two floats around |x| by bisection and takes the nearer.
fn nearest<T: Copy>(x: f64, from_bits: fn(u16) -> T, max: u16, widen: impl Fn(T) -> f64) -> T {
    let value = |bits: u16| {
        // One step past the largest is where the next would be if there were one: rounding
        // treats infinity as that number.
        if bits <= max {
            widen(from_bits(bits))
        } else {
            2.0 * widen(from_bits(max)) - widen(from_bits(max - 1))
        }
    };
    let magnitude = x.abs();
    let (mut low, mut high) = (0, max + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if value(middle) <= magnitude {
            low = middle
        } else {
            high = middle
        }
    }
    let (below, above) = (magnitude - value(low), value(high) - magnitude);
    let up = above < below || (above == below && low & 1 == 1);
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    from_bits(if up { high } else { low } | sign)
}

fn cast_one(value: Tensor, dtype: DType) -> Tensor {
    value.cast(dtype).unwrap()
}

/// Doubles near the boundaries between two halves, where double rounding shows.
fn doubles() -> impl Strategy<Value = f64> {
    let boundary = (any::<u16>(), -3_i64..=3, 0_u32..52).prop_map(|(bits, step, shift)| {
        let middle = f64::from(f16::from_bits(bits & 0x7bff)) * (1.0 + 2.0_f64.powi(-11));
        f64::from_bits(middle.to_bits().wrapping_add_signed(step << shift))
    });
    let wide = (any::<u16>(), -3_i64..=3).prop_map(|(bits, step)| {
        let middle = f64::from(bf16::from_bits(bits & 0x7f7f)) * (1.0 + 2.0_f64.powi(-8));
        f64::from_bits(middle.to_bits().wrapping_add_signed(step))
    });
    prop_oneof![boundary, wide, any::<f64>()].prop_filter("a number", |x| !x.is_nan())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn doubles_are_rounded_once(x in doubles()) {
        let to_f16 = cast_one(Tensor::scalar(x), DType::F16);
        prop_assert_eq!(to_f16.as_slice::<f16>().unwrap()[0].to_bits(), nearest_f16(x).to_bits());
        let to_bf16 = cast_one(Tensor::scalar(x), DType::BF16);
        prop_assert_eq!(to_bf16.as_slice::<bf16>().unwrap()[0].to_bits(), nearest_bf16(x).to_bits());
    }

    #[test]
    fn integers_are_rounded_once(x: i64, bits in 0_u32..64) {
        let x = x >> bits;
        let value = Tensor::scalar(x);
        // Of 24 bits, 53 and more: the largest step on which `f64` is exact decides.
        if x.unsigned_abs() < 1 << 53 {
            let f16s = cast_one(value.clone(), DType::F16);
            prop_assert_eq!(f16s.as_slice::<f16>().unwrap()[0], nearest_f16(x as f64));
        }
        let bf16s = cast_one(value, DType::BF16);
        let rounded = f64::from(bf16s.as_slice::<bf16>().unwrap()[0]) as i128;
        let step = (1_i128 << (127 - i128::from(x).unsigned_abs().leading_zeros().min(127))) >> 7;
        prop_assert!((rounded - i128::from(x)).abs() * 2 <= step.max(1));
    }

    #[test]
    fn singles_become_what_the_half_crate_makes_of_them(bits: u32) {
        let x = f32::from_bits(bits);
        let f16s = cast_one(Tensor::scalar(x), DType::F16);
        let bf16s = cast_one(Tensor::scalar(x), DType::BF16);
        let (expected_f16, expected_bf16) = (f16::from_f32(x), bf16::from_f32(x));
        let (found_f16, found_bf16) =
            (f16s.as_slice::<f16>().unwrap()[0], bf16s.as_slice::<bf16>().unwrap()[0]);
        if x.is_nan() {
            prop_assert!(found_f16.is_nan() && found_bf16.is_nan());
        } else {
            prop_assert_eq!(found_f16.to_bits(), expected_f16.to_bits());
            prop_assert_eq!(found_bf16.to_bits(), expected_bf16.to_bits());
        }
    }
}

proptest! {
    #[test]
    fn widening_and_narrowing_gives_the_same_bits(tensor in random::tensor()) {
        let wide = if tensor.dtype().is_float() { DType::F64 } else { DType::I64 };
        let back = tensor.cast(wide).unwrap().cast(tensor.dtype()).unwrap();
        let nan = |tensor: &Tensor| {
            let wide = tensor.cast(DType::F64).unwrap();
            wide.as_slice::<f64>().unwrap().iter().any(|x| x.is_nan())
        };
        // The payload of a NaN is the hardware's to choose.
        prop_assert!(back.hash() == tensor.hash() || nan(&tensor));
    }
}

#[test]
fn every_half_survives_a_widening() {
    let halves: Vec<f16> = (0..=u16::MAX)
        .map(f16::from_bits)
        .filter(|x| !x.is_nan())
        .collect();
    let tensor = Tensor::vector(halves);
    for wide in [DType::F32, DType::F64] {
        let back = tensor.cast(wide).unwrap().cast(DType::F16).unwrap();
        assert_eq!(back.hash(), tensor.hash());
    }
}

#[test]
fn an_integer_that_does_not_fit_is_named_with_its_place() {
    let error = Tensor::vector(vec![0_i64, 256])
        .cast(DType::U8)
        .unwrap_err();
    assert_eq!(
        error,
        TensorError::CastOutOfRange {
            index: 1,
            value: "256".to_owned(),
            to: DType::U8
        },
    );
    assert_eq!(error.to_string(), "element 1 is 256, which does not fit u8");
}

#[test]
fn floats_become_integers_by_truncation_or_not_at_all() {
    let cast = |x: f64, dtype| Tensor::scalar(x).cast(dtype);
    let found = cast(-1.9, DType::I8).unwrap();
    assert_eq!(found.as_slice::<i8>().unwrap(), [-1]);
    let found = cast(-9_223_372_036_854_775_808.0, DType::I64).unwrap();
    assert_eq!(found.as_slice::<i64>().unwrap(), [i64::MIN]);
    for wrong in [f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0] {
        assert!(cast(wrong, DType::I64).is_err(), "{wrong}");
    }
    assert!(cast(128.0, DType::I8).is_err());
}

#[test]
fn whatever_is_not_zero_is_true() {
    let truths = Tensor::vector(vec![0.0, -0.0, 0.5, f64::NAN])
        .cast(DType::Bool)
        .unwrap();
    assert_eq!(
        truths.as_slice::<bool>().unwrap(),
        [false, false, true, true]
    );
    assert_eq!(
        truths.cast(DType::F16).unwrap().as_slice::<f16>().unwrap()[2],
        f16::ONE
    );
}
