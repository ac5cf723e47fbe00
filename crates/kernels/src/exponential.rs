//! The exponential function in `f32`, as fast as softmax wants it.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::machine::Machine;

/// `1/2, 1/6, 1/24, …` nearly: what is left of `exp(r)` behind `1 + r`, divided by `r²`, on
/// `|r| ≤ ln 2 / 2`. `derivations/gelu.py`.
const REST: [f32; 5] = [
    0.5,
    0.166_665_76,
    0.041_666_556,
    0.008_363_179,
    0.001_392_618_4,
];

/// What `ln 2` is more than its `f32`.
const LN_2_LOW: f32 = -1.904_654_2e-9;

/// The exponential of every element of `x`, in place: off by 1.1 ULP at most where it is a normal number.
///
/// # Order of operations
/// `n` is the integer nearest to `x · log₂ e` (ties to even, the product fused into the rounding),
/// `r = fma(n, −low, fma(n, −high, x))` with `ln 2 = high + low`, `p` a polynomial of degree 4 in `r` by
/// Horner's rule, fused, `y = 1 + fma(r · r, p, r)`; the result is `y · 2^⌊n/2⌋ · 2^(n − ⌊n/2⌋)`. Arguments
/// below −104 count as −104, above 89 as 89: their results are zero and infinity. NaN gives NaN.
pub fn exponential(compute: &Compute, x: &mut [f32]) {
    on_isa!(compute.isa(), body(x: &mut [f32]));
}

#[inline(always)]
fn body<M: Machine>(x: &mut [f32]) {
    for value in x {
        *value = exp::<M>(*value);
    }
}

/// See [`exponential`].
#[inline(always)]
pub(crate) fn exp<M: Machine>(x: f32) -> f32 {
    // Adding and subtracting 1.5 · 2^23 rounds to an integer; the low bits of the sum are that integer.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = M::fma(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = M::fma(n, -LN_2_LOW, M::fma(n, -std::f32::consts::LN_2, x));
    let mut p = REST[4];
    for c in REST[..4].iter().rev() {
        p = M::fma(p, r, *c);
    }
    let y = 1.0 + M::fma(r * r, p, r);
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n - half)
}

/// `2^n` for an `n` whose power is a normal number.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}
