//! Approximations of `exp` and `erf` that libraries compute in `f32`.
//!
//! The algorithms and their constants are known from the libraries' public sources; that PyTorch computes
//! with them was measured.

use concord_kernels::elementary;

use super::choices::{Named, Unary, product_sum};

/// The ways to compute an exponential, with their words.
pub(super) const EXPONENTIALS: [Named<Unary>; 4] = [
    ("exp correctly rounded", elementary::exp),
    ("exp as Sleef's", exp_sleef),
    ("exp by a polynomial of degree 5 (oneDNN)", exp_onednn),
    (
        "exp by a polynomial of degree 5, unfused (oneDNN)",
        exp_onednn_unfused,
    ),
];

/// `x · 2^n` for an `n` at which `2^(n/2)` is a normal number, rounded once.
fn scaled(x: f32, n: i32) -> f32 {
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    let half = n >> 1;
    x * power(half) * power(n - half)
}

/// `exp(x)` as Sleef's functions of at most 1 ULP do for any width of vectors, with fused
/// multiply-adds (Shibata and Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard Mathematical
/// Functions", 2019): `x = q · ln 2 + s` with `ln 2` in two parts, and a polynomial of degree 7 in `s`.
pub(super) fn exp_sleef(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    const COEFFICIENTS: [f32; 6] = [
        0.000_198_527_62,
        0.001_393_043_6,
        0.008_333_361,
        0.041_666_485,
        0.166_666_67,
        0.5,
    ];
    if x < -104.0 {
        return 0.0;
    }
    if x > 100.0 {
        return f32::INFINITY;
    }
    let q = (x * std::f32::consts::LOG2_E).round_ties_even();
    let s = q.mul_add(-LN_2_LOW, q.mul_add(-LN_2_HIGH, x));
    let u = COEFFICIENTS[1..]
        .iter()
        .fold(COEFFICIENTS[0], |u, &c| u.mul_add(s, c));
    scaled(1.0 + (s * s).mul_add(u, s), q as i32)
}

/// `exp(x)` as oneDNN's generated kernels do: `x = n · ln 2 + r` with `n` rounded from `x / ln 2 + ½`
/// downwards, and a polynomial of degree 5 in `r`, fused. Zero for the least normal results
/// and below.
pub(super) fn exp_onednn(x: f32) -> f32 {
    exp_degree_5(x, true)
}

/// The same as oneDNN computes it for processors without fused multiply-adds.
pub(super) fn exp_onednn_unfused(x: f32) -> f32 {
    exp_degree_5(x, false)
}

fn exp_degree_5(x: f32, fused: bool) -> f32 {
    const MIN: f32 = f32::from_bits(0xc2ae_ac50);
    const MAX: f32 = f32::from_bits(0x42b1_7218);
    const COEFFICIENTS: [f32; 5] = [
        0.999_999_7,
        0.499_991_5,
        0.166_676_52,
        0.041_897_822,
        0.008_289_291,
    ];
    if x < MIN {
        return 0.0;
    }
    let x = if x > MAX { MAX } else { x };
    let n = (x * std::f32::consts::LOG2_E + 0.5).floor();
    let r = product_sum(n, -std::f32::consts::LN_2, x, fused);
    let series = COEFFICIENTS.iter().rev().copied();
    let series = series
        .reduce(|sum, c| product_sum(sum, r, c, fused))
        .unwrap_or(0.0);
    // 2^(n − 1) and twice that, because 2^128 is no number.
    let half_power = f32::from_bits(((n as i32 - 1 + 127) as u32) << 23);
    product_sum(series, r, 1.0, fused) * half_power * 2.0
}

/// `erf(x / √2)` for `x ≥ 0` by a polynomial in `t = 1 / (1 + p·x / √2)` times an exponential (Abramowitz and
/// Stegun, "Handbook of Mathematical Functions", 7.1.26), everything in `f32`, multiply-adds fused or not.
///
/// PyTorch 1.13.1 computes GELU with it through oneDNN 2.6 and [`exp_onednn`], and so do later versions where
/// there is no AVX-512; where oneDNN is switched off, they do with [`exp_sleef`].
pub(super) fn erf_abramowitz_stegun(x: f32, exp: Unary, fused: bool) -> f32 {
    const P: f32 = 0.327_591_1;
    const COEFFICIENTS: [f32; 5] = [
        0.254_829_6,
        -0.284_496_72,
        1.421_413_8,
        -1.453_152_1,
        1.061_405_4,
    ];
    let argument = x * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / product_sum(P, argument, 1.0, fused);
    let exponential = exp(-(argument * argument));
    let series = COEFFICIENTS.iter().rev().copied();
    let series = series
        .reduce(|sum, c| product_sum(sum, t, c, fused))
        .unwrap_or(0.0);
    product_sum(-exponential * t, series, 1.0, fused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_model::referee::elementary as double;

    #[test]
    fn the_constants_are_those_of_the_programs() {
        // As oneDNN has them, in bits.
        let bits = [
            0.999_999_7f32,
            0.499_991_5,
            0.166_676_52,
            0.041_897_822,
            0.008_289_291,
        ]
        .map(f32::to_bits);
        assert_eq!(
            bits,
            [
                0x3f7f_fffb,
                0x3eff_fee3,
                0x3e2a_ad40,
                0x3d2b_9d0d,
                0x3c07_cfce
            ]
        );
        let bits = [
            0.254_829_6f32,
            -0.284_496_72,
            1.421_413_8,
            -1.453_152_1,
            1.061_405_4,
        ]
        .map(f32::to_bits);
        assert_eq!(
            bits,
            [
                0x3e82_7906,
                0xbe91_a98e,
                0x3fb5_f0e3,
                0xbfba_00e3,
                0x3f87_dc22
            ]
        );
        let bits = [
            0.327_591_1f32,
            std::f32::consts::FRAC_1_SQRT_2,
            std::f32::consts::LN_2,
        ]
        .map(f32::to_bits);
        assert_eq!(bits, [0x3ea7_ba05, 0x3f35_04f3, 0x3f31_7218]);
    }

    #[test]
    fn exponentials_are_near_the_true_one() {
        for i in -860..=880 {
            let x = i as f32 / 10.0;
            let truth = double::exp(f64::from(x));
            let error = |y: f32| (f64::from(y) / truth - 1.0).abs();
            assert!(error(exp_sleef(x)) < 1.2e-7, "{x}");
            assert!(error(exp_onednn(x)) < 1e-5, "{x}");
        }
        assert_eq!((exp_sleef(-200.0), exp_onednn(-100.0)), (0.0, 0.0));
        assert!(exp_sleef(-100.0) > 0.0);
        assert_eq!(exp_sleef(200.0), f32::INFINITY);
    }

    #[test]
    fn abramowitz_and_stegun_are_near_the_true_erf() {
        for i in 0..=600 {
            let x = i as f32 / 100.0;
            let truth = 1.0 - double::erfc(f64::from(x) / std::f64::consts::SQRT_2);
            for fused in [true, false] {
                let y = erf_abramowitz_stegun(x, exp_onednn, fused);
                assert!((f64::from(y) - truth).abs() < 1e-6, "{x}");
            }
        }
    }
}
