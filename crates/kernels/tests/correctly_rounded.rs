//! The elementary functions against CORE-MATH, whose results are correctly rounded.
//!
//! The ordinary suite takes a sample of all `f32`. All of them, for minutes:
//! `CONCORD_EXHAUSTIVE=1 cargo test --release -p concord-kernels --test correctly_rounded -- --nocapture`.

use concord_kernels::compute::Compute;
use concord_kernels::elementary::{erf, exp, gelu_erf, tanh};
use concord_kernels::exponential::exponential;
use concord_kernels::gelu::{Gelu, gelu};

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

fn exhaustive() -> bool {
    std::env::var_os("CONCORD_EXHAUSTIVE").is_some()
}

/// Every 997th `f32`, 4.3 million of them, all exponents, both signs, infinities and NaN among them; every
/// single one where that is asked for.
fn sample() -> impl Iterator<Item = f32> {
    (0..=u32::MAX)
        .step_by(if exhaustive() { 1 } else { 997 })
        .chain([0x7f80_0000, 0xff80_0000, 0x8000_0000])
        .map(f32::from_bits)
}

fn largest_error(ours: fn(f32) -> f32, exact: fn(f32) -> f32) -> (u32, usize) {
    sample().fold((0, 0), |(worst, wrong), x| {
        let error = ulps(ours(x), exact(x));
        (worst.max(error), wrong + usize::from(error > 0))
    })
}

/// Fails unless a function is correctly rounded on the sample, and on all `f32` but for so many, where it is off by
/// one ULP. The sample has none of those.
fn assert_nearly_always_exact(
    name: &str,
    ours: fn(f32) -> f32,
    exact: fn(f32) -> f32,
    of_all: usize,
) {
    let (worst, wrong) = largest_error(ours, exact);
    println!("{name}: {worst} ULP at most, {wrong} not correctly rounded");
    let allowed = if exhaustive() { of_all } else { 0 };
    assert!(
        worst <= 1 && wrong <= allowed,
        "{name}: {worst} ULP, {wrong} not correctly rounded"
    );
}

#[test]
fn exp_is_correctly_rounded_but_for_one_argument() {
    assert_nearly_always_exact("exp", exp, core_math::expf, 1);
}

#[test]
fn erf_is_correctly_rounded_but_for_fourteen_arguments() {
    assert_nearly_always_exact("erf", erf, core_math::erff, 14);
}

#[test]
fn tanh_is_correctly_rounded_but_for_119_arguments() {
    assert_nearly_always_exact("tanh", tanh, core_math::tanhf, 119);
}

/// Values of the sample through a kernel, in pieces, with what they came from.
fn through(kernel: impl Fn(&mut [f32]), mut check: impl FnMut(f32, f32)) {
    let mut sample = sample();
    loop {
        let x: Vec<f32> = sample.by_ref().take(1 << 16).collect();
        if x.is_empty() {
            return;
        }
        let mut y = x.clone();
        kernel(&mut y);
        x.into_iter().zip(y).for_each(|(x, y)| check(x, y));
    }
}

#[test]
fn the_exponential_is_within_two_ulps() {
    let (mut worst, mut wrong, mut all) = (0, 0u64, 0u64);
    through(
        |x| exponential(&Compute::fastest(), x),
        |x, y| {
            let error = ulps(y, core_math::expf(x));
            worst = worst.max(error);
            wrong += u64::from(error > 0);
            all += 1;
        },
    );
    println!("exponential: {worst} ULP at most, {wrong} of {all} not correctly rounded");
    assert!(worst <= 2, "{worst} ULP");
}

/// The reciprocal root of layer normalisation: a root and a quotient, rounded once each.
#[test]
fn the_reciprocal_root_is_within_one_ulp() {
    let ours = |x: f32| 1.0 / x.sqrt();
    let (worst, wrong) = largest_error(ours, core_math::rsqrtf);
    println!("reciprocal root: {worst} ULP at most, {wrong} not correctly rounded");
    assert!(worst <= 1, "{worst} ULP");
}

/// `x · Φ(x)` in `f64`.
fn true_gelu(x: f32) -> f64 {
    let x = f64::from(x);
    x * 0.5 * core_math::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

#[test]
fn gelu_errs_by_its_rounding_where_it_is_positive_and_hardly_where_it_is_negative() {
    let (mut above, mut below) = (0.0f64, 0.0f64);
    through(
        |x| gelu(&Compute::fastest(), Gelu::Erf, x),
        |x, y| {
            if !x.is_finite() {
                assert!(y.is_nan() == x.is_nan(), "gelu({x}) = {y}");
                return;
            }
            let error = (f64::from(y) - true_gelu(x)).abs();
            if x > 0.0 {
                let spacing = f64::from(f32::from_bits(y.to_bits() + 1)) - f64::from(y);
                above = above.max(error / spacing.max(f64::from(f32::MIN_POSITIVE)));
            } else {
                below = below.max(error);
            }
        },
    );
    println!("gelu: {above:.2} ULP at most above zero, {below:.1e} below");
    assert!(above <= 1.6, "{above} ULP");
    assert!(below <= 3e-8, "{below:e}");
}

#[test]
fn gelu_rounded_once_is_half_the_argument_times_one_plus_erf() {
    for x in (-2000..2000).map(|i| i as f32 / 300.0) {
        let exact = true_gelu(x);
        let error = (f64::from(gelu_erf(x)) - exact).abs();
        assert!(
            error <= 6e-8 * exact.abs() + 5e-8,
            "gelu({x}) is off by {error:e}"
        );
    }
}
