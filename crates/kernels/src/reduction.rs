//! Short sums: the one order that all of them share.

/// How many running sums a short reduction has; also the lanes of the kernels' virtual vector.
///
/// Sixteen is the width of AVX-512. Narrower instruction sets hold the same sixteen lanes in two or
/// four registers, so a reduction that is defined over lanes has the same tree on all of them.
pub const LANES: usize = 16;

/// Combines `values` in the order that all short reductions share: lane `i mod 16` takes the value `i`,
/// ascending, starting from zero; then the lanes are added by a fixed tree: lane `l` takes lane `l + 8`,
/// then `l + 4`, `l + 2`, `l + 1`.
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
    tree_sum(lanes)
}

/// The sum over lanes by the fixed tree.
#[inline(always)]
pub(crate) fn tree_sum(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
        half /= 2;
    }
    lanes[0]
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
        assert_eq!(tree_sum(lanes), 1.0);
        lanes.swap(8, 2);
        lanes[8] = 1.0;
        lanes[1] = 0.0;
        assert_eq!(
            tree_sum(lanes),
            0.0,
            "the one in lane 8 is swamped by lane 0 first"
        );
    }
}
