//! Residual codec: an embedding as a centroid and a few bits per dimension.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use concord_kernels::buckets::buckets_of_differences;
use concord_kernels::closest::{Centroids, Measure, Work};
use concord_kernels::compute::Compute;
use concord_kernels::gemm::Gemm;
use concord_kernels::linear::PackedWeights;
use half::f16;
use rayon::prelude::*;

use crate::rows::{self, NotRows};

/// Embeddings that one task compresses; a fixed number, so that the work does not depend on the threads.
const ROWS_PER_TASK: usize = 1024;

/// Why embeddings cannot be compressed or decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Residuals are not packed with so many bits.
    #[error("residuals have 1, 2, 4 or 8 bits a dimension, not {0}")]
    Bits(usize),
    /// Residuals of this width do not fill whole bytes as the reference packs them.
    #[error("embeddings of {dim} dimensions cannot be packed with {nbits} bits each")]
    Width {
        /// The dimensions of an embedding.
        dim: usize,
        /// Bits per dimension.
        nbits: usize,
    },
    #[error(transparent)]
    Rows(#[from] NotRows),
    /// There is nothing to take residuals from.
    #[error("there are no centroids")]
    NoCentroids,
    /// There are more or fewer cutoffs or weights than the bits tell apart.
    #[error("there are {found} cutoffs or weights, and {needed} are needed")]
    Buckets {
        found: usize,
        /// How many the bits tell apart.
        needed: usize,
    },
    #[error("there is code {code}, but there are {centroids} centroids")]
    Code {
        code: i32,
        /// How many centroids there are.
        centroids: usize,
    },
    /// The residuals are not as many as the codes.
    #[error("the residuals have {found} bytes, and {needed} are needed")]
    Residuals {
        found: usize,
        /// The bytes of so many embeddings.
        needed: usize,
    },
}

/// How the centroid nearest to an embedding is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// The product of embeddings and centroids.
    pub gemm: Gemm,
    /// Whether of equally near centroids the last is taken instead of the first.
    pub last_of_ties: bool,
}

impl Nearest {
    /// The centroid of each row that has the largest inner product with it, from all products.
    fn codes(self, compute: &Compute, rows: &[f32], centroids: &PackedWeights) -> Vec<u32> {
        let count = centroids.outputs();
        let mut products = vec![0.0; rows.len() / centroids.inputs() * count];
        self.gemm
            .linear(compute, rows, centroids, None, &mut products);
        let nearest = |products: &[f32]| {
            let mut best = (0, f32::NEG_INFINITY);
            for (at, &product) in products.iter().enumerate() {
                if product > best.1 || (self.last_of_ties && product == best.1) {
                    best = (at as u32, product);
                }
            }
            best.0
        };
        products.chunks_exact(count).map(nearest).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// The centroid of each: `(n,)`.
    pub codes: Vec<i32>,
    /// The bucket of each dimension, packed: `(n, dim / 8 * nbits)`.
    pub residuals: Vec<u8>,
    /// What it took to find the codes, where the contract's products decide.
    pub work: Work,
}

/// Turns embeddings of a width into codes and packed residuals, and back.
///
/// The centroids are rounded to f16 first, as they are on disk, so that what is subtracted when compressing is
/// what a reader adds.
pub struct ResidualCodec {
    centroids: Vec<f32>,
    /// The centroids as weights, once somebody needs them.
    packed: OnceLock<PackedWeights>,
    /// The centroids as [`Nearest::default`] looks for them, on the instruction set that did so last.
    screened: Mutex<Option<(&'static str, Arc<Centroids<'static>>)>>,
    dim: usize,
    nbits: usize,
}

impl ResidualCodec {
    /// The codec of `centroids` `(C, dim)` with `nbits` bits per dimension.
    ///
    /// # Errors
    /// When the width does not go with the bits, or the centroids are no whole number of rows, or none.
    pub fn new(
        mut centroids: Vec<f32>,
        dim: usize,
        nbits: usize,
    ) -> Result<ResidualCodec, CodecError> {
        check_bits(nbits)?;
        if !can_pack(dim, nbits) {
            return Err(CodecError::Width { dim, nbits });
        }
        if rows::count(centroids.len(), dim)? == 0 {
            return Err(CodecError::NoCentroids);
        }
        for value in &mut centroids {
            *value = f16::from_f32(*value).to_f32();
        }
        Ok(ResidualCodec {
            packed: OnceLock::new(),
            screened: Mutex::default(),
            centroids,
            dim,
            nbits,
        })
    }

