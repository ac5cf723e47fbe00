//! The weights of a residual's buckets as whole numbers.

use crate::machine::Machine;
use crate::tile::fetch;

/// Steps and units below this are not told from zero.
pub(crate) const TINY: f64 = 1e-30;

/// How far ahead residuals are fetched: passages mostly lie one after another.
const AHEAD: usize = 1536;

/// The weights of a residual's buckets as whole numbers of a unit, laid out for looking up packed fields as they lie in
/// a byte (see [`BucketWeights`](crate::residual::BucketWeights)).
pub struct Levels {
    pub(crate) nbits: usize,
    /// Up to four bits: the levels over and over, each 128 more than it is.
    few: [u8; 16],
    /// Eight bits: the level of each byte, likewise.
    many: Vec<u8>,
    pub(crate) unit: f64,
    largest_error: f64,
}

impl Levels {
    /// Of the `2^nbits` weights of 1, 2, 4 or 8 bits, in units of the 127th part of the largest, or of `least` where that is
    /// more.
    ///
    /// # Panics
    /// When there are not as many weights, or the bits are others.
    pub fn new(nbits: usize, weights: &[f32], least: f64) -> Levels {
        assert!(matches!(nbits, 1 | 2 | 4 | 8), "1, 2, 4 or 8 bits");
        assert_eq!(weights.len(), 1 << nbits, "a weight for each bucket");
        let magnitudes = weights.iter().map(|&weight| f64::from(weight).abs());
        let unit = (magnitudes.fold(0.0, f64::max) / 127.0).max(least);
        let unit = if unit > TINY { unit } else { 1.0 };
        let level = |weight: f32| (f64::from(weight) / unit).round().clamp(-127.0, 127.0);
        let errors = weights.iter();
        let errors = errors.map(|&weight| (f64::from(weight) - unit * level(weight)).abs());
        let of = |field: usize| {
            let reversed = (field % weights.len()).reverse_bits() >> (usize::BITS as usize - nbits);
            (level(weights[reversed]) + 128.0) as u8
        };
        let (mut few, mut many) = ([0; 16], Vec::new());
        match nbits {
            8 => many.extend((0..weights.len()).map(of)),
            _ => few = std::array::from_fn(of),
        }
        Levels {
            nbits,
            few,
            many,
            unit,
            largest_error: errors.fold(0.0, f64::max),
        }
    }

    /// What a level is worth.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The most that a weight lies beside its level.
    pub fn largest_error(&self) -> f64 {
        self.largest_error
    }
}

/// Writes the levels of residuals, row by row, each field of all bytes before the next.
#[inline(always)]
pub(crate) fn unpack<M: Machine>(
    machine: M,
    table: &Levels,
    dim: usize,
    residuals: &[u8],
    levels: &mut [u8],
) {
    match table.nbits {
        1 => unpack_planes::<M, 1>(machine, table, dim, residuals, levels),
        2 => unpack_planes::<M, 2>(machine, table, dim, residuals, levels),
        4 => unpack_planes::<M, 4>(machine, table, dim, residuals, levels),
        _ => {
            for (level, &byte) in levels.iter_mut().zip(residuals) {
                *level = table.many[usize::from(byte)];
            }
        }
    }
}

#[inline(always)]
fn unpack_planes<M: Machine, const NBITS: usize>(
    machine: M,
    table: &Levels,
    dim: usize,
    residuals: &[u8],
    levels: &mut [u8],
) {
    // Row after row: what is written beyond one is written over by the next.
    for (row, residual) in residuals.chunks_exact(dim / 8 * NBITS).enumerate() {
        fetch(residual.as_ptr().wrapping_add(AHEAD));
        machine.planes::<NBITS>(&table.few, residual, &mut levels[row * dim..]);
    }
}
