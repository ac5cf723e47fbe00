//! Elementary functions: `exp`, `erf` and `tanh`, the same bits on every machine.
//!
//! Each is computed in `f64` by unfused multiplications and additions, whose results IEEE 754 fixes,
//! and rounded to `f32` once. The error before that rounding is below 1e-13 relative, so the result is
//! the correctly rounded one but for arguments whose true value lies within 1e-13 of a midpoint between
//! two `f32`: of all there are, one of `exp`, 14 of `erf` and 119 of `tanh`, off by one ULP each
//! (`tests/correctly_rounded.rs`). There are no branches, so that the functions vectorise.

/// The coefficients of `1, t, t², …` that approximate `erf(x) / x` on `|x| ≤ 4`, where `t = x² / 8 − 1`.
///
/// A Chebyshev expansion in `t` cut at degree 24, relative error 1e-14: `derivations/erf.py`.
const ERF: [f64; 25] = [
    0.35353099564340534,
    -0.17657623330130523,
    0.131675116894573,
    -0.10771044253545135,
    0.09020899411923695,
    -0.07472786553342074,
    0.05988690482683432,
    -0.04576511343560336,
    0.03306063442659595,
    -0.02247354443570853,
    0.014349587142508053,
    -0.00860633896790008,
    0.004853602671797829,
    -0.0025778442545346778,
    0.0012924610709774494,
    -0.0006137646682407346,
    0.00027584292755275936,
    -0.00011653212012305502,
    4.7437560640449226e-05,
    -1.9634665615239374e-05,
    7.2297437613821044e-06,
    -1.7836268604372104e-06,
    6.243356501786123e-07,
    -4.879301473659298e-07,
    1.5025706497805747e-07,
];

/// `1 / k!`: the Taylor series of `exp`, whose remainder is below 1e-14 on `|r| ≤ ln 2 / 2`.
const EXP: [f64; 12] = [
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
];

/// `c[0] + x·(c[1] + x·(c[2] + …))` by Horner's rule, unfused.
#[inline(always)]
fn horner<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut value = coefficients[N - 1];
    for c in coefficients[..N - 1].iter().rev() {
        value = value * x + c;
    }
    value
}

/// `exp(x)` in `f64`, for the range in which its `f32` value is neither zero nor infinite; arguments
/// beyond are moved to its ends. NaN gives NaN.
#[inline(always)]
fn exp_wide(x: f64) -> f64 {
    // Adding and subtracting 1.5 · 2^52 rounds to an integer in the current (nearest-even) mode.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // `max` and `min` drop a NaN, so it is let through by the comparison form instead.
    let x = if x < -150.0 { -150.0 } else { x };
    let x = if x > 130.0 { 130.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * std::f64::consts::LN_2;
    // The low bits of `shifted` hold the integer `n`; moved into the exponent field, they are 2^n.
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    horner(&EXP, r) * power
}

/// `erf(x)` in `f64`; beyond `|x| = 4`, where its `f32` value is ±1, it is ±1. NaN gives NaN.
#[inline(always)]
fn erf_wide(x: f64) -> f64 {
    let value = x * horner(&ERF, x * x * 0.125 - 1.0);
    let value = if x >= 4.0 { 1.0 } else { value };
    if x <= -4.0 { -1.0 } else { value }
}

/// `exp(x)`: `f64` inside, rounded to `f32` once.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    exp_wide(f64::from(x)) as f32
}

/// The error function: `f64` inside, rounded to `f32` once.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    erf_wide(f64::from(x)) as f32
}

/// `tanh(x) = x·(1 − 2 / (exp(2x) + 1)) / x`: `f64` inside, rounded to `f32` once; for `|x| < 1e-4`,
/// where the difference would cancel, `x − x³ / 3`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    tanh_wide(f64::from(x)) as f32
}

#[inline(always)]
fn tanh_wide(x: f64) -> f64 {
    // exp_wide stops at 130, where tanh has long been ±1.
    let value = 1.0 - 2.0 / (exp_wide(2.0 * x) + 1.0);
    let near_zero = x - x * x * x * (1.0 / 3.0);
    if x.abs() < 1e-4 { near_zero } else { value }
}

/// `x · (1 + erf(x / √2)) / 2`, BERT's GELU: `f64` inside, rounded to `f32` once.
#[inline(always)]
pub fn gelu_erf(x: f32) -> f32 {
    let x = f64::from(x);
    (x * 0.5 * (1.0 + erf_wide(x * std::f64::consts::FRAC_1_SQRT_2))) as f32
}

/// `x · (1 + tanh(√(2/π) · (x + 0.044715·x³))) / 2`, the tanh form of GELU (Hendrycks and Gimpel,
/// arXiv 1606.08415): `f64` inside, rounded to `f32` once.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
    let x = f64::from(x);
    (x * 0.5 * (1.0 + tanh_wide(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)))) as f32
}

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
