//! Formulas of GELU.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use concord_kernels::compute::Compute;
use concord_kernels::elementary;
use concord_kernels::gelu::{Gelu, gelu};

use super::approximations::{EXPONENTIALS, erf_abramowitz_stegun};
use super::choices::{Binary, Hold, Named, Unary};
use super::piecewise::erf_in_pieces;
use super::reference;

/// What a formula of one value is given to.
type Each<'a> = dyn FnMut(&str, &dyn Fn(f32) -> f32) + 'a;

/// `√(2/π)`.
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;

/// The coefficient of `x³` in the tanh form.
const CUBIC: f64 = 0.044715;

/// Gives each formula's values for `x` to `hold`.
pub(super) fn evaluate(x: &[f32], hold: &mut Hold<'_>) {
    let mut native = x.to_vec();
    gelu(&Compute::fastest(), Gelu::Erf, &mut native);
    hold(
        "erf form in f32: max(x, 0) − |x|·erfc(|x|/√2)/2 in sixteen pieces (Concord)".to_owned(),
        &native,
    );
    let mut each = |formula: &str, value: &dyn Fn(f32) -> f32| {
        let values: Vec<f32> = x.iter().map(|&x| value(x)).collect();
        hold(formula.to_owned(), &values);
    };
    each(
        "erf form: x·(1 + erf(x/√2))/2 in f64, rounded once",
        &elementary::gelu_erf,
    );
    each("tanh form in f64, rounded once", &elementary::gelu_tanh);
    each(
        "erf form, correctly rounded: x·erfc(−x/√2)/2 in f64, rounded once",
        &reference::gelu,
    );
    erf_forms(&mut each);
    tanh_forms(&mut each);
    each("sigmoid form: x/(1 + exp(−1.702·x))", &|x| {
        x / (1.0 + elementary::exp(-1.702 * x))
    });
}

/// How `x` and `erf(x / √2)` make GELU. Where one factor of the first is halved, the other might be: that
/// gives the same bits.
const PRODUCTS: [Named<Binary>; 4] = [
    ("(x/2)·(1 + erf)", |x, erf| (x * 0.5) * (1.0 + erf)),
    ("(x·(1 + erf))/2", |x, erf| x * (1.0 + erf) * 0.5),
    ("fma(x/2, erf, x/2)", |x, erf| {
        (x * 0.5).mul_add(erf, x * 0.5)
    }),
    ("(x/2)·erf + x/2", |x, erf| (x * 0.5) * erf + x * 0.5),
];

/// The erf form in `f32`, in the ways to compute the error function, to multiply and to divide.
fn erf_forms(each: &mut Each<'_>) {
    let fusions = [(true, ""), (false, ", unfused")];
    for (exponential, exp) in EXPONENTIALS {
        for (fused, unfused) in fusions {
            let words = format!("erf by Abramowitz and Stegun 7.1.26{unfused}, {exponential}");
            products(each, &words, &|x| {
                odd(x, |x| erf_abramowitz_stegun(x, exp, fused))
            });
        }
    }
    for (fused, unfused) in fusions {
        let words = format!("erf by polynomials of degree 5 in 23 pieces{unfused} (oneDNN 3)");
        products(each, &words, &|x| odd(x, |x| erf_in_pieces(x, fused)));
    }
    let arguments: [Named<Unary>; 2] = [("x·√½", |x| x * FRAC_1_SQRT_2), ("x/√2", |x| x / SQRT_2)];
    for (argument, of) in arguments {
        let words = format!("erf({argument}) correctly rounded");
        products(each, &words, &|x| elementary::erf(of(x)));
    }
}

/// Every product of `x` with an error function, which is given `x` and in `words`.
fn products(each: &mut Each<'_>, words: &str, erf: &dyn Fn(f32) -> f32) {
    for (product, with) in PRODUCTS {
        each(&format!("erf form in f32: {product}, {words}"), &|x| {
            with(x, erf(x))
        });
    }
}

/// The odd function that is `of` for positive numbers; of a number with a sign, zero too, it has that sign.
fn odd(x: f32, of: impl Fn(f32) -> f32) -> f32 {
    f32::from_bits(of(x.abs()).to_bits() ^ (x.to_bits() & 1 << 31))
}

/// The tanh form in `f32`, in the ways to take the cube and the hyperbolic tangent.
fn tanh_forms(each: &mut Each<'_>) {
    const ROOT: f32 = SQRT_2_OVER_PI as f32;
    const C: f32 = CUBIC as f32;
    let inners: [Named<Unary>; 4] = [
        ("√(2/π)·(x + c·x³)", |x| ROOT * (x + C * (x * x * x))),
        ("√(2/π)·fma(c, x³, x)", |x| {
            ROOT * C.mul_add(x * x * x, x)
        }),
        ("√(2/π)·x·(1 + c·x²)", |x| {
            ROOT * x * (1.0 + C * x * x)
        }),
        ("√(2/π)·x·fma(c, x², 1)", |x| {
            ROOT * x * C.mul_add(x * x, 1.0)
        }),
    ];
    let outers: [Named<Binary>; 4] = [
        ("(x/2)·(1 + tanh), tanh rounded once", |x, y| {
            (x * 0.5) * (1.0 + elementary::tanh(y))
        }),
        ("fma(x/2, tanh, x/2), tanh rounded once", |x, y| {
            (x * 0.5).mul_add(elementary::tanh(y), x * 0.5)
        }),
        ("(x/2)·(1 + tanh), tanh = 1 − 2/(exp(2y) + 1)", |x, y| {
            (x * 0.5) * (1.0 + (1.0 - 2.0 / (elementary::exp(2.0 * y) + 1.0)))
        }),
        ("x/(1 + exp(−2y))", |x, y| {
            x / (1.0 + elementary::exp(-2.0 * y))
        }),
    ];
    for (inner, of) in inners {
        for (outer, with) in outers {
            each(&format!("tanh form in f32: {outer}, y = {inner}"), &|x| {
                with(x, of(x))
            });
        }
    }
}
