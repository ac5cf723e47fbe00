//! Linear layers: `y = x · Wᵀ + b`.

use std::marker::PhantomData;
use std::ops::Range;

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::lanes::Lanes;
use crate::machine::Machine;
use crate::reduction::LANES;
use crate::tile::{MultiplyAdd, Tiled, chains, cover, fetch_places, stretches};

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
    compute: &Compute,
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
    on_isa!(compute.isa(), body(x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, run: usize, y: &mut [f32]));
}

/// [`linear_in_runs`] with the contract's own run length, [`RUN`].
pub fn linear(
    compute: &Compute,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    linear_in_runs(compute, x, weights, bias, RUN, y);
}

#[inline(always)]
fn body<M: Machine>(
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
    let (rows, panels) = (y.len() / outputs, outputs.div_ceil(LANES));
    let mut layer = Layer::<M> {
        x,
        panels: &weights.panels,
        inputs,
        outputs,
        bias,
        run,
        y,
        machine: PhantomData,
    };
    cover(&mut layer, rows, panels);
}

/// Fused multiply-adds in `f32`.
pub(crate) struct Single<M>(PhantomData<M>);

impl<M: Machine> MultiplyAdd for Single<M> {
    type Input = f32;
    type Weights = Lanes;
    type Sum = Lanes;
    const PANELS: usize = M::PANELS;

    #[inline(always)]
    fn step(sum: Lanes, input: f32, weights: &Lanes) -> Lanes {
        sum.fma::<M>(input, &weights.0)
    }
}

/// A layer to be computed.
struct Layer<'a, M> {
    x: &'a [f32],
    panels: &'a [Lanes],
    inputs: usize,
    outputs: usize,
    bias: Option<&'a [f32]>,
    run: usize,
    y: &'a mut [f32],
    machine: PhantomData<M>,
}

impl<M: Machine> Tiled for Layer<'_, M> {
    type MultiplyAdd = Single<M>;

    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize) {
        let inputs = self.inputs;
        let (x, panels) = (&self.x[row * inputs..], &self.panels[panel * inputs..]);
        let first = row * self.outputs + panel * LANES;
        fetch_places::<ROWS, PANELS>(self.y, self.outputs, first);
        let mut totals = [[Lanes::ZERO; PANELS]; ROWS];
        let mut start = self.run.min(inputs);
        chains::<Single<M>, ROWS, PANELS>(
            [Lanes::ZERO; PANELS],
            stretches(x, inputs, 0, start),
            stretches(panels, inputs, 0, start),
            &mut totals,
        );
        while start < inputs {
            let length = self.run.min(inputs - start);
            let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
            chains::<Single<M>, ROWS, PANELS>(
                [Lanes::ZERO; PANELS],
                stretches(x, inputs, start, length),
                stretches(panels, inputs, start, length),
                &mut sums,
            );
            for r in 0..ROWS {
                for p in 0..PANELS {
                    totals[r][p] = totals[r][p] + sums[r][p];
                }
            }
            start += length;
        }
        for r in 0..ROWS {
            let y = &mut self.y[(row + r) * self.outputs..][..self.outputs];
            for p in 0..PANELS {
                let first = (panel + p) * LANES;
                let last = self.outputs.min(first + LANES);
                let total = match self.bias {
                    Some(bias) => totals[r][p] + Lanes::load(&bias[first..last], 0.0),
                    None => totals[r][p],
                };
                total.store(&mut y[first..last]);
            }
        }
    }
}