    /// Codes and residuals of `embeddings` `(n, dim)`; `cutoffs` `(2^nbits − 1,)` are where a bucket ends and
    /// the next begins, ascending.
    ///
    /// # Order of operations
    /// A residual is one `f32` difference. Its bucket is the number of cutoffs strictly below it. The threads of
    /// `compute` decide nothing.
    ///
    /// # Errors
    /// When the embeddings are no whole number of rows, or the cutoffs not as many as the bits tell apart.
    pub fn compress(
        &self,
        compute: &Compute,
        nearest: Nearest,
        embeddings: &[f32],
        cutoffs: &[f32],
    ) -> Result<Compressed, CodecError> {
        rows::count(embeddings.len(), self.dim)?;
        self.check_buckets(cutoffs, (1 << self.nbits) - 1)?;
        let screened = (nearest == Nearest::default()).then(|| self.screened(compute));
        let nearest = |rows: &[f32]| match &screened {
            Some(centroids) => centroids.nearest(compute, rows, None),
            None => (nearest.codes(compute, rows, self.packed()), Work::default()),
        };
        let packer = Packer::new(self.nbits);
        let width = self.dim / 8 * self.nbits;
        let count = embeddings.len() / self.dim;
        let (mut codes, mut residuals) = (vec![0; count], vec![0; count * width]);
        let tasks = embeddings
            .par_chunks(ROWS_PER_TASK * self.dim)
            .zip(codes.par_chunks_mut(ROWS_PER_TASK))
            .zip(residuals.par_chunks_mut(ROWS_PER_TASK * width));
        let work = tasks
            .map(|((rows, codes), residuals)| {
                let (chosen, work) = nearest(rows);
                let mut buckets = vec![0; self.dim];
                let each = rows
                    .chunks_exact(self.dim)
                    .zip(residuals.chunks_exact_mut(width));
                for ((row, residual), (&chosen, code)) in each.zip(chosen.iter().zip(codes)) {
                    let centroid = &self.centroids[chosen as usize * self.dim..][..self.dim];
                    buckets_of_differences(compute, row, centroid, cutoffs, &mut buckets);
                    packer.pack(&buckets, residual);
                    *code = chosen as i32;
                }
                work
            })
            .sum();
        Ok(Compressed {
            codes,
            residuals,
            work,
        })
    }

    fn screened(&self, compute: &Compute) -> Arc<Centroids<'static>> {
        let mut last = self.screened.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((isa, centroids)) if *isa == compute.isa_name() => Arc::clone(centroids),
            _ => {
                let centroids =
                    Centroids::new(compute, self.centroids.clone(), self.dim, Measure::Dot);
                let centroids = Arc::new(centroids);
                *last = Some((compute.isa_name(), Arc::clone(&centroids)));
                centroids
            }
        }
    }

    /// Whether it is the codec of these centroids, rounded as it rounds them.
    pub fn is_of(&self, centroids: &[f32]) -> bool {
        let rounded = centroids.iter().map(|value| f16::from_f32(*value).to_f32());
        self.centroids.len() == centroids.len()
            && rounded
                .zip(&self.centroids)
                .all(|(new, own)| new.to_bits() == own.to_bits())
    }

    fn packed(&self) -> &PackedWeights {
        self.packed.get_or_init(|| {
            PackedWeights::pack(&self.centroids, self.centroids.len() / self.dim, self.dim)
        })
    }

    /// The embeddings `(n, dim)` that codes `(n,)` and residuals `(n, dim / 8 * nbits)` stand for: the centroid
    /// plus the weight of each dimension's bucket, added once, not brought to unit length. `weights` are
    /// `(2^nbits,)`.
    ///
    /// # Errors
    /// When a code has no centroid, or codes, residuals and weights are not as many as each other.
    pub fn decompress(
        &self,
        codes: &[i32],
        residuals: &[u8],
        weights: &[f32],
    ) -> Result<Vec<f32>, CodecError> {
        self.check_buckets(weights, 1 << self.nbits)?;
        let width = self.dim / 8 * self.nbits;
        let (found, needed) = (residuals.len(), codes.len() * width);
        if found != needed {
            return Err(CodecError::Residuals { found, needed });
        }
        let unpacker = Unpacker::new(self.nbits, weights);
        let mut embeddings = vec![0.0; codes.len() * self.dim];
        let rows = embeddings.chunks_exact_mut(self.dim);
        for ((embedding, residual), &code) in rows.zip(residuals.chunks_exact(width)).zip(codes) {
            let centroids = self.centroids.len() / self.dim;
            let place = usize::try_from(code).ok().filter(|&at| at < centroids);
            let place = place.ok_or(CodecError::Code { code, centroids })?;
            let centroid = &self.centroids[place * self.dim..][..self.dim];
            unpacker.add(residual, centroid, embedding);
        }
        Ok(embeddings)
    }

    fn check_buckets(&self, values: &[f32], needed: usize) -> Result<(), CodecError> {
        match values.len() {
            found if found == needed => Ok(()),
            found => Err(CodecError::Buckets { found, needed }),
        }
    }
}

