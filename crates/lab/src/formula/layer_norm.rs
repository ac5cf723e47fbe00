//! Formulas of layer normalisation.

use super::choices::{Binary, Hold, Named, product_sum};
use super::moments::Moments;
use super::reference;
use super::sweep::Sweep;

/// How the reciprocal of the standard deviation is computed.
const RECIPROCALS: [Named<Binary>; 2] = [
    ("r = 1 / √(variance + eps)", |variance, eps| {
        1.0 / (variance + eps).sqrt()
    }),
    (
        "r = 1 / √(variance + eps) rounded once",
        |variance, eps| (1.0 / (f64::from(variance) + f64::from(eps)).sqrt()) as f32,
    ),
];

/// What there is of a value and its row: `x`, mean, `r`, gamma, beta.
type Output = fn(f32, f32, f32, f32, f32) -> f32;

/// How the output is put together.
const OUTPUTS: [Named<Output>; 9] = [
    ("fma((x − mean)·r, gamma, beta)", |x, m, r, g, b| {
        ((x - m) * r).mul_add(g, b)
    }),
    ("((x − mean)·r)·gamma + beta", |x, m, r, g, b| {
        (x - m) * r * g + b
    }),
    (
        "fma(fma(x, r, −r·mean), gamma, beta)",
        |x, m, r, g, b| x.mul_add(r, -r * m).mul_add(g, b),
    ),
    ("(x·r − r·mean)·gamma + beta", |x, m, r, g, b| {
        (x * r + -r * m) * g + b
    }),
    ("fma(x − mean, r·gamma, beta)", |x, m, r, g, b| {
        (x - m).mul_add(r * g, b)
    }),
    ("(x − mean)·(r·gamma) + beta", |x, m, r, g, b| {
        (x - m) * (r * g) + b
    }),
    (
        "fma(x, r·gamma, fma(−mean, r·gamma, beta))",
        |x, m, r, g, b| x.mul_add(r * g, (-m).mul_add(r * g, b)),
    ),
    (
        "x·(r·gamma) + (beta − mean·(r·gamma))",
        |x, m, r, g, b| x * (r * g) + (b - m * (r * g)),
    ),
    (
        "(x − mean)·r·gamma + beta in f64, rounded once",
        |x, m, r, g, b| {
            let [x, m, r, g, b] = [x, m, r, g, b].map(f64::from);
            ((x - m) * r * g + b) as f32
        },
    ),
];

/// Gives each formula's values for a sweep to `hold`.
pub(super) fn evaluate(sweep: &Sweep, hold: &mut Hold<'_>) {
    hold(
        "all in f64, rounded once".to_owned(),
        &reference::true_values(sweep),
    );
    let eps = sweep.eps() as f32;
    let mut values = vec![0.0; sweep.values().len()];
    for way in Moments::all(sweep.width()) {
        let moments: Vec<(f32, f32)> = sweep.rows().map(|row| way.of(row)).collect();
        let mut fill = |words: String,
                        value: &dyn Fn(f32, f32, f32, f32, f32) -> f32,
                        second: &dyn Fn(f32) -> f32| {
            let outputs = values.chunks_exact_mut(sweep.width());
            for ((row, out), &(mean, variance)) in sweep.rows().zip(outputs).zip(&moments) {
                let second = second(variance);
                let weights = sweep.gamma().iter().zip(sweep.beta());
                for ((out, &x), (&gamma, &beta)) in out.iter_mut().zip(row).zip(weights) {
                    *out = value(x, mean, second, gamma, beta);
                }
            }
            hold(format!("{words}; {}", way.words()), &values);
        };
        for (reciprocal, of) in RECIPROCALS {
            for (output, value) in OUTPUTS {
                fill(format!("{output}, {reciprocal}"), &value, &|variance| {
                    of(variance, eps)
                });
            }
        }
        for (output, fused) in [
            ("fma((x − mean)/d, gamma, beta)", true),
            ("((x − mean)/d)·gamma + beta", false),
        ] {
            fill(
                format!("{output}, d = √(variance + eps)"),
                &|x, mean, deviation, gamma, beta| {
                    product_sum((x - mean) / deviation, gamma, beta, fused)
                },
                &|variance| (variance + eps).sqrt(),
            );
        }
    }
}
