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
    panels: Vec<Lanes>,
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
        let mut panels = vec![Lanes::ZERO; outputs.div_ceil(LANES) * inputs];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / LANES * inputs..];
            for (lanes, &weight) in panel.iter_mut().zip(row) {
                lanes.0[output % LANES] = weight;
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
            .chunks_exact(self.inputs.max(1))
            .flat_map(|panel| &panel[range.clone()])
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
                self.panels[output / LANES * self.inputs + input].0[output % LANES]
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

/// Rows that all panels are taken over before the next rows: as many as stay in a core's second cache,
/// beside the panels of one tile, for rows of some thousand inputs.
const BLOCK_ROWS: usize = 16 * TILE_ROWS;

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
    let layer = Layer { weights, bias, run };
    let rows = y.len() / outputs;
    // Whole tiles, then what is left of the rows two by two, then a last one.
    let tiled = rows / TILE_ROWS * TILE_ROWS;
    let paired = tiled + (rows - tiled) / 2 * 2;
    let (x_tiled, x_rest) = x.split_at(tiled * inputs);
    let (x_paired, x_last) = x_rest.split_at((paired - tiled) * inputs);
    let (y_tiled, y_rest) = y.split_at_mut(tiled * outputs);
    let (y_paired, y_last) = y_rest.split_at_mut((paired - tiled) * outputs);
    layer.compute::<A, TILE_ROWS>(x_tiled, y_tiled);
    layer.compute::<A, 2>(x_paired, y_paired);
    layer.compute::<A, 1>(x_last, y_last);
}

/// A layer to be computed.
struct Layer<'a> {
    weights: &'a PackedWeights,
    bias: Option<&'a [f32]>,
    run: usize,
}

impl Layer<'_> {
    /// All outputs of rows whose number is a multiple of `ROWS`.
    #[inline(always)]
    fn compute<A: Fma, const ROWS: usize>(&self, x: &[f32], y: &mut [f32]) {
        let (inputs, outputs) = (self.weights.inputs, self.weights.outputs);
        let rows = y.len() / outputs;
        let panels = outputs.div_ceil(LANES);
        let mut tiles = vec![[0.0; ROWS]; rows.min(BLOCK_ROWS) * inputs / ROWS];
        let mut first = 0;
        while first < rows {
            let count = BLOCK_ROWS.min(rows - first) / ROWS;
            let x = &x[first * inputs..][..count * ROWS * inputs];
            let y = &mut y[first * outputs..][..count * ROWS * outputs];
            let tiles = &mut tiles[..count * inputs];
            interleave(x, inputs, tiles);
            let mut panel = 0;
            while panel < panels {
                let wide = panels - panel >= TILE_PANELS;
                for tile in 0..count {
                    let x = &tiles[tile * inputs..][..inputs];
                    let y = &mut y[tile * ROWS * outputs..][..ROWS * outputs];
                    if wide {
                        self.tile::<A, ROWS, TILE_PANELS>(x, panel, y);
                    } else {
                        self.tile::<A, ROWS, 1>(x, panel, y);
                    }
                }
                panel += if wide { TILE_PANELS } else { 1 };
            }
            first += count * ROWS;
        }
    }

    /// `ROWS` rows by `PANELS` panels of `y`, from the panel `first` on; `x` is `(inputs, ROWS)`.
    #[inline(always)]
    fn tile<A: Fma, const ROWS: usize, const PANELS: usize>(
        &self,
        x: &[[f32; ROWS]],
        first: usize,
        y: &mut [f32],
    ) {
        let outputs = self.weights.outputs;
        let w: [&[Lanes]; PANELS] =
            std::array::from_fn(|p| &self.weights.panels[(first + p) * x.len()..][..x.len()]);
        let mut totals = [[Lanes::ZERO; PANELS]; ROWS];
        let mut start = 0;
        while start < x.len() {
            let end = x.len().min(start + self.run);
            let x = &x[start..end];
            let w: [&[Lanes]; PANELS] = std::array::from_fn(|p| &w[p][start..end][..x.len()]);
            let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
            for (k, x) in x.iter().enumerate() {
                let w: [Lanes; PANELS] = std::array::from_fn(|p| w[p][k]);
                for r in 0..ROWS {
                    for p in 0..PANELS {
                        sums[r][p] = sums[r][p].fma::<A>(x[r], &w[p].0);
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
                let first = (first + p) * LANES;
                let last = outputs.min(first + LANES);
                let total = match self.bias {
                    Some(bias) => *total + Lanes::load(&bias[first..last], 0.0),
                    None => *total,
                };
                y[r * outputs + first..r * outputs + last]
                    .copy_from_slice(&total.0[..last - first]);
            }
        }
    }
}

/// Lays `ROWS` rows of `x` beside each other, tile by tile: each tile is `(inputs, ROWS)`.
#[inline(always)]
fn interleave<const ROWS: usize>(x: &[f32], inputs: usize, tiles: &mut [[f32; ROWS]]) {
    let rows = x.chunks_exact((ROWS * inputs).max(1));
    for (x, tile) in rows.zip(tiles.chunks_exact_mut(inputs.max(1))) {
        for (k, beside) in tile.iter_mut().enumerate() {
            for (r, value) in beside.iter_mut().enumerate() {
                *value = x[r * inputs + k];
            }
        }
    }
}
