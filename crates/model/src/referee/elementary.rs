//! `exp`, `erfc` and GELU in `f64`, the same bits on every machine.
//!
//! Additions, multiplications and divisions alone, unfused, whose results IEEE 754 fixes. The errors that
//! are stated are checked against CORE-MATH, whose results are correctly rounded.

use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E};

/// `1 / k!`: the Taylor series of `exp`, whose remainder is below 1e-17 on `|r| ≤ ln 2 / 2`.
const EXP: [f64; 14] = [
    1.0,
    1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// `ln 2` in two parts, the first with so few digits that its product with an exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// `exp(x)`, within 2 ULP where the result is normal. NaN gives NaN.
pub fn exp(x: f64) -> f64 {
    if x < -746.0 {
        return 0.0;
    }
    if x > 710.0 {
        return f64::INFINITY;
    }
    // Adding and subtracting 1.5 · 2^52 rounds to an integer in the current (nearest-even) mode.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let n = (x * LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let series = EXP.iter().rev().fold(0.0, |sum, c| sum * r + c);
    // In two steps, since 2^n itself may lie beyond the normal numbers.
    let half = (n as i64) / 2;
    series * power_of_two(half) * power_of_two(n as i64 - half)
}

/// `2^n` for `n` from -1022 to 1023.
fn power_of_two(n: i64) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// The coefficients in Chebyshev polynomials of `t = (x − 3.75) / (x + 3.75)` that approximate
/// `(1 + 2x) · exp(x²) · erfc(x)` on `x ≥ 0`, relative error 1e-16: `derivations/erfc.py`.
const ERFC: [f64; 25] = [
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
];

/// `1 − erf(x)`, within 1e-14 of its value up to `x = 8`. NaN gives NaN.
pub fn erfc(x: f64) -> f64 {
    let distance = x.abs();
    if distance > 28.0 {
        return if x > 0.0 { 0.0 } else { 2.0 };
    }
    let t = (distance - 3.75) / (distance + 3.75);
    // Clenshaw's recurrence.
    let (mut next, mut after) = (0.0, 0.0);
    for c in ERFC[1..].iter().rev() {
        (next, after) = (2.0 * t * next - after + c, next);
    }
    let smooth = t * next - after + ERFC[0];
    let value = smooth * exp(-distance * distance) / (1.0 + 2.0 * distance);
    if x < 0.0 { 2.0 - value } else { value }
}

/// `x · (1 + erf(x / √2)) / 2`, by `erfc` because `1 + erf` cancels for negative `x`.
pub fn gelu_erf(x: f64) -> f64 {
    0.5 * x * erfc(-x * FRAC_1_SQRT_2)
}

/// `x · (1 + tanh(√(2/π) · (x + 0.044715·x³))) / 2`, with `(1 + tanh y) / 2 = 1 / (1 + exp(−2y))`.
pub fn gelu_tanh(x: f64) -> f64 {
    const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
    let y = SQRT_2_OVER_PI * (x + 0.044715 * x * x * x);
    x / (1.0 + exp(-2.0 * y))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arguments from `-reach` to `reach` and their neighbourhood of zero.
    fn sample(reach: f64) -> impl Iterator<Item = f64> {
        let even = (-20_000..=20_000).map(move |i| f64::from(i) / 20_000.0 * reach);
        even.chain((0..600).map(|i| 2f64.powi(-i)))
    }

    fn largest_relative_error(ours: fn(f64) -> f64, exact: fn(f64) -> f64, reach: f64) -> f64 {
        sample(reach)
            .map(|x| (ours(x) - exact(x)).abs() / exact(x).abs())
            .filter(|error| !error.is_nan())
            .fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_two_units_of_the_correctly_rounded_one() {
        let error = largest_relative_error(exp, core_math::exp, 708.0);
        assert!(error <= 2.0 * f64::EPSILON, "{error:e}");
        let subnormal = (exp(-740.0) - core_math::exp(-740.0)).abs();
        assert!(subnormal <= f64::from_bits(1), "{subnormal:e}");
        assert_eq!((exp(-800.0), exp(800.0)), (0.0, f64::INFINITY));
        assert_eq!((exp(0.0), exp(f64::NEG_INFINITY)), (1.0, 0.0));
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn erfc_is_within_a_hundredth_of_a_trillionth() {
        let error = largest_relative_error(erfc, core_math::erfc, 8.0);
        assert!(error <= 1e-14, "{error:e}");
        let error = largest_relative_error(erfc, core_math::erfc, 26.0);
        assert!(error <= 1e-13, "{error:e}");
        assert_eq!((erfc(30.0), erfc(-30.0)), (0.0, 2.0));
        assert!(erfc(f64::NAN).is_nan());
    }

    #[test]
    fn both_forms_of_gelu_are_what_they_are_defined_as() {
        let erf = |x: f64| 0.5 * x * core_math::erfc(-x * FRAC_1_SQRT_2);
        let error = largest_relative_error(gelu_erf, erf, 10.0);
        assert!(error <= 1e-14, "{error:e}");
        for x in sample(5.0) {
            let y = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let exact = 0.5 * x * (1.0 + core_math::tanh(y));
            assert!((gelu_tanh(x) - exact).abs() <= 1e-15, "{x}");
        }
    }
}
