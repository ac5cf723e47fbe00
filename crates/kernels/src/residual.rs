//! Embeddings from their codes: a centroid and a weight for each dimension, brought to unit length.

use crate::compute::Compute;
use crate::isa::on_isa;
use crate::lanes::Lanes;
use crate::machine::Machine;
use crate::normalize::at_least_min;
use crate::reduction::{LANES, tree_sum};

/// The weights of a residual's buckets, laid out for looking up packed fields as they lie in a byte.
///
/// A field of a packed residual holds its bucket with the least significant bit first, so that what it reads as is the
/// bucket with its bits reversed; the tables are in the order of what is read.
pub struct BucketWeights {
    nbits: usize,
    /// Up to four bits: the weights over and over, so that bits above those of a field do not count.
    few: Lanes,
    /// Eight bits: the weight of each byte.
    many: Vec<f32>,
}

impl BucketWeights {
    /// Of the `2^nbits` weights of 1, 2, 4 or 8 bits.
    ///
    /// # Panics
    /// When there are not as many weights, or the bits are others.
    pub fn new(nbits: usize, weights: &[f32]) -> BucketWeights {
        assert!(matches!(nbits, 1 | 2 | 4 | 8), "1, 2, 4 or 8 bits");
        assert_eq!(weights.len(), 1 << nbits, "a weight for each bucket");
        let of = |field: usize| {
            let reversed = (field % weights.len()).reverse_bits() >> (usize::BITS as usize - nbits);
            weights[reversed]
        };
        let mut few = Lanes::ZERO;
        let mut many = Vec::new();
        match nbits {
            8 => many.extend((0..weights.len()).map(of)),
            _ => few = Lanes(std::array::from_fn(of)),
        }
        BucketWeights { nbits, few, many }
    }
}

/// Codes of embeddings `(rows, width)`.
#[derive(Clone, Copy)]
pub struct Coded<'a> {
    /// `(C, width)`.
    pub centroids: &'a [f32],
    pub width: usize,
    /// The centroid of each row: `(rows,)`.
    pub codes: &'a [i32],
    /// `(rows, width / 8 * nbits)`.
    pub residuals: &'a [u8],
}

/// Writes the embeddings to `out` `(rows, width)`, and what each was divided by to `norms` `(rows,)`.
///
/// # Order of operations
/// A value is `centroid + weight`, rounded once. The rows are then brought to unit length as
/// [`normalize`](crate::normalize::normalize) does by division.
///
/// # Panics
/// When a length does not match its shape, the width does not fill whole bytes, or a code has no centroid.
pub fn decompress(
    compute: &Compute,
    weights: &BucketWeights,
    coded: Coded<'_>,
    out: &mut [f32],
    norms: &mut [f32],
) {
    let Coded { width, codes, .. } = coded;
    assert_eq!(width % 8, 0, "a row fills whole bytes");
    assert_eq!(out.len(), codes.len() * width, "out is (rows, width)");
    assert_eq!(norms.len(), codes.len(), "a norm for each row");
    assert_eq!(
        coded.residuals.len(),
        codes.len() * (width / 8 * weights.nbits),
        "residuals are (rows, width / 8 * nbits)"
    );
    let isa = compute.isa();
    match weights.nbits {
        1 => {
            on_isa!(isa, one(weights: &BucketWeights, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]))
        }
        2 => {
            on_isa!(isa, two(weights: &BucketWeights, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]))
        }
        4 => {
            on_isa!(isa, four(weights: &BucketWeights, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]))
        }
        _ => {
            on_isa!(isa, eight(weights: &BucketWeights, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]))
        }
    }
}

/// Bodies that differ in a constant: the bits of a field.
macro_rules! bodies {
    ($($name:ident $nbits:literal)*) => {$(
        #[inline(always)]
        fn $name<M: Machine>(machine: M, weights: &BucketWeights, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]) {
            body::<M, $nbits>(machine, weights, coded, out, norms);
        }
    )*};
}

bodies! { one 1 two 2 four 4 eight 8 }

#[inline(always)]
fn body<M: Machine, const NBITS: usize>(
    machine: M,
    weights: &BucketWeights,
    coded: Coded<'_>,
    out: &mut [f32],
    norms: &mut [f32],
) {
    let width = coded.width.max(1);
    let rows = out.chunks_exact_mut(width);
    let residuals = coded.residuals.chunks_exact((width / 8 * NBITS).max(1));
    let rows = rows.zip(residuals).zip(coded.codes);
    for (((row, residual), &code), kept) in rows.zip(norms) {
        let centroid = &coded.centroids[code as usize * width..][..width];
        let squares = sums::<M, NBITS>(machine, weights, centroid, residual, row);
        let norm = at_least_min(tree_sum(squares.0));
        *kept = norm;
        for value in row {
            *value /= norm;
        }
    }
}

/// Adds the weights of a residual to a centroid, and the squares of the sums into their lanes.
#[inline(always)]
fn sums<M: Machine, const NBITS: usize>(
    machine: M,
    weights: &BucketWeights,
    centroid: &[f32],
    residual: &[u8],
    row: &mut [f32],
) -> Lanes {
    let mut squares = Lanes::ZERO;
    let (row, rest) = row.as_chunks_mut::<LANES>();
    let (centroid, rest_of_centroid) = centroid.as_chunks::<LANES>();
    let (fields, rest_of_fields) = residual.split_at(row.len() * 2 * NBITS);
    let fields = fields.chunks_exact(2 * NBITS);
    for ((row, centroid), fields) in row.iter_mut().zip(centroid).zip(fields) {
        let weights = looked_up::<M, NBITS>(machine, weights, fields);
        for l in 0..LANES {
            let value = centroid[l] + weights.0[l];
            row[l] = value;
            squares.0[l] = machine.fma(value, value, squares.0[l]);
        }
    }
    if !rest.is_empty() {
        // Eight dimensions, which fill half of the lanes.
        let mut fields = [0; 16];
        fields[..NBITS].copy_from_slice(&rest_of_fields[..NBITS]);
        let weights = looked_up::<M, NBITS>(machine, weights, &fields[..2 * NBITS]);
        for (l, (value, centroid)) in rest.iter_mut().zip(rest_of_centroid).enumerate() {
            *value = centroid + weights.0[l];
            squares.0[l] = machine.fma(*value, *value, squares.0[l]);
        }
    }
    squares
}

/// The weights of sixteen fields.
#[inline(always)]
fn looked_up<M: Machine, const NBITS: usize>(
    machine: M,
    weights: &BucketWeights,
    fields: &[u8],
) -> Lanes {
    let mut out = Lanes::ZERO;
    if NBITS == 8 {
        for l in 0..LANES {
            out.0[l] = weights.many[usize::from(fields[l])];
        }
        return out;
    }
    // Fields in words: of one and two bits all in the first, of four bits half of them.
    let mut bytes = [0; 8];
    bytes[..2 * NBITS].copy_from_slice(fields);
    let [a, b, c, d, e, f, g, h] = bytes;
    let words = [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ];
    let mut indices = [0i32; LANES];
    for l in 0..LANES {
        // From the most significant bit of a byte on; what lies above a field does not count.
        let bit = l * NBITS % 32;
        let shift = bit / 8 * 8 + 8 - NBITS - bit % 8;
        indices[l] = (words[l * NBITS / 32] >> shift) as i32;
    }
    machine.lookup(&weights.few, &indices)
}
