//! The elementary functions against CORE-MATH, whose results are correctly rounded.

use concord_kernels::elementary::{erf, exp, gelu_erf, tanh};

/// Distance in representable values; NaN equals NaN.
fn ulps(a: f32, b: f32) -> u32 {
    if a.is_nan() && b.is_nan() {
        return 0;
    }
    let ordered = |v: f32| {
        let bits = v.to_bits() as i32;
        if bits < 0 { i32::MIN - bits } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

/// Every 997th `f32`: 4.3 million of them, all exponents, both signs, infinities and NaN among them.
fn sample() -> impl Iterator<Item = f32> {
    (0..=u32::MAX)
        .step_by(997)
        .chain([0x7f80_0000, 0xff80_0000, 0x8000_0000])
        .map(f32::from_bits)
}

fn largest_error(ours: fn(f32) -> f32, exact: fn(f32) -> f32) -> (u32, usize) {
    sample().fold((0, 0), |(worst, wrong), x| {
        let error = ulps(ours(x), exact(x));
        (worst.max(error), wrong + usize::from(error > 0))
    })
}

#[test]
fn exp_is_correctly_rounded_on_the_sample() {
    assert_eq!(largest_error(exp, core_math::expf), (0, 0));
}

#[test]
fn erf_is_correctly_rounded_on_the_sample() {
    assert_eq!(largest_error(erf, core_math::erff), (0, 0));
}

#[test]
fn tanh_is_within_one_ulp_and_nearly_always_exact() {
    let (worst, wrong) = largest_error(tanh, core_math::tanhf);
    assert!(
        worst <= 1 && wrong <= 4,
        "{worst} ULP, {wrong} of the sample"
    );
}

#[test]
fn gelu_is_half_the_argument_times_one_plus_erf() {
    for x in (-2000..2000).map(|i| i as f32 / 300.0) {
        let exact =
            f64::from(x) * 0.5 * core_math::erfc(-f64::from(x) * std::f64::consts::FRAC_1_SQRT_2);
        let error = (f64::from(gelu_erf(x)) - exact).abs();
        assert!(
            error <= 6e-8 * exact.abs() + 5e-8,
            "gelu({x}) is off by {error:e}"
        );
    }
}