/// Packs buckets: `nbits` bits a dimension, least significant first, filled into bytes from their most significant bit.
struct Packer {
    nbits: usize,
    /// The bits of each bucket in the order in which they are packed.
    turned: [u8; 256],
}

impl Packer {
    fn new(nbits: usize) -> Packer {
        let mut turned = [0; 256];
        for (turned, bucket) in turned.iter_mut().zip(0..=u8::MAX) {
            *turned = bucket.reverse_bits() >> (8 - nbits);
        }
        Packer { nbits, turned }
    }

    /// The `buckets` of one embedding, each below `2^nbits`, as `bytes`, which they fill.
    fn pack(&self, buckets: &[u8], bytes: &mut [u8]) {
        let shift = self.nbits % 8;
        for (byte, buckets) in bytes.iter_mut().zip(buckets.chunks_exact(8 / self.nbits)) {
            let packed = buckets
                .iter()
                .map(|&bucket| self.turned[usize::from(bucket)]);
            *byte = packed.fold(0, |byte, bucket| byte << shift | bucket);
        }
    }
}

/// What each byte of a packed residual stands for: `(256, 8 / nbits)` weights: the inverse of packing.
pub struct Unpacker {
    table: Vec<f32>,
    per_byte: usize,
}

impl Unpacker {
    /// The table for `nbits` of 1, 2, 4 or 8 and its `2^nbits` weights.
    pub fn new(nbits: usize, weights: &[f32]) -> Unpacker {
        let per_byte = 8 / nbits;
        let mut table = Vec::with_capacity(256 * per_byte);
        for byte in 0..=u8::MAX {
            for place in 0..per_byte {
                let field = byte << (place * nbits);
                let bucket =
                    (0..nbits).fold(0, |bucket, bit| bucket | ((field << bit) >> 7) << bit);
                table.push(weights[usize::from(bucket)]);
            }
        }
        Unpacker { table, per_byte }
    }

    /// Adds the weights that `residual` stands for to `centroid`, into `embedding`.
    pub fn add(&self, residual: &[u8], centroid: &[f32], embedding: &mut [f32]) {
        let weights = residual
            .iter()
            .flat_map(|&byte| &self.table[usize::from(byte) * self.per_byte..][..self.per_byte]);
        for ((value, centroid), weight) in embedding.iter_mut().zip(centroid).zip(weights) {
            *value = centroid + weight;
        }
    }
}

/// Whether embeddings of width `dim` can be packed with `nbits` bits a dimension.
pub fn can_pack(dim: usize, nbits: usize) -> bool {
    check_bits(nbits).is_ok() && dim > 0 && dim.is_multiple_of(8 * nbits)
}

