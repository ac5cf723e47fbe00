//! Linear layers of 8-bit integers: exact sums, which no order can change.

use crate::compute::Compute;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512Vnni, AvxVnni, with_proof};
use crate::isa::{Isa, Scalar, on_isa};
use crate::lanes::Lanes;
use crate::machine::{Bits, Machine};
use crate::reduction::LANES;
use crate::tile::{MultiplyAdd, Tiled, chains, cover, fetch_places, stretches};

/// The largest magnitude of a quantised value.
const LARGEST: f32 = 127.0;

/// The weights of sixteen outputs for four neighbouring inputs, output by output.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Quads(pub(crate) [i8; 4 * LANES]);

/// Sixteen sums.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Sums(pub(crate) [i32; LANES]);

/// Weights `(out, in)` of a linear layer in 8 bits, with a scale for each output, in panels of sixteen
/// outputs.
#[derive(Clone)]
pub struct Int8Weights {
    pub(crate) panels: Vec<Quads>,
    /// Of each output: what one step of its weights is worth.
    pub(crate) scales: Vec<Lanes>,
    /// Of each output: −128 times the sum of its weights.
    pub(crate) corrections: Vec<Sums>,
    outputs: usize,
    inputs: usize,
}

impl Int8Weights {
    /// Quantises row-major `weights` of shape `(outputs, inputs)` and packs them. A row's scale is its
    /// largest magnitude divided by 127; each weight becomes the integer nearest to `w · (127 / largest)`,
    /// ties to even.
    ///
    /// # Panics
    /// When `weights` does not have `outputs * inputs` values.
    pub fn quantise(weights: &[f32], outputs: usize, inputs: usize) -> Int8Weights {
        assert_eq!(
            weights.len(),
            outputs * inputs,
            "weights are (outputs, inputs)"
        );
        let (quads, groups) = (inputs.div_ceil(4), outputs.div_ceil(LANES));
        let mut panels = vec![Quads([0; 4 * LANES]); groups * quads];
        let mut scales = vec![Lanes::ZERO; groups];
        let mut corrections = vec![Sums([0; LANES]); groups];
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let (group, lane) = (output / LANES, output % LANES);
            let scale = Scale::of(Scalar, row);
            scales[group].0[lane] = scale.step;
            for (input, &weight) in row.iter().enumerate() {
                let level = scale.level(weight);
                panels[group * quads + input / 4].0[lane * 4 + input % 4] = level as i8;
                corrections[group].0[lane] -= 128 * level;
            }
        }
        Int8Weights {
            panels,
            scales,
            corrections,
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

    /// What one step of the weights of an output is worth.
    pub fn step(&self, output: usize) -> f32 {
        self.scales[output / LANES].0[output % LANES]
    }
}

/// How values of one row become integers.
#[derive(Clone, Copy)]
struct Scale {
    /// What one step is worth: the largest magnitude divided by 127.
    step: f32,
    /// Steps per unit: 127 divided by the largest magnitude.
    per_unit: f32,
}

impl Scale {
    /// The scale of a row. A row of zeros has steps of zero; one with an infinity or NaN has steps of NaN, and
    /// so have its results.
    #[inline(always)]
    fn of<M: Machine>(machine: M, row: &[f32]) -> Scale {
        let mut largest = Bits([0; LANES]);
        let (whole, rest) = row.as_chunks::<LANES>();
        for values in whole {
            machine.largest_magnitudes(&mut largest, values);
        }
        if !rest.is_empty() {
            machine.largest_magnitudes(&mut largest, &Lanes::load(rest, 0.0).0);
        }
        let mut most = 0;
        for magnitude in largest.0 {
            most = if magnitude > most { magnitude } else { most };
        }
        let largest = f32::from_bits(most.cast_unsigned());
        if !largest.is_finite() {
            return Scale {
                step: f32::NAN,
                per_unit: 0.0,
            };
        }
        let per_unit = LARGEST / largest;
        Scale {
            step: largest / LARGEST,
            // Beyond the range of f32 for rows of zeros and of the least numbers, which count as zeros.
            per_unit: if per_unit.is_finite() { per_unit } else { 0.0 },
        }
    }

