//! Sixteen `f32` side by side: the virtual vector that every kernel body is written over.
//!
//! Sixteen is the width of AVX-512. Narrower instruction sets hold the same sixteen lanes in two or
//! four registers, so a reduction that is defined over lanes has the same tree on all of them.

use crate::machine::Machine;

/// How many lanes a virtual vector has.
pub const LANES: usize = 16;

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
            // Not `copy_from_slice`: both cases would become one call of a copy of unknown length.
            for (lane, &value) in lanes.iter_mut().zip(from) {
                *lane = value;
            }
        }
        Lanes(lanes)
    }

    /// Writes the first lanes to `to`, which holds sixteen values at most.
    #[inline(always)]
    pub fn store(self, to: &mut [f32]) {
        if let Some(whole) = to.first_chunk_mut::<LANES>() {
            *whole = self.0;
        } else {
            for (to, lane) in to.iter_mut().zip(self.0) {
                *to = lane;
            }
        }
    }

    /// `scale * x + self` with one rounding, lane by lane.
    #[inline(always)]
    pub fn fma<M: Machine>(self, scale: f32, x: &[f32; LANES]) -> Lanes {
        M::fma_lanes(scale, x, self)
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

/// Combines `values` in the order that all short reductions share: lane `i mod 16` takes the value `i`,
/// ascending, starting from zero; then the lanes are added by [`Lanes::tree_sum`].
///
/// `step` receives the running value of a lane and the value that it takes, so that a product may be fused
/// into it. Lanes without a value stay zero, and adding zero changes no bit of a sum that is not minus zero.
#[inline(always)]
pub fn lane_reduce(values: &[f32], mut step: impl FnMut(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for (lane, &value) in lanes.iter_mut().zip(values) {
            *lane = step(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, value);
    }
    Lanes(lanes).tree_sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
