//! Sixteen `f32` side by side: the virtual vector that every kernel body is written over.

use crate::machine::Machine;
use crate::reduction::LANES;

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
