//! Linear layers: `y = x · Wᵀ + b`.

use std::ops::Range;

use crate::isa::{Isa, on_isa};
use crate::lanes::{Fma, LANES, Lanes};

/// How many products are chained before their sum joins the total: the contract's run length.
///
/// Short runs keep the rounding error of long rows down (a chain of `n` terms errs like `n`, runs of
/// `r` like `r + n / r`), and a run is what a block of the weights contributes while it is in cache.
pub const RUN: usize = 192;

/// Weights `(out, in)` of a linear layer, laid out in panels of sixteen outputs.
///
/// Panel `p` holds, for each input `k`, the sixteen weights of the outputs `16p..16p + 16`; outputs
/// beyond the last are zero and never read back.
#[derive(Clone)]
pub struct PackedWeights {
    panels: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl PackedWeights {
    /// Packs row-major `weights` of shape `(outputs, inputs)`.
    ///
    /// # Panics
    /// When `weights` does not have `outputs * inputs` values.
    pub fn pack(weights: &[f32], outputs: usize, inputs: usize) -> PackedWeights {
        assert_eq!(
            weights.len(),
            outputs * inputs,
            "weights are (outputs, inputs)"
        );
        let mut panels = vec![0.0; outputs.div_ceil(LANES) * LANES * inputs];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / LANES * LANES * inputs..];
            for (input, &weight) in row.iter().enumerate() {
                panel[input * LANES + output % LANES] = weight;
            }
        }
        PackedWeights {
            panels,
            outputs,
            inputs,
        }
    }

    /// The number of outputs (columns of `y`).
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of inputs (columns of `x`).
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The weights of a range of inputs alone: shape `(outputs, range)`.
    ///
    /// # Panics
    /// When the range ends beyond the inputs.
    pub fn slice_inputs(&self, range: Range<usize>) -> PackedWeights {
        let panels = self
            .panels
            .chunks_exact((LANES * self.inputs).max(1))
            .flat_map(|panel| &panel[range.start * LANES..range.end * LANES])
            .copied()
            .collect();
        PackedWeights {
            panels,
            outputs: self.outputs,
            inputs: range.len(),
        }
    }

    /// The weights as they were given: row-major `(outputs, inputs)`.
    pub fn unpack(&self) -> Vec<f32> {
        (0..self.outputs * self.inputs)
            .map(|at| {
                let (output, input) = (at / self.inputs, at % self.inputs);
                self.panels[(output / LANES * self.inputs + input) * LANES + output % LANES]
            })
            .collect()
    }
}

/// `y[m][n] = (Σ_k x[m][k] · w[n][k]) + bias[n]`, for `x` `(rows, inputs)` and `y` `(rows, outputs)`.
///
/// # Order of operations
/// The inputs are cut into runs of `run` terms, ascending, the last one shorter. Within a run the sum
/// is one chain of fused multiply-adds from zero, ascending. The total is the first run's sum; each
/// later run's sum is added to it in order. The bias, where there is one, is added last. Everything is
/// `f32`; every fused multiply-add and every addition rounds once to nearest even.
///
/// # Panics
/// When a length does not match its shape, or `run` is zero.
pub fn linear_in_runs(
    isa: Isa,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    run: usize,
    y: &mut [f32],
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    assert!(run > 0, "a run has at least one term");
    assert_eq!(y.len() % outputs.max(1), 0, "y is (rows, outputs)");
    let rows = y.len() / outputs.max(1);
    assert_eq!(x.len(), rows * inputs, "x is (rows, inputs)");
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "bias is (outputs,)"
    );
    on_isa!(isa, body(x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, run: usize, y: &mut [f32]));
}

/// [`linear_in_runs`] with the contract's own run length, [`RUN`].
pub fn linear(isa: Isa, x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, y: &mut [f32]) {
    linear_in_runs(isa, x, weights, bias, RUN, y);
}

/// Rows and panels that one register tile covers. They decide which sums are computed side by side,
/// never how a sum is computed.
const TILE_ROWS: usize = 6;
const TILE_PANELS: usize = 2;

#[inline(always)]
fn body<A: Fma>(
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    run: usize,
    y: &mut [f32],
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    if outputs == 0 {
        return;
    }
    let rows = y.len() / outputs;
    let panels = outputs.div_ceil(LANES);
    let mut panel = 0;
    while panel < panels {
        let wide = panels - panel >= TILE_PANELS;
        let mut row = 0;
        while row < rows {
            let left = rows - row;
            let tile = Tile {
                x: &x[row * inputs..],
                weights,
                bias,
                run,
                panel,
            };
            let y = &mut y[row * outputs..];
            row += match (wide, left) {
                (true, TILE_ROWS..) => tile.compute::<A, TILE_ROWS, TILE_PANELS>(y),
                (true, 2..) => tile.compute::<A, 2, TILE_PANELS>(y),
                (true, _) => tile.compute::<A, 1, TILE_PANELS>(y),
                (false, TILE_ROWS..) => tile.compute::<A, TILE_ROWS, 1>(y),
                (false, _) => tile.compute::<A, 1, 1>(y),
            };
        }
        panel += if wide { TILE_PANELS } else { 1 };
    }
}

/// Where a register tile starts: `x` at its first row, the weights at its first panel.
struct Tile<'a> {
    x: &'a [f32],
    weights: &'a PackedWeights,
    bias: Option<&'a [f32]>,
    run: usize,
    panel: usize,
}

impl Tile<'_> {
    /// Computes `ROWS` rows by `PANELS` panels of `y` and returns `ROWS`.
    #[inline(always)]
    fn compute<A: Fma, const ROWS: usize, const PANELS: usize>(&self, y: &mut [f32]) -> usize {
        let (inputs, outputs) = (self.weights.inputs, self.weights.outputs);
        let x: [&[f32]; ROWS] = std::array::from_fn(|r| &self.x[r * inputs..][..inputs]);
        let w: [&[[f32; LANES]]; PANELS] = std::array::from_fn(|p| {
            let panel = &self.weights.panels[(self.panel + p) * LANES * inputs..][..LANES * inputs];
            panel.as_chunks().0
        });
        let mut totals = [[Lanes::ZERO; PANELS]; ROWS];
        let mut start = 0;
        while start < inputs {
            let end = inputs.min(start + self.run);
            let x: [&[f32]; ROWS] = std::array::from_fn(|r| &x[r][start..end]);
            let w: [&[[f32; LANES]]; PANELS] = std::array::from_fn(|p| &w[p][start..end]);
            let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
            for k in 0..end - start {
                for r in 0..ROWS {
                    for p in 0..PANELS {
                        sums[r][p] = sums[r][p].fma::<A>(x[r][k], &w[p][k]);
                    }
                }
            }
            if start == 0 {
                totals = sums;
            } else {
                for r in 0..ROWS {
                    for p in 0..PANELS {
                        totals[r][p] = totals[r][p] + sums[r][p];
                    }
                }
            }
            start = end;
        }
        for (r, row_totals) in totals.iter().enumerate() {
            for (p, total) in row_totals.iter().enumerate() {
                let first = (self.panel + p) * LANES;
                let last = outputs.min(first + LANES);
                let total = match self.bias {
                    Some(bias) => *total + Lanes::load(&bias[first..last], 0.0),
                    None => *total,
                };
                y[r * outputs + first..r * outputs + last]
                    .copy_from_slice(&total.0[..last - first]);
            }
        }
        ROWS
    }
}
