//! Sixteen `f32` side by side: the virtual vector that every kernel body is written over.
//!
//! Sixteen is the width of AVX-512. Narrower instruction sets hold the same sixteen lanes in two or
//! four registers, so a reduction that is defined over lanes has the same tree on all of them.

/// How many lanes a virtual vector has.
pub const LANES: usize = 16;

/// One fused multiply-add, rounded once: `a * b + c`.
pub trait Fma {
    /// `a * b + c` with a single rounding to nearest even.
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// The machine's own fused multiply-add. Used inside functions whose target features include it.
pub struct Fused;

/// A fused multiply-add out of ordinary `f64` operations, exact for all inputs.
pub struct Emulated;

impl Fma for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Fma for Emulated {
    /// The product of two `f32` is exact in `f64`. Their sum with `c` is rounded to odd (Boldo and
    /// Melquiond, "Emulation of FMA and correctly rounded sums", 2008): with 53 bits against 24, the
    /// second rounding to `f32` then gives what a single rounding would have given.
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        let product = f64::from(a) * f64::from(b);
        let addend = f64::from(c);
        let sum = product + addend;
        // TwoSum (Knuth): the exact error of the addition. Never overflows: both operands are products
        // or values of f32, far inside the range of f64. NaN for infinite or NaN operands, where the
        // sum is already right.
        let virtual_addend = sum - product;
        let error = (product - (sum - virtual_addend)) + (addend - virtual_addend);
        let bits = sum.to_bits();
        let inexact_and_even = (error != 0.0) & !error.is_nan() & (bits & 1 == 0);
        // Towards the error: one step away from zero when the signs agree, else one step towards it.
        let towards = if (error > 0.0) == (sum > 0.0) {
            bits.wrapping_add(1)
        } else {
            bits.wrapping_sub(1)
        };
        f64::from_bits(if inexact_and_even { towards } else { bits }) as f32
    }
}

/// Sixteen `f32`.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// All lanes zero.
    pub const ZERO: Lanes = Lanes([0.0; LANES]);

    /// The first sixteen values of `from`; missing ones are `fill`.
    #[inline(always)]
    pub fn load(from: &[f32], fill: f32) -> Lanes {
        let mut lanes = [fill; LANES];
        if let Some(whole) = from.first_chunk::<LANES>() {
            lanes = *whole;
        } else {
            lanes[..from.len()].copy_from_slice(from);
        }
        Lanes(lanes)
    }

    /// `scale * x + self` with one rounding, lane by lane.
    #[inline(always)]
    pub fn fma<A: Fma>(self, scale: f32, x: &[f32; LANES]) -> Lanes {
        let mut out = self.0;
        for (o, &x) in out.iter_mut().zip(x) {
            *o = A::fma(scale, x, *o);
        }
        Lanes(out)
    }

    /// The sum over lanes by the fixed tree: lane `l` takes lane `l + 8`, then `l + 4`, `l + 2`, `l + 1`.
    #[inline(always)]
    pub fn tree_sum(self) -> f32 {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for l in 0..half {
                lanes[l] += lanes[l + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

impl std::ops::Add for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn add(self, other: Lanes) -> Lanes {
        let mut out = self.0;
        for (o, x) in out.iter_mut().zip(other.0) {
            *o += x;
        }
        Lanes(out)
    }
}

/// The sum of `f(i)` for `i` in `0..len` in the order that all short reductions share: lane `i mod 16`
/// takes the term `i`, ascending, starting from zero; then the lanes are added by [`Lanes::tree_sum`].
///
/// `step` receives the running value of the lane and the index, so that a term may be fused into it.
/// Lanes without a term stay zero, and adding zero changes no bit of a sum that is not minus zero.
#[inline(always)]
pub fn lane_reduce(len: usize, mut step: impl FnMut(f32, usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane = step(*lane, start + l);
        }
        start += LANES;
    }
    for (l, lane) in lanes.iter_mut().enumerate().take(len - whole) {
        *lane = step(*lane, whole + l);
    }
    Lanes(lanes).tree_sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_f32() -> impl Strategy<Value = f32> {
        any::<u32>().prop_map(f32::from_bits)
    }

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_emulated_fma_equals_the_fused_one(a in any_f32(), b in any_f32(), c in any_f32()) {
            prop_assert!(same(Emulated::fma(a, b, c), a.mul_add(b, c)), "{a:e} {b:e} {c:e}");
        }

        #[test]
        fn it_does_so_where_the_product_nearly_cancels(a in any_f32(), b in any_f32(), ulps in -4i32..4) {
            let c = -(a * b);
            let c = f32::from_bits((c.to_bits() as i32).wrapping_add(ulps) as u32);
            prop_assert!(same(Emulated::fma(a, b, c), a.mul_add(b, c)), "{a:e} {b:e} {c:e}");
        }

        #[test]
        fn it_does_so_half_way_between_two_results(a in 1u32..1 << 12, b in 1u32..1 << 12, tiny in -3i32..3) {
            // 2^24 is where f32 steps become 2, so odd sums are ties and `tiny` breaks them.
            let (a, b) = (a as f32, b as f32);
            let c = 16_777_216.0 + tiny as f32 * 2f32.powi(-30);
            prop_assert!(same(Emulated::fma(a, b, c), a.mul_add(b, c)));
            prop_assert!(same(Emulated::fma(a, b * 2f32.powi(-40), c), a.mul_add(b * 2f32.powi(-40), c)));
        }
    }

    #[test]
    fn the_tree_adds_far_lanes_first() {
        // Only the documented tree cancels 2^30 before the ones meet it.
        let mut lanes = [0.0; LANES];
        lanes[0] = 2f32.powi(30);
        lanes[8] = -(2f32.powi(30));
        lanes[1] = 1.0;
        assert_eq!(Lanes(lanes).tree_sum(), 1.0);
        lanes.swap(8, 2);
        lanes[8] = 1.0;
        lanes[1] = 0.0;
        assert_eq!(
            Lanes(lanes).tree_sum(),
            0.0,
            "the one in lane 8 is swamped by lane 0 first"
        );
    }
}
