//! GELU, elementwise.

use crate::compute::Compute;
use crate::elementary::gelu_tanh;
use crate::isa::on_isa;
use crate::lanes::Lanes;
use crate::machine::Machine;
use crate::reduction::LANES;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gelu {
    /// `x · (1 + erf(x / √2)) / 2`: BERT's own.
    #[default]
    Erf,
    /// The tanh form, which some exports and kernels put in its place.
    Tanh,
}

/// The width of a piece of the tail's argument; sixteen of them reach [`END`].
const PIECE: f32 = 0.375;

/// From here on the tail, below 1e-9, counts as zero.
const END: f32 = 6.0;

/// The upper tail of the normal distribution in sixteen pieces: row `i` has the coefficients of `u^i`, where
/// `u` is the distance from a piece's middle. `derivations/gelu.py`.
#[rustfmt::skip]
#[allow(clippy::excessive_precision, reason = "as the derivation prints them")]
const TAIL: [Lanes; 6] = [
    Lanes([
        4.2563432e-1, 2.868877e-1, 1.7425072e-1, 9.467574e-2, 4.5753624e-2, 1.9580077e-2, 7.3946062e-3, 2.4579011e-3, 7.1754254e-4, 1.8367018e-4, 4.1167594e-5, 8.070996e-6, 1.3828303e-6, 2.0690139e-7, 2.7017613e-8, 3.0775027e-9,
    ]),
    Lanes([
        -3.919909e-1, -3.405676e-1, -2.570739e-1, -1.6859318e-1, -9.60615e-2, -4.755389e-2, -2.0452673e-2, -7.642606e-3, -2.4811907e-3, -6.9985207e-4, -1.7150615e-4, -3.651578e-5, -6.754744e-6, -1.0855873e-6, -1.515822e-7, -1.8389052e-8,
    ]),
    Lanes([
        3.6748115e-2, 9.5782444e-2, 1.2050177e-1, 1.1063912e-1, 8.105273e-2, 4.9040843e-2, 2.4927136e-2, 1.0747448e-2, 3.954272e-3, 1.2464933e-3, 3.3758712e-4, 7.871037e-5, 1.5822838e-5, 2.7456545e-6, 4.1163256e-7, 5.335666e-8,
    ]),
    Lanes([
        6.303427e-2, 3.880154e-2, 5.1888213e-3, -2.0305283e-2, -2.9581245e-2, -2.5789434e-2, -1.684435e-2, -8.802041e-3, -3.7880358e-3, -1.3636914e-3, -4.145658e-4, -1.07088206e-4, -2.360673e-5, -4.454903e-6, -7.213934e-7, -1.0042167e-7,
    ]),
    Lanes([
        -9.001145e-3, -2.1253843e-2, -2.1176998e-2, -1.1764811e-2, -1.0923143e-3, 5.0566504e-3, 6.0766516e-3, 4.3951096e-3, 2.369076e-3, 1.0157471e-3, 3.5680094e-4, 1.0436834e-4, 2.5679572e-5, 5.350679e-6, 9.4864066e-7, 1.4361258e-7,
    ]),
    Lanes([
        -9.059858e-3, -3.4024632e-3, 3.1789646e-3, 6.096688e-3, 4.7698054e-3, 1.7635204e-3, -4.3760333e-4, -1.1451633e-3, -9.3447726e-4, -5.1411625e-4, -2.1631947e-4, -7.299629e-5, -2.0232157e-5, -4.670935e-6, -9.0640765e-7, -1.48774e-7,
    ]),
];

/// Applies GELU to every element of `x` in place.
///
/// # Order of operations
/// Each element by itself. The tanh form is [`gelu_tanh`], rounded once from `f64`. The erf form is
/// `x · Φ(x) = max(x, 0) − |x| · Q(|x|)` with the upper tail `Q(a) = erfc(a / √2) / 2`, so that nothing
/// cancels. Everything is `f32`: with `a = min(|x|, 6)`, the piece `i` the integer nearest to
/// `fma(a, 8/3, −½)` (ties to even) and `u = a − (i + ½) · 3/8` (exact), `Q` is a polynomial of degree 5 in `u` by Horner's rule, fused, and zero
/// for `a = 6`; the result is `fma(−a, Q, max(x, 0))`. It errs by at most 1.6 ULP where `x` is
/// positive, and by 3e-8 where it is negative.
pub fn gelu(compute: &Compute, form: Gelu, x: &mut [f32]) {
    match form {
        Gelu::Erf => on_isa!(compute.isa(), erf_body(x: &mut [f32])),
        Gelu::Tanh => on_isa!(compute.isa(), tanh_body(x: &mut [f32])),
    }
}

#[inline(always)]
fn erf_body<M: Machine>(machine: M, x: &mut [f32]) {
    let (whole, rest) = x.as_chunks_mut::<LANES>();
    for x in whole {
        *x = erf_form(machine, Lanes(*x)).0;
    }
    if !rest.is_empty() {
        erf_form(machine, Lanes::load(rest, 0.0)).store(rest);
    }
}

/// See [`gelu`].
#[inline(always)]
fn erf_form<M: Machine>(machine: M, x: Lanes) -> Lanes {
    // Adding 1.5 · 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let mut magnitudes = [0.0; LANES];
    let mut pieces = [0; LANES];
    let mut distances = [0.0; LANES];
    for l in 0..LANES {
        let magnitude = x.0[l].abs();
        // A NaN stays one.
        let magnitude = if magnitude > END { END } else { magnitude };
        let shifted = machine.fma(magnitude, 1.0 / PIECE, -0.5) + ROUND;
        magnitudes[l] = magnitude;
        // Its low bits are the piece, of which a lookup reads four. A NaN lands in some piece.
        pieces[l] = shifted.to_bits() as i32;
        distances[l] = machine.fma(shifted - ROUND + 0.5, -PIECE, magnitude);
    }
    let mut tail = machine.lookup(&TAIL[5], &pieces);
    for coefficients in TAIL[..5].iter().rev() {
        let coefficients = machine.lookup(coefficients, &pieces);
        for l in 0..LANES {
            tail.0[l] = machine.fma(tail.0[l], distances[l], coefficients.0[l]);
        }
    }
    let mut out = [0.0; LANES];
    for l in 0..LANES {
        let tail = if magnitudes[l] == END { 0.0 } else { tail.0[l] };
        let positive = if x.0[l] > 0.0 { x.0[l] } else { 0.0 };
        out[l] = machine.fma(-magnitudes[l], tail, positive);
    }
    Lanes(out)
}

#[inline(always)]
fn tanh_body<M: Machine>(_: M, x: &mut [f32]) {
    for value in x {
        *value = gelu_tanh(*value);
    }
}
