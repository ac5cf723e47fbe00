//! Linear layers: `y = x · Wᵀ + b`.

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

    /// Weights that lie in panels already, `⌈outputs / 16⌉` of `inputs` each.
    pub(crate) fn of_panels(panels: Vec<Lanes>, outputs: usize, inputs: usize) -> PackedWeights {
        debug_assert_eq!(panels.len(), outputs.div_ceil(LANES) * inputs);
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
    check(x, weights, bias, run, y);
    let order = Order::Ascending;
    on_isa!(compute.isa(), body(x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, run: usize, order: Order, y: &mut [f32]));
}

/// [`linear_in_runs`], but that the sums of runs are added pairwise.
///
/// # Order of operations
/// Run `i` takes run `i + 1`, then `i + 2`, and so on by doubling strides. The rest is that of [`linear_in_runs`].
///
/// # Panics
/// As [`linear_in_runs`].
pub fn linear_in_pairs_of_runs(
    compute: &Compute,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    run: usize,
    y: &mut [f32],
) {
    check(x, weights, bias, run, y);
    let order = Order::Pairwise;
    on_isa!(compute.isa(), body(x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, run: usize, order: Order, y: &mut [f32]));
}

/// Panics where lengths do not match their shapes.
fn check(x: &[f32], weights: &PackedWeights, bias: Option<&[f32]>, run: usize, y: &[f32]) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    assert!(run > 0, "a run has at least one term");
    assert_eq!(y.len() % outputs.max(1), 0, "y is (rows, outputs)");
    let rows = y.len() / outputs.max(1);
    assert_eq!(x.len(), rows * inputs, "x is (rows, inputs)");
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "bias is (outputs,)"
    );
}

/// In which order the sums of runs are added.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Pairwise,
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

/// One result of [`linear`] without a bias: that of the row `x` and the weights `w` of an output.
#[inline(always)]
pub(crate) fn product<M: Machine>(machine: M, x: &[f32], w: &[f32]) -> f32 {
    let mut total = 0.0;
    for (at, (x, w)) in x.chunks(RUN).zip(w.chunks(RUN)).enumerate() {
        let mut sum = 0.0;
        for (&x, &w) in x.iter().zip(w) {
            sum = machine.fma(x, w, sum);
        }
        total = if at == 0 { sum } else { total + sum };
    }
    total
}

#[inline(always)]
fn body<M: Machine>(
    machine: M,
    x: &[f32],
    weights: &PackedWeights,
    bias: Option<&[f32]>,
    run: usize,
    order: Order,
    y: &mut [f32],
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    if outputs == 0 {
        return;
    }
    let (rows, panels) = (y.len() / outputs, outputs.div_ceil(LANES));
    let mut layer = Layer {
        x,
        panels: &weights.panels,
        inputs,
        outputs,
        bias,
        run,
        order,
        waiting: Vec::new(),
        y,
        machine,
    };
    cover(&mut layer, rows, panels);
}

/// Fused multiply-adds in `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Single<M>(pub(crate) M);

impl<M: Machine> MultiplyAdd for Single<M> {
    type Input = f32;
    type Weights = Lanes;
    type Sum = Lanes;
    const PANELS: usize = M::PANELS;

    #[inline(always)]
    fn step(self, sum: Lanes, input: f32, weights: &Lanes) -> Lanes {
        self.0.fma_lanes(input, &weights.0, sum)
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
    order: Order,
    /// Sums of runs of a tile that wait for those that they are added to.
    waiting: Vec<Lanes>,
    y: &'a mut [f32],
    machine: M,
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
        chains::<_, ROWS, PANELS>(
            Single(self.machine),
            [Lanes::ZERO; PANELS],
            stretches(x, inputs, 0, start),
            stretches(panels, inputs, 0, start),
            &mut totals,
        );
        let mut done = 1;
        while start < inputs {
            let length = self.run.min(inputs - start);
            let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
            chains::<_, ROWS, PANELS>(
                Single(self.machine),
                [Lanes::ZERO; PANELS],
                stretches(x, inputs, start, length),
                stretches(panels, inputs, start, length),
                &mut sums,
            );
            match self.order {
                Order::Ascending => add(&mut totals, &sums),
                Order::Pairwise => {
                    // As a counter carries: pairs of runs are added, then pairs of pairs.
                    add_pairs(&mut self.waiting, &mut totals, done);
                    push(&mut self.waiting, &totals);
                    totals = sums;
                }
            }
            done += 1;
            start += length;
        }
        if self.order == Order::Pairwise {
            while !self.waiting.is_empty() {
                add_waiting(&mut self.waiting, &mut totals);
            }
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

#[inline(always)]
fn add<const ROWS: usize, const PANELS: usize>(
    totals: &mut [[Lanes; PANELS]; ROWS],
    sums: &[[Lanes; PANELS]; ROWS],
) {
    for r in 0..ROWS {
        for p in 0..PANELS {
            totals[r][p] = totals[r][p] + sums[r][p];
        }
    }
}

/// Lets the sums of a tile wait.
#[inline(always)]
fn push<const ROWS: usize, const PANELS: usize>(
    waiting: &mut Vec<Lanes>,
    sums: &[[Lanes; PANELS]; ROWS],
) {
    waiting.extend_from_slice(sums.as_flattened());
}

/// The last of the sums that wait, plus these.
#[inline(always)]
fn add_waiting<const ROWS: usize, const PANELS: usize>(
    waiting: &mut Vec<Lanes>,
    sums: &mut [[Lanes; PANELS]; ROWS],
) {
    let first = waiting.len() - ROWS * PANELS;
    for (sum, &left) in sums.as_flattened_mut().iter_mut().zip(&waiting[first..]) {
        *sum = left + *sum;
    }
    waiting.truncate(first);
}

/// Adds the sum of run `done - 1`, the last of `done` runs, to those that wait for it: to one for each zero at the end
/// of `done` in binary.
#[inline(always)]
fn add_pairs<const ROWS: usize, const PANELS: usize>(
    waiting: &mut Vec<Lanes>,
    sum: &mut [[Lanes; PANELS]; ROWS],
    done: usize,
) {
    for _ in 0..done.trailing_zeros() {
        add_waiting(waiting, sum);
    }
}