    /// The integer nearest to `value · per_unit`, ties to even.
    #[inline(always)]
    fn level(self, value: f32) -> i32 {
        // Adding 1.5 · 2^23 rounds to an integer; the low bits of the sum are that integer.
        const ROUND: f32 = 12_582_912.0;
        let shifted = value * self.per_unit + ROUND;
        (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32)
    }
}

/// Rows `(rows, inputs)` in 8 bits, with a scale for each.
pub struct Int8Rows {
    /// Each value 128 more than it is, by fours.
    pub(crate) levels: Vec<[u8; 4]>,
    /// Of each row: what one step of its values is worth.
    pub(crate) steps: Vec<f32>,
    inputs: usize,
}

impl Int8Rows {
    /// Quantises rows as [`Int8Weights::quantise`] does those of weights: by the row's own largest magnitude,
    /// `per_unit = 127 / largest` and the product with it rounding once each. A row of zeros has steps of zero,
    /// one with an infinity or NaN has steps of NaN, and so have its results.
    ///
    /// # Panics
    /// When `x` is not a whole number of rows.
    pub fn quantise(compute: &Compute, x: &[f32], inputs: usize) -> Int8Rows {
        assert_eq!(x.len() % inputs.max(1), 0, "x is (rows, inputs)");
        let rows = x.len() / inputs.max(1);
        let mut quantised = Int8Rows {
            levels: vec![[0; 4]; rows * inputs.div_ceil(4)],
            steps: vec![0.0; rows],
            inputs,
        };
        let out = &mut quantised;
        on_isa!(compute.isa(), quantise_rows(x: &[f32], out: &mut Int8Rows));
        quantised
    }

