//! Formulas of the division by the Euclidean length.

use super::choices::{Hold, Named};
use super::reference::{self, MIN_NORM};
use super::sums::SumOrder;
use super::sweep::Sweep;

/// How a row is brought to unit length, given the sum of its squares.
const QUOTIENTS: [Named<ScaleOf>; 3] = [
    ("x / max(√sum, eps)", |sum| {
        Scale::Divisor(sum.sqrt().max(MIN_NORM))
    }),
    ("x · (1 / max(√sum, eps))", |sum| {
        Scale::Factor(1.0 / sum.sqrt().max(MIN_NORM))
    }),
    ("x · rsqrt(max(sum, eps²)), rsqrt rounded once", |sum| {
        Scale::Factor((1.0 / f64::from(sum.max(MIN_NORM * MIN_NORM)).sqrt()) as f32)
    }),
];

/// The scale of a row of which the squares have this sum.
type ScaleOf = fn(f32) -> Scale;

enum Scale {
    Divisor(f32),
    Factor(f32),
}

impl Scale {
    fn apply(&self, x: f32) -> f32 {
        match self {
            Scale::Divisor(norm) => x / norm,
            Scale::Factor(factor) => x * factor,
        }
    }
}

/// Gives each formula's values for a sweep to `hold`.
pub(super) fn evaluate(sweep: &Sweep, hold: &mut Hold<'_>) {
    let truth: Vec<f32> = sweep.rows().flat_map(reference::normalize).collect();
    hold(
        "x / max(√sum, eps), all in f64, rounded once".to_owned(),
        &truth,
    );
    for order in SumOrder::all(sweep.width()) {
        for fused in [true, false] {
            if fused && !order.can_fuse() {
                continue;
            }
            let squares = if fused {
                "squares fused into sums"
            } else {
                "squares"
            };
            let sums: Vec<f32> = sweep
                .rows()
                .map(|row| order.sum_of_squares(row, fused))
                .collect();
            for (words, scale) in QUOTIENTS {
                let rows = sweep.rows().zip(&sums);
                let values: Vec<f32> = rows
                    .flat_map(|(row, &sum)| {
                        let scale = scale(sum);
                        row.iter().map(move |&x| scale.apply(x))
                    })
                    .collect();
                hold(format!("{words}, {squares} {order}"), &values);
            }
            let values: Vec<f32> = sweep
                .rows()
                .flat_map(|row| scaled_first(row, order, fused))
                .collect();
            hold(
                format!("x / max(m·√sum, eps), {squares} of x/m {order}, m the largest |x|"),
                &values,
            );
        }
    }
}

/// The length of a row that is divided by its largest magnitude first, so that no square overflows.
fn scaled_first(row: &[f32], order: SumOrder, fused: bool) -> Vec<f32> {
    let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let divisor = if largest > 0.0 { largest } else { 1.0 };
    let smaller: Vec<f32> = row.iter().map(|x| x / divisor).collect();
    let norm = (largest * order.sum_of_squares(&smaller, fused).sqrt()).max(MIN_NORM);
    row.iter().map(|x| x / norm).collect()
}
