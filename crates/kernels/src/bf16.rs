//! Linear layers of `bf16` operands with sums in `f32`.

use std::sync::OnceLock;

use crate::compute::Compute;
use crate::gemm::add_assign;
use crate::isa::on_isa;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx512Bf16, Isa};
use crate::lanes::Lanes;
use crate::linear::{PackedWeights, linear_in_runs};
use crate::machine::Machine;
use crate::reduction::LANES;
use crate::rounding::{Format, round};

/// The weights of sixteen outputs for two neighbouring inputs: in each lane the first input's in the lower
/// half, the second's in the upper.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Pairs([u32; LANES]);

/// Weights `(out, in)` of a linear layer in `bf16`, in panels of sixteen outputs.
#[derive(Clone)]
pub struct Bf16Weights {
    panels: Vec<Pairs>,
    /// In `f32`, made where a product needs them so: [`Bf16Weights::widen`].
    widened: OnceLock<PackedWeights>,
    outputs: usize,
    inputs: usize,
}

impl Bf16Weights {
    /// Rounds row-major `weights` of shape `(outputs, inputs)` to [`Format::Bf16`] and packs them.
    ///
    /// # Panics
    /// When `weights` does not have `outputs * inputs` values.
    pub fn pack(weights: &[f32], outputs: usize, inputs: usize) -> Bf16Weights {
        assert_eq!(
            weights.len(),
            outputs * inputs,
            "weights are (outputs, inputs)"
        );
        let pairs = inputs.div_ceil(2);
        let mut panels = vec![Pairs([0; LANES]); outputs.div_ceil(LANES) * pairs];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / LANES * pairs..];
            for (lanes, pair) in panel.iter_mut().zip(row.chunks(2)) {
                lanes.0[output % LANES] = packed_pair(pair);
            }
        }
        Bf16Weights {
            panels,
            widened: OnceLock::new(),
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

    /// The weights in `f32` for an even number of inputs, in the order in which they join a sum.
    fn widen(&self) -> PackedWeights {
        let in_order = |pairs: &Pairs| {
            let mut both = [Lanes::ZERO; 2];
            for (lane, &pair) in pairs.0.iter().enumerate() {
                let [first, second] = in_order(pair);
                (both[0].0[lane], both[1].0[lane]) = (first, second);
            }
            both
        };
        let panels = self.panels.iter().flat_map(in_order).collect();
        PackedWeights::of_panels(panels, self.outputs, 2 * self.inputs.div_ceil(2))
    }
}

/// One or two values, rounded, as halves of a word.
#[inline(always)]
fn packed_pair(pair: &[f32]) -> u32 {
    let half = |value: &f32| Format::Bf16.round(*value).to_bits() >> 16;
    half(&pair[0]) | pair.get(1).map_or(0, half) << 16
}

/// Rows `(rows, inputs)` in `bf16`.
pub struct Bf16Rows {
    pairs: Vec<u32>,
    rows: usize,
    inputs: usize,
}

impl Bf16Rows {
    /// Rounds every value of `x` to [`Format::Bf16`].
    ///
    /// # Panics
    /// When `x` is not a whole number of rows.
    pub fn round(compute: &Compute, x: &[f32], inputs: usize) -> Bf16Rows {
        assert_eq!(x.len() % inputs.max(1), 0, "x is (rows, inputs)");
        let rows = x.len() / inputs.max(1);
        let mut rounded = Bf16Rows {
            pairs: vec![0; rows * inputs.div_ceil(2)],
            rows,
            inputs,
        };
        let out = &mut rounded;
        on_isa!(compute.isa(), round_rows(x: &[f32], out: &mut Bf16Rows));
        rounded
    }
}

#[inline(always)]
fn round_rows<M: Machine>(_: M, x: &[f32], out: &mut Bf16Rows) {
    let pairs = out.inputs.div_ceil(2);
    let rows = x.chunks_exact(out.inputs.max(1));
    for (x, out) in rows.zip(out.pairs.chunks_exact_mut(pairs.max(1))) {
        let (whole, last) = x.as_chunks::<2>();
        for (out, pair) in out.iter_mut().zip(whole) {
            *out = packed_pair(pair);
        }
        if let ([_], Some(out)) = (last, out.last_mut()) {
            *out = packed_pair(last);
        }
    }
}

