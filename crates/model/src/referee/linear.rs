//! Linear layers.

use rayon::prelude::*;

use crate::encoder::operations::LinearLayer;

/// Outputs that are computed side by side, and rows. They decide which sums run in parallel, never how a
/// sum is computed; together they fill the registers of two `f64` that every x86-64 has.
const WIDE: usize = 4;
const ROWS: usize = 4;

/// Rows of one task: as many as stay in a core's second cache while all panels pass.
const TASK_ROWS: usize = 4 * ROWS;

/// Weights `(outputs, inputs)` in panels of [`WIDE`] outputs: for each input, the weights of those outputs
/// beside each other; zero beyond the last one. In `f32`, and widened when they are used.
pub(super) struct Weights(Vec<[f32; WIDE]>);

impl Weights {
    pub(super) fn new(values: &[f32], outputs: usize, inputs: usize) -> Weights {
        let mut panels = vec![[0.0; WIDE]; outputs.div_ceil(WIDE) * inputs];
        for (output, row) in values.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / WIDE * inputs..];
            for (beside, &weight) in panel.iter_mut().zip(row) {
                beside[output % WIDE] = weight;
            }
        }
        Weights(panels)
    }
}

/// `y = x · Wᵀ + bias`.
pub(super) fn linear(layer: &LinearLayer<Weights>, x: &[f64], y: &mut [f64]) {
    let x = x.par_chunks((TASK_ROWS * layer.inputs).max(1));
    let y = y.par_chunks_mut((TASK_ROWS * layer.outputs).max(1));
    x.zip(y).for_each(|(x, y)| task(layer, x, y));
}

/// Some rows.
fn task(layer: &LinearLayer<Weights>, x: &[f64], y: &mut [f64]) {
    let (inputs, outputs) = (layer.inputs.max(1), layer.outputs.max(1));
    let tiles: Vec<Vec<[f64; ROWS]>> = x
        .chunks(ROWS * inputs)
        .map(|rows| side_by_side(rows, inputs))
        .collect();
    for (panel, weights) in layer.weights.0.chunks_exact(inputs).enumerate() {
        let columns = panel * WIDE..outputs.min((panel + 1) * WIDE);
        for (tile, y) in tiles.iter().zip(y.chunks_mut(ROWS * outputs)) {
            let sums = sums(tile, weights);
            for (sums, y) in sums.iter().zip(y.chunks_exact_mut(outputs)) {
                for (column, sum) in columns.clone().zip(sums) {
                    let bias = layer.bias.as_ref().map(|bias| f64::from(bias[column]));
                    y[column] = bias.map_or(*sum, |bias| sum + bias);
                }
            }
        }
    }
}

/// Up to [`ROWS`] rows of `inputs` values, for each input beside each other; zero beyond the last row.
fn side_by_side(rows: &[f64], inputs: usize) -> Vec<[f64; ROWS]> {
    let mut tile = vec![[0.0; ROWS]; inputs];
    for (r, row) in rows.chunks_exact(inputs).enumerate() {
        for (beside, &value) in tile.iter_mut().zip(row) {
            beside[r] = value;
        }
    }
    tile
}

/// `Σ_k x[k][row] · w[k][output]`, `k` ascending.
fn sums(x: &[[f64; ROWS]], weights: &[[f32; WIDE]]) -> [[f64; WIDE]; ROWS] {
    let mut sums = [[0.0; WIDE]; ROWS];
    for (x, weights) in x.iter().zip(weights) {
        let weights = weights.map(f64::from);
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sum, weight) in sums.iter_mut().zip(&weights) {
                *sum += x * weight;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use crate::numerics::Arithmetic;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_output_is_one_chain_over_the_inputs_and_then_the_bias(
            (rows, inputs, outputs) in (0usize..40, 1usize..20, 1usize..14),
            has_bias: bool,
            seed in 0u32..1000,
        ) {
            let noise = |i: usize| ((i as u32).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32;
            let x: Vec<f64> = (0..rows * inputs).map(|i| f64::from(noise(i)) / 3.0).collect();
            let w: Vec<f32> = (0..outputs * inputs).map(|i| noise(i + 7) / 1000.0 - 8000.0).collect();
            let bias = has_bias.then(|| (0..outputs).map(|o| noise(o + 99)).collect::<Vec<f32>>());
            let layer = LinearLayer {
                weights: Weights::new(&w, outputs, inputs),
                bias: bias.clone(),
                inputs,
                outputs,
                arithmetic: Arithmetic::default(),
            };
            let mut y = vec![0.0; rows * outputs];
            linear(&layer, &x, &mut y);
            for (at, y) in y.iter().enumerate() {
                let (row, output) = (at / outputs, at % outputs);
                let mut sum = 0.0;
                for k in 0..inputs {
                    sum += x[row * inputs + k] * f64::from(w[output * inputs + k]);
                }
                let sum = bias.as_ref().map_or(sum, |bias| sum + f64::from(bias[output]));
                prop_assert_eq!(y.to_bits(), sum.to_bits());
            }
        }
    }
}