pub(crate) fn check_bits(nbits: usize) -> Result<(), CodecError> {
    match nbits {
        1 | 2 | 4 | 8 => Ok(()),
        _ => Err(CodecError::Bits(nbits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(nbits: usize, buckets: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; buckets.len() * nbits / 8];
        Packer::new(nbits).pack(buckets, &mut bytes);
        bytes
    }

    #[test]
    fn bytes_are_those_of_the_reference() {
        assert_eq!(packed(2, &[0, 1, 2, 3]), [39]);
        assert_eq!(packed(2, &[3, 2, 1, 0]), [216]);
        assert_eq!(packed(2, &[1, 1, 2, 2]), [165]);
        assert_eq!(packed(1, &[1, 0, 0, 0, 0, 0, 1, 1]), [131]);
        assert_eq!(packed(4, &[1, 8, 3, 12, 5, 10]), [129, 195, 165]);
    }

    #[test]
    fn a_value_on_a_cutoff_belongs_below_it() {
        let values = [-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2];
        let (zero, cutoffs) = ([0.0; 7], [-0.1, 0.0, 0.1]);
        let mut buckets = [0; 7];
        buckets_of_differences(&Compute::fastest(), &values, &zero, &cutoffs, &mut buckets);
        assert_eq!(buckets, [0, 0, 1, 1, 2, 2, 3]);
    }

    proptest! {
        #[test]
        fn unpacking_gives_the_weights_of_the_buckets(nbits in prop_oneof![Just(1usize), Just(2), Just(4), Just(8)], bytes in prop::collection::vec(any::<u8>(), 1..20)) {
            let weights: Vec<f32> = (0..1u32 << nbits).map(|w| w as f32).collect();
            let mut values = vec![0.0; bytes.len() * 8 / nbits];
            let zero = vec![0.0; values.len()];
            Unpacker::new(nbits, &weights).add(&bytes, &zero, &mut values);
            let buckets: Vec<u8> = values.iter().map(|&v| v as u8).collect();
            prop_assert_eq!(packed(nbits, &buckets), bytes);
        }
    }

    fn codec(nbits: usize) -> ResidualCodec {
        // Two centroids of 32 dimensions.
        let centroids = (0..64).map(|i| if i < 32 { 0.5 } else { -0.5 }).collect();
        ResidualCodec::new(centroids, 32, nbits).unwrap()
    }

    #[test]
    fn what_was_compressed_comes_back_as_centroid_and_weights() {
        let codec = codec(2);
        let (cutoffs, weights) = ([-0.1, 0.0, 0.1], [-0.25, -0.05, 0.05, 0.25]);
        let deviations = [-0.3f32, -0.04, 0.03, 0.2];
        let embedding: Vec<f32> = (0..32).map(|i| -0.5 + deviations[i % 4]).collect();
        let compressed = codec
            .compress(
                &Compute::fastest(),
                Nearest::default(),
                &embedding,
                &cutoffs,
            )
            .unwrap();
        assert_eq!(compressed.codes, [1]);
        assert_eq!(compressed.residuals.len(), 8);
        let expected: Vec<f32> = (0..32).map(|i| -0.5 + weights[i % 4]).collect();
        let (codes, residuals) = (&compressed.codes, &compressed.residuals);
        assert_eq!(
            codec.decompress(codes, residuals, &weights).unwrap(),
            expected
        );
    }

    #[test]
    fn of_equal_centroids_the_first_or_the_last_is_taken() {
        let codec = ResidualCodec::new(vec![0.5; 64], 32, 1).unwrap();
        let compute = Compute::fastest();
        for (last_of_ties, code) in [(false, 0), (true, 1)] {
            let nearest = Nearest {
                last_of_ties,
                ..Nearest::default()
            };
            let compressed = codec.compress(&compute, nearest, &[0.5; 32], &[0.0]);
            assert_eq!(compressed.unwrap().codes, [code]);
        }
    }

    #[test]
    fn centroids_are_rounded_as_they_are_on_disk() {
        let third = 1.0f32 / 3.0;
        let codec = ResidualCodec::new(vec![third; 32], 32, 1).unwrap();
        let back = codec.decompress(&[0], &[0; 4], &[0.0, 1.0]).unwrap();
        assert_eq!(back, vec![f16::from_f32(third).to_f32(); 32]);
    }

    #[test]
    fn what_does_not_fit_a_codec_is_refused() {
        let new = |values: usize, dim, nbits| {
            ResidualCodec::new(vec![0.0; values], dim, nbits)
                .err()
                .unwrap()
        };
        assert_eq!(new(32, 32, 3), CodecError::Bits(3));
        assert_eq!(new(24, 12, 2), CodecError::Width { dim: 12, nbits: 2 });
        assert!(matches!(new(33, 32, 2), CodecError::Rows(_)));
        assert_eq!(new(0, 32, 2), CodecError::NoCentroids);
        let (codec, compute) = (codec(2), Compute::fastest());
        let compress = |embeddings: &[f32], cutoffs: &[f32]| {
            let nearest = Nearest::default();
            codec
                .compress(&compute, nearest, embeddings, cutoffs)
                .err()
                .unwrap()
        };
        assert!(matches!(
            compress(&[0.0; 31], &[0.0; 3]),
            CodecError::Rows(_)
        ));
        let buckets = CodecError::Buckets {
            found: 2,
            needed: 3,
        };
        assert_eq!(compress(&[0.0; 32], &[0.0; 2]), buckets);
        let decompress = |codes: &[i32], residuals: &[u8], weights: &[f32]| {
            codec.decompress(codes, residuals, weights).err().unwrap()
        };
        let code = CodecError::Code {
            code: 2,
            centroids: 2,
        };
        assert_eq!(decompress(&[2], &[0; 8], &[0.0; 4]), code);
        let code = CodecError::Code {
            code: -1,
            centroids: 2,
        };
        assert_eq!(decompress(&[-1], &[0; 8], &[0.0; 4]), code);
        let bytes = CodecError::Residuals {
            found: 7,
            needed: 8,
        };
        assert_eq!(decompress(&[0], &[0; 7], &[0.0; 4]), bytes);
        let buckets = CodecError::Buckets {
            found: 3,
            needed: 4,
        };
        assert_eq!(decompress(&[0], &[0; 8], &[0.0; 3]), buckets);
    }
}