/// `y[m][n] = (Σ_k x[m][k] · w[n][k]) + bias[n]`, for `x` `(rows, inputs)` and `y` `(rows, outputs)`.
///
/// # Order of operations
/// The sum is one chain of fused multiply-adds in `f32` from zero over pairs of inputs, ascending, and in each
/// pair the second input before the first: what `vdpbf16ps` does. It flushes subnormals to zero, but none can
/// arise, see [`MIN_BF16`](crate::rounding::MIN_BF16). The bias, where there is one, is rounded to
/// [`Format::Bf16`] and added last, and the result is rounded to it once more.
///
/// # Panics
/// When a length does not match its shape.
pub fn linear_bf16(
    compute: &Compute,
    x: &Bf16Rows,
    weights: &Bf16Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let outputs = weights.outputs;
    assert_eq!(x.inputs, weights.inputs, "x is (rows, inputs)");
    assert_eq!(y.len(), x.rows * outputs, "y is (rows, outputs)");
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "bias is (outputs,)"
    );
    #[cfg(target_arch = "x86_64")]
    if let Isa::Avx512(avx512) = compute.isa()
        && let Some(proof) = Avx512Bf16::try_beside(avx512)
    {
        return instruction::linear(proof, x, weights, bias, y);
    }
    by_widening(compute, x, weights, bias, y);
}

/// [`linear_bf16`] without the instruction: the same chains of operands in `f32`, which hold every `bf16`.
fn by_widening(
    compute: &Compute,
    x: &Bf16Rows,
    weights: &Bf16Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let weights = weights.widened.get_or_init(|| weights.widen());
    let x: Vec<f32> = x.pairs.iter().copied().flat_map(in_order).collect();
    let one_chain = weights.inputs().max(1);
    linear_in_runs(compute, &x, weights, None, one_chain, y);
    if let Some(bias) = bias {
        let bias = rounded(bias);
        for row in y.chunks_exact_mut(bias.len().max(1)) {
            add_assign(row, &bias);
        }
    }
    round(compute, Format::Bf16, y);
}

fn rounded(bias: &[f32]) -> Vec<f32> {
    bias.iter().map(|&b| Format::Bf16.round(b)).collect()
}

/// The halves of a word in `f32`, in the order in which they join a sum: the upper before the lower.
#[inline(always)]
fn in_order(pair: u32) -> [f32; 2] {
    [pair & 0xffff_0000, pair << 16].map(f32::from_bits)
}

/// Whether products of `bf16` have an instruction of their own, `vdpbf16ps`. Where they have none, they take as many
/// instructions as those of `f32`.
pub fn has_instruction(compute: &Compute) -> bool {
    match compute.isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => Avx512Bf16::try_beside(avx512).is_some(),
        _ => false,
    }
}

/// How a product of `bf16` is computed, in words.
pub fn instructions(compute: &Compute) -> &'static str {
    match has_instruction(compute) {
        true => "avx512bf16",
        false => "fused multiply-adds of widened operands",
    }
}

#[cfg(target_arch = "x86_64")]
mod instruction {
    use std::arch::x86_64::*;

    use super::{Bf16Rows, Bf16Weights, Pairs, rounded};
    use crate::isa::{Avx512Bf16, with_proof};
    use crate::lanes::Lanes;
    use crate::reduction::LANES;
    use crate::rounding::Format;
    use crate::tile::{MultiplyAdd, Tiled, chains, cover, fetch_places, stretches};

    /// The instruction `vdpbf16ps`.
    impl MultiplyAdd for Avx512Bf16 {
        type Input = u32;
        type Weights = Pairs;
        type Sum = Lanes;
        const PANELS: usize = 4;