    /// The largest norm of what the integers of a row of `x`, of which they were made, miss of it.
    ///
    /// # Panics
    /// When `x` has other rows.
    pub fn largest_error(&self, x: &[f32]) -> f64 {
        assert_eq!(x.len(), self.steps.len() * self.inputs, "the same rows");
        let rows = x.chunks_exact(self.inputs.max(1));
        let levels = self.levels.chunks_exact(self.inputs.div_ceil(4).max(1));
        let errors = rows.zip(levels).zip(&self.steps);
        let errors = errors.map(|((row, levels), &step)| {
            let levels = row.iter().zip(levels.as_flattened());
            let errors = levels.map(|(&value, &level)| {
                f64::from(value) - f64::from(step) * f64::from(i32::from(level) - 128)
            });
            errors.map(|error| error * error).sum::<f64>().sqrt()
        });
        errors.fold(0.0, f64::max)
    }
}

#[inline(always)]
fn quantise_rows<M: Machine>(machine: M, x: &[f32], out: &mut Int8Rows) {
    let quads = out.inputs.div_ceil(4);
    let rows = x.chunks_exact(out.inputs.max(1));
    let levels = out.levels.chunks_exact_mut(quads.max(1));
    for ((x, levels), step) in rows.zip(levels).zip(&mut out.steps) {
        let scale = Scale::of(machine, x);
        for (level, &value) in levels.as_flattened_mut().iter_mut().zip(x) {
            *level = (scale.level(value) + 128) as u8;
        }
        *step = scale.step;
    }
}

/// `y[m][n] = (Σ_k x[m][k] · w[n][k]) + bias[n]`, for `x` `(rows, inputs)` and `y` `(rows, outputs)`.
///
/// # Order of operations
/// The sum of the products of integers is exact, whatever its order: it fits `i32` up to 130,000 inputs. The
/// result is `fma(sum, step_x · step_w, bias)` in `f32`, where the sum and the product of the steps round once
/// each; without a bias it is zero.
///
/// # Panics
/// When a length does not match its shape.
pub fn linear_int8(
    compute: &Compute,
    x: &Int8Rows,
    weights: &Int8Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let outputs = weights.outputs;
    assert_eq!(x.inputs, weights.inputs, "x is (rows, inputs)");
    assert_eq!(y.len(), x.steps.len() * outputs, "y is (rows, outputs)");
    assert!(
        bias.is_none_or(|bias| bias.len() == outputs),
        "bias is (outputs,)"
    );
    match chosen(compute.isa()) {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni(proof) => {
            with_proof!(Avx512Vnni(proof), body_of(x: &Int8Rows, weights: &Int8Weights, bias: Option<&[f32]>, y: &mut [f32]));
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni(proof) => {
            with_proof!(AvxVnni(proof), body_of(x: &Int8Rows, weights: &Int8Weights, bias: Option<&[f32]>, y: &mut [f32]));
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(proof) => {
            with_proof!(Avx2(proof), pairs_body(x: &Int8Rows, weights: &Int8Weights, bias: Option<&[f32]>, y: &mut [f32]));
        }
        Instructions::Plain(isa) => {
            on_isa!(isa, plain_body(x: &Int8Rows, weights: &Int8Weights, bias: Option<&[f32]>, y: &mut [f32]));
        }
    }
}

/// What multiplies and adds the integers.
#[derive(Clone, Copy)]
pub(crate) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Plain(Isa),
}

pub(crate) fn chosen(isa: Isa) -> Instructions {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => match Avx512Vnni::try_beside(avx512) {
            Some(proof) => Instructions::Avx512Vnni(proof),
            // Without the instruction, wider registers than those of AVX2 gain nothing.
            None => chosen(Isa::Avx2(avx512.avx2())),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => match AvxVnni::try_beside(avx2) {
            Some(proof) => Instructions::AvxVnni(proof),
            None => Instructions::Avx2(avx2),
        },
        isa => Instructions::Plain(isa),
    }
}

/// How a product of 8-bit integers is computed, in words.
pub fn instructions(compute: &Compute) -> &'static str {
    match chosen(compute.isa()) {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512Vnni(_) => "avx512vnni",
        #[cfg(target_arch = "x86_64")]
        Instructions::AvxVnni(_) => "avxvnni",
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(_) => "avx2",
        Instructions::Plain(_) => "plain multiplications",
    }
}

#[inline(always)]
fn plain_body<M: Machine>(
    machine: M,
    x: &Int8Rows,
    weights: &Int8Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    body_of(Plain(machine), x, weights, bias, y);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pairs_body(
    machine: Avx2,
    x: &Int8Rows,
    weights: &Int8Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    body_of(x86::Pairs(machine), x, weights, bias, y);
}

/// Sums of four products each of 8-bit integers.
pub(crate) trait Int8: MultiplyAdd<Input = [u8; 4], Weights = Quads, Sum = Sums> {
    /// Whether the sums are of `x + 128`, for instructions that take one operand without sign.
    const OFFSET: bool;

    /// What everything but the products is computed with.
    type Machine: Machine;

    fn machine(self) -> Self::Machine;
}

/// Ordinary multiplications.
#[derive(Clone, Copy)]
pub(crate) struct Plain<M>(pub(crate) M);

impl<M: Machine> MultiplyAdd for Plain<M> {
    type Input = [u8; 4];
    type Weights = Quads;
    type Sum = Sums;
    const PANELS: usize = 1;

    #[inline(always)]
    fn step(self, mut sum: Sums, input: [u8; 4], weights: &Quads) -> Sums {
        for l in 0..LANES {
            for (i, &input) in input.iter().enumerate() {
                sum.0[l] += i32::from(input) * i32::from(weights.0[4 * l + i]);
            }
        }
        sum
    }
}

impl<M: Machine> Int8 for Plain<M> {
    const OFFSET: bool = true;
    type Machine = M;

    #[inline(always)]
    fn machine(self) -> M {
        self.0
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use std::arch::x86_64::*;

    use super::{Int8, MultiplyAdd, Quads, Sums};
    use crate::isa::{Avx2, Avx512, Avx512Vnni, AvxVnni};

    /// The instruction `vpdpbusd` on sixteen sums.
    impl MultiplyAdd for Avx512Vnni {
        type Input = [u8; 4];
        type Weights = Quads;
        type Sum = Sums;
        const PANELS: usize = 4;

        #[inline(always)]
        fn step(self, sum: Sums, input: [u8; 4], weights: &Quads) -> Sums {
            let mut out = sum;
            // SAFETY: `self` proves AVX-512 VNNI and AVX-512 F. Loads and the store are of whole
            // arrays of 64 bytes, aligned to as many.
            unsafe {
                let weights = _mm512_load_si512(weights.0.as_ptr().cast());
                let input = _mm512_set1_epi32(i32::from_le_bytes(input));
                let sum = _mm512_load_si512(sum.0.as_ptr().cast());
                let sum = _mm512_dpbusd_epi32(sum, input, weights);
                _mm512_store_si512(out.0.as_mut_ptr().cast(), sum);
            }
            out
        }
    }

    impl Int8 for Avx512Vnni {
        const OFFSET: bool = true;
        type Machine = Avx512;

        #[inline(always)]
        fn machine(self) -> Avx512 {
            self.avx512()
        }
    }

    /// The instruction `vpdpbusd` on eight sums.
    impl MultiplyAdd for AvxVnni {
        type Input = [u8; 4];
        type Weights = Quads;
        type Sum = Sums;
        const PANELS: usize = 1;

        #[inline(always)]
        fn step(self, sum: Sums, input: [u8; 4], weights: &Quads) -> Sums {
            let mut out = sum;
            // SAFETY: `self` proves AVX-VNNI and AVX2. Loads and stores are of the halves of arrays
            // of 64 bytes, aligned to as many.
            unsafe {
                let input = _mm256_set1_epi32(i32::from_le_bytes(input));
                for half in 0..2 {
                    let weights = _mm256_load_si256(weights.0.as_ptr().cast::<__m256i>().add(half));
                    let sum = _mm256_load_si256(sum.0.as_ptr().cast::<__m256i>().add(half));
                    let sum = _mm256_dpbusd_avx_epi32(sum, input, weights);
                    _mm256_store_si256(out.0.as_mut_ptr().cast::<__m256i>().add(half), sum);
                }
            }
            out
        }
    }

    impl Int8 for AvxVnni {
        const OFFSET: bool = true;
        type Machine = Avx2;

        #[inline(always)]
        fn machine(self) -> Avx2 {
            self.avx2()
        }
    }

    /// Products of magnitudes with signed weights, in pairs that fit 16 bits: 2 · 127 · 127.
    #[derive(Clone, Copy)]
    pub(crate) struct Pairs(pub(crate) Avx2);

    impl MultiplyAdd for Pairs {
        type Input = [u8; 4];
        type Weights = Quads;
        type Sum = Sums;
        const PANELS: usize = 1;

        #[inline(always)]
        fn step(self, sum: Sums, input: [u8; 4], weights: &Quads) -> Sums {
            let mut out = sum;
            // SAFETY: `self` proves AVX2. Loads and stores are of the halves of arrays of
            // 64 bytes, aligned to as many.
            unsafe {
                let input = _mm256_set1_epi32(i32::from_le_bytes(input.map(|level| level ^ 128)));
                let magnitudes = _mm256_abs_epi8(input);
                for half in 0..2 {
                    let weights = _mm256_load_si256(weights.0.as_ptr().cast::<__m256i>().add(half));
                    let signed = _mm256_sign_epi8(weights, input);
                    let pairs = _mm256_maddubs_epi16(magnitudes, signed);
                    let quads = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
                    let sum = _mm256_load_si256(sum.0.as_ptr().cast::<__m256i>().add(half));
                    let sum = _mm256_add_epi32(sum, quads);
                    _mm256_store_si256(out.0.as_mut_ptr().cast::<__m256i>().add(half), sum);
                }
            }
            out
        }
    }

    impl Int8 for Pairs {
        const OFFSET: bool = false;
        type Machine = Avx2;

        #[inline(always)]
        fn machine(self) -> Avx2 {
            self.0
        }
    }
}

#[inline(always)]
fn body_of<A: Int8>(
    multiply_add: A,
    x: &Int8Rows,
    weights: &Int8Weights,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let mut layer = Layer {
        x,
        weights,
        quads: weights.inputs.div_ceil(4),
        bias,
        y,
        multiply_add,
    };
    cover(&mut layer, x.steps.len(), weights.outputs.div_ceil(LANES));
}

/// Rows of a layer to be computed.
struct Layer<'a, A> {
    x: &'a Int8Rows,
    weights: &'a Int8Weights,
    quads: usize,
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
    multiply_add: A,
}

impl<A: Int8> Tiled for Layer<'_, A> {
    type MultiplyAdd = A;

    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize) {
        let (quads, outputs, weights) = (self.quads, self.weights.outputs, self.weights);
        let machine = self.multiply_add.machine();
        fetch_places::<ROWS, PANELS>(self.y, outputs, row * outputs + panel * LANES);
        let mut start = [Sums([0; LANES]); PANELS];
        if A::OFFSET {
            start.copy_from_slice(&weights.corrections[panel..panel + PANELS]);
        }
        let mut sums = [[Sums([0; LANES]); PANELS]; ROWS];
        chains::<_, ROWS, PANELS>(
            self.multiply_add,
            start,
            stretches(&self.x.levels[row * quads..], quads, 0, quads),
            stretches(&weights.panels[panel * quads..], quads, 0, quads),
            &mut sums,
        );
        for p in 0..PANELS {
            let first = (panel + p) * LANES;
            let last = outputs.min(first + LANES);
            let bias = match self.bias {
                Some(bias) => Lanes::load(&bias[first..last], 0.0),
                None => Lanes::ZERO,
            };
            for r in 0..ROWS {
                let step = self.x.steps[row + r];
                let mut total = bias;
                for l in 0..LANES {
                    let worth = step * weights.scales[panel + p].0[l];
                    total.0[l] = machine.fma(sums[r][p].0[l] as f32, worth, bias.0[l]);
                }
                total.store(&mut self.y[(row + r) * outputs + first..(row + r) * outputs + last]);
            }
        }
    }
}
