//! Buckets: between which of ascending cutoffs a number lies.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::machine::Machine;
use crate::reduction::LANES;

/// The bucket of each difference `x[i] − y[i]`, one `f32` subtraction: the number of `cutoffs` strictly below it, of
/// which there are at most 255. NaN has none below it.
///
/// # Panics
/// When the lengths differ.
pub fn buckets_of_differences(
    compute: &Compute,
    x: &[f32],
    y: &[f32],
    cutoffs: &[f32],
    buckets: &mut [u8],
) {
    assert!(
        x.len() == y.len() && x.len() == buckets.len(),
        "as many of each"
    );
    on_isa!(compute.isa(), body(x: &[f32], y: &[f32], cutoffs: &[f32], buckets: &mut [u8]));
}

#[inline(always)]
fn body<M: Machine>(_: M, x: &[f32], y: &[f32], cutoffs: &[f32], buckets: &mut [u8]) {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let (buckets, buckets_rest) = buckets.as_chunks_mut::<LANES>();
    for ((x, y), buckets) in x.iter().zip(y).zip(buckets) {
        let (mut differences, mut below) = ([0.0; LANES], [0u32; LANES]);
        for l in 0..LANES {
            differences[l] = x[l] - y[l];
        }
        for &cutoff in cutoffs {
            for l in 0..LANES {
                below[l] += u32::from(cutoff < differences[l]);
            }
        }
        for l in 0..LANES {
            buckets[l] = below[l] as u8;
        }
    }
    for ((x, y), bucket) in x_rest.iter().zip(y_rest).zip(buckets_rest) {
        *bucket = 0;
        for &cutoff in cutoffs {
            *bucket += u8::from(cutoff < x - y);
        }
    }
}