        #[inline(always)]
        fn step(self, sum: Lanes, input: u32, weights: &Pairs) -> Lanes {
            let mut out = sum;
            // SAFETY: `self` proves AVX-512 BF16 and AVX-512 F. Loads and the store are of whole arrays of 64
            // bytes, aligned to as many.
            unsafe {
                let input = _mm512_set1_epi32(input.cast_signed());
                let weights = _mm512_load_si512(weights.0.as_ptr().cast());
                let sum = _mm512_load_ps(sum.0.as_ptr());
                let sum = _mm512_dpbf16_ps(
                    sum,
                    std::mem::transmute::<__m512i, __m512bh>(input),
                    std::mem::transmute::<__m512i, __m512bh>(weights),
                );
                _mm512_store_ps(out.0.as_mut_ptr(), sum);
            }
            out
        }
    }

    pub(super) fn linear(
        proof: Avx512Bf16,
        x: &Bf16Rows,
        weights: &Bf16Weights,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        with_proof!(Avx512Bf16(proof), body(x: &Bf16Rows, weights: &Bf16Weights, bias: Option<&[f32]>, y: &mut [f32]));
    }

    #[inline(always)]
    fn body(
        multiply_add: Avx512Bf16,
        x: &Bf16Rows,
        weights: &Bf16Weights,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let bias = bias.map(rounded);
        let mut layer = Layer {
            operands: &x.pairs,
            panels: &weights.panels,
            pairs: weights.inputs.div_ceil(2),
            outputs: weights.outputs,
            bias: bias.as_deref(),
            y,
            multiply_add,
        };
        cover(&mut layer, x.rows, weights.outputs.div_ceil(LANES));
    }

    /// Rows of a layer to be computed.
    struct Layer<'a> {
        operands: &'a [u32],
        panels: &'a [Pairs],
        pairs: usize,
        outputs: usize,
        bias: Option<&'a [f32]>,
        y: &'a mut [f32],
        multiply_add: Avx512Bf16,
    }

    impl Tiled for Layer<'_> {
        type MultiplyAdd = Avx512Bf16;

        #[inline(always)]
        fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize) {
            let pairs = self.pairs;
            let first = row * self.outputs + panel * LANES;
            fetch_places::<ROWS, PANELS>(self.y, self.outputs, first);
            let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
            chains::<_, ROWS, PANELS>(
                self.multiply_add,
                [Lanes::ZERO; PANELS],
                stretches(&self.operands[row * pairs..], pairs, 0, pairs),
                stretches(&self.panels[panel * pairs..], pairs, 0, pairs),
                &mut sums,
            );
            for r in 0..ROWS {
                let y = &mut self.y[(row + r) * self.outputs..][..self.outputs];
                for p in 0..PANELS {
                    let first = (panel + p) * LANES;
                    let last = self.outputs.min(first + LANES);
                    let mut total = match self.bias {
                        Some(bias) => sums[r][p] + Lanes::load(&bias[first..last], 0.0),
                        None => sums[r][p],
                    };
                    for l in 0..LANES {
                        total.0[l] = Format::Bf16.round(total.0[l]);
                    }
                    total.store(&mut y[first..last]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widened_operands_give_what_the_instruction_gives() {
        // Without the instruction both are the same code; then the crate's tests of all instruction sets remain.
        let value = |at: usize| ((at * 2_654_435_761) % 2_003) as f32 / 1_001.0 - 1.0;
        for (rows, outputs, inputs) in [(1, 1, 1), (7, 37, 63), (13, 64, 384)] {
            let x: Vec<f32> = (0..rows * inputs).map(value).collect();
            let weights: Vec<f32> = (0..outputs * inputs).map(|at| value(at + 9)).collect();
            let bias: Vec<f32> = (0..outputs).map(|at| value(at + 5)).collect();
            let weights = Bf16Weights::pack(&weights, outputs, inputs);
            for compute in Compute::available() {
                let x = Bf16Rows::round(&compute, &x, inputs);
                for bias in [None, Some(bias.as_slice())] {
                    let (mut a, mut b) = (vec![0.0; rows * outputs], vec![0.0; rows * outputs]);
                    linear_bf16(&compute, &x, &weights, bias, &mut a);
                    by_widening(&compute, &x, &weights, bias, &mut b);
                    let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                    assert_eq!(
                        bits(&a),
                        bits(&b),
                        "{compute}: {rows} × {outputs} × {inputs}"
                    );
                }
            }
        }
    }
}
