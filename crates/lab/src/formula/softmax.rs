//! Formulas of softmax.

use super::approximations::EXPONENTIALS;
use super::choices::Hold;
use super::reference;
use super::sums::SumOrder;
use super::sweep::Sweep;

/// Gives each formula's values for a sweep to `hold`.
pub(super) fn evaluate(sweep: &Sweep, hold: &mut Hold<'_>) {
    let truth: Vec<f32> = sweep.rows().flat_map(reference::softmax).collect();
    hold("all in f64, rounded once".to_owned(), &truth);
    let largest = |row: &[f32]| row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (argument, shifts) in [("exp(x − max)", true), ("exp(x)", false)] {
        for (exponential, exp) in EXPONENTIALS {
            let terms: Vec<f32> = sweep
                .rows()
                .flat_map(|row| {
                    let shift = if shifts { largest(row) } else { 0.0 };
                    row.iter().map(move |x| exp(x - shift))
                })
                .collect();
            for order in SumOrder::all(sweep.width()) {
                let rows = || terms.chunks_exact(sweep.width());
                let sums: Vec<f32> = rows().map(|row| order.sum(row)).collect();
                let quotients = rows()
                    .zip(&sums)
                    .flat_map(|(row, sum)| row.iter().map(move |e| e / sum));
                let products = rows().zip(&sums).flat_map(|(row, sum)| {
                    let factor = 1.0 / sum;
                    row.iter().map(move |e| e * factor)
                });
                let words = format!("e = {argument}, {exponential}, sum of e {order}");
                hold(format!("e / sum, {words}"), &quotients.collect::<Vec<_>>());
                hold(
                    format!("e · (1 / sum), {words}"),
                    &products.collect::<Vec<_>>(),
                );
            }
        }
    }
}
