//! Rounding `f32` to narrower formats, for the precisions that compute with such operands.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::machine::Machine;

/// A format of numbers that are held in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `f32` itself: nothing is rounded.
    #[default]
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an `f32`: eight bits of significand.
    Bf16,
}

/// The least magnitude of a `bf16` operand that does not count as zero: 2^-56.
///
/// Operands that are multiples of 2^-63 (this, times the last of eight bits) have products and sums that are
/// multiples of 2^-126, the least normal `f32`. So no sum is ever subnormal, and instructions that flush
/// subnormals to zero, as `vdpbf16ps` does, have the bits of those that do not.
pub const MIN_BF16: f32 = 1.387_778_8e-17;

impl Format {
    /// The number of this format that is nearest to `x`, ties to even.
    ///
    /// * `F16`: beyond 65,504 infinity, below 2^-14 multiples of 2^-24.
    /// * `Bf16`: magnitudes below [`MIN_BF16`] become zero.
    ///
    /// NaN stays NaN.
    #[inline(always)]
    pub fn round(self, x: f32) -> f32 {
        match self {
            Format::F32 => x,
            Format::F16 => to_f16(x),
            Format::Bf16 => to_bf16(x),
        }
    }

    /// [`Format::round`] of every value, in place.
    #[inline(always)]
    pub(crate) fn round_all(self, x: &mut [f32]) {
        match self {
            Format::F32 => {}
            Format::F16 => x.iter_mut().for_each(|x| *x = to_f16(*x)),
            Format::Bf16 => x.iter_mut().for_each(|x| *x = to_bf16(*x)),
        }
    }
}

/// Rounds every value of `x` to `format` in place.
pub fn round(compute: &Compute, format: Format, x: &mut [f32]) {
    on_isa!(compute.isa(), body(format: Format, x: &mut [f32]));
}

#[inline(always)]
fn body<M: Machine>(_: M, format: Format, x: &mut [f32]) {
    format.round_all(x);
}

#[inline(always)]
fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    let is_tiny = x.abs() < MIN_BF16;
    let nearest = if is_tiny { bits & 1 << 31 } else { nearest };
    // The carry would make a number of some NaNs.
    if x.is_nan() {
        f32::NAN
    } else {
        f32::from_bits(nearest)
    }
}

#[inline(always)]
fn to_f16(x: f32) -> f32 {
    // The spacing of numbers below 2^-14 is 2^-24; adding 1.5 · 2^-1 leaves no finer bits.
    const ROUND: f32 = 0.75;
    let bits = x.to_bits();
    let nearest = f32::from_bits(bits.wrapping_add(0x0fff + (bits >> 13 & 1)) & 0xffff_e000);
    let magnitude = x.abs();
    let small = f32::from_bits((magnitude + ROUND - ROUND).to_bits() | bits & 1 << 31);
    let nearest = if magnitude < 6.103_515_6e-5 {
        small
    } else {
        nearest
    };
    let infinite = f32::INFINITY.copysign(x);
    let nearest = if magnitude >= 65_520.0 {
        infinite
    } else {
        nearest
    };
    if x.is_nan() { f32::NAN } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn a_rounded_number_is_the_nearest_of_its_format(bits: u32) {
            let x = f32::from_bits(bits);
            let (half, brain) = (Format::F16.round(x), Format::Bf16.round(x));
            let as_half = half::f16::from_f32(x).to_f32();
            prop_assert!(half.to_bits() == as_half.to_bits() || half.is_nan() && as_half.is_nan(), "{x:e}: {half:e}");
            let as_brain = half::bf16::from_f32(x).to_f32();
            if x.is_nan() {
                prop_assert!(brain.is_nan());
            } else if x.abs() < MIN_BF16 {
                prop_assert_eq!(brain.to_bits(), x.to_bits() & 1 << 31);
            } else {
                prop_assert_eq!(brain.to_bits(), as_brain.to_bits(), "{:e}", x);
            }
        }
    }

    #[test]
    fn the_least_operand_is_a_power_of_two() {
        assert_eq!(MIN_BF16, 2f32.powi(-56));
    }
}
