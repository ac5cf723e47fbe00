//! Residual codec: an embedding as a centroid and a few bits per dimension.

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_kernels::gemm::Gemm;
use concord_kernels::linear::PackedWeights;
use concord_kernels::nearest::nearest_by_dot;
use concord_pipeline::artifact::{BUCKET_CUTOFFS, CENTROIDS, CODES, EMBS, RESIDUALS};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};
use rayon::prelude::*;

/// Embeddings that one task compresses; a fixed number, so that the work does not depend on the threads.
const ROWS_PER_TASK: usize = 1024;

/// `compress`: codes and packed residuals of one chunk of embeddings.
///
/// The centroids are rounded to f16 first, as they are on disk, so that what is subtracted here is what
/// a reader adds.
pub struct Compress {
    /// Bits per residual dimension.
    pub nbits: usize,
    /// The product of embeddings and centroids.
    pub gemm: Gemm,
    /// Whether of equally near centroids the last is taken instead of the first.
    pub last_of_ties: bool,
    /// What to compute on.
    pub compute: Compute,
}

impl Compress {
    /// The nearest centroid of each row.
    fn codes(&self, rows: &[f32], centroids: &PackedWeights) -> Vec<u32> {
        if self.gemm == Gemm::Native && !self.last_of_ties {
            return nearest_by_dot(&self.compute, rows, centroids);
        }
        let count = centroids.outputs();
        let mut products = vec![0.0; rows.len() / centroids.inputs() * count];
        self.gemm
            .linear(&self.compute, rows, centroids, None, &mut products);
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

impl Compress {
    /// What the stage reads and makes.
    pub const DECLARATION: StageDeclaration = StageDeclaration {
        inputs: &[
            Input::same_chunk(Field::only(EMBS)),
            Input::whole(Field::only(CENTROIDS)),
            Input::whole(Field::only(BUCKET_CUTOFFS)),
        ],
        outputs: &[
            Output::stored(CODES)
                .made_from(&[Field::only(EMBS), Field::only(CENTROIDS)])
                .absorbed_by("the choice of the nearest centroid, which is the same one"),
            Output::stored(RESIDUALS)
                .and_outputs(&[CODES])
                .with_options(&["nbits"])
                .absorbed_by("the buckets, of which every residual falls into the same"),
        ],
        arithmetic: &["contract", "gemm", "ties"],
        ..StageDeclaration::named("compress", Scope::EachChunk)
    };
}

impl Stage for Compress {
    fn declaration(&self) -> &'static StageDeclaration {
        &Compress::DECLARATION
    }

    fn settings(&self) -> Vec<Setting> {
        vec![
            Setting::new("nbits", self.nbits),
            Setting::new("contract", CONTRACT_VERSION),
            Setting::new("gemm", self.gemm),
            Setting::new("ties", if self.last_of_ties { "last" } else { "first" }),
        ]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let embs = call.tensor(EMBS)?.cast(DType::F32)?;
        let centroids = call.tensor(CENTROIDS)?.cast(DType::F16)?.cast(DType::F32)?;
        let cutoffs = call.tensor(BUCKET_CUTOFFS)?.cast(DType::F32)?;
        let (rows, width) = (embs.rows(), embs.row_len());
        let centroids = centroids.as_slice::<f32>()?;
        let cutoffs = cutoffs.as_slice::<f32>()?;
        let packed = PackedWeights::pack(centroids, centroids.len() / width, width);
        let parts: Vec<(Vec<i32>, Vec<u8>)> = embs
            .as_slice::<f32>()?
            .par_chunks(ROWS_PER_TASK * width)
            .map(|rows| {
                let codes = self.codes(rows, &packed);
                let mut residuals = Vec::with_capacity(rows.len() * self.nbits / 8);
                for (row, &code) in rows.chunks_exact(width).zip(&codes) {
                    let centroid = &centroids[code as usize * width..][..width];
                    let buckets = row
                        .iter()
                        .zip(centroid)
                        .map(|(value, c)| bucket(value - c, cutoffs));
                    pack(buckets, self.nbits, &mut residuals);
                }
                (
                    codes.into_iter().map(|code| code as i32).collect(),
                    residuals,
                )
            })
            .collect();
        let (codes, residuals): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let packed_width = width * self.nbits / 8;
        Ok(vec![
            Tensor::vector(codes.concat()).into(),
            Tensor::new(vec![rows, packed_width], residuals.concat())?.into(),
        ])
    }
}

/// The bucket of a residual: the number of cutoffs strictly below it.
fn bucket(residual: f32, cutoffs: &[f32]) -> u8 {
    cutoffs
        .iter()
        .map(|&cutoff| u8::from(cutoff < residual))
        .sum()
}

/// Appends the buckets of one embedding: `nbits` bits a dimension, least significant first, filled into
/// bytes from their most significant bit.
fn pack(buckets: impl Iterator<Item = u8>, nbits: usize, bytes: &mut Vec<u8>) {
    let (mut byte, mut filled) = (0u8, 0);
    for bucket in buckets {
        for bit in 0..nbits {
            byte = byte << 1 | (bucket >> bit & 1);
            filled += 1;
            if filled == 8 {
                bytes.push(byte);
                (byte, filled) = (0, 0);
            }
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
    [1, 2, 4, 8].contains(&nbits) && dim > 0 && dim.is_multiple_of(8 * nbits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_kernels::library::Library;
    use proptest::prelude::*;

    fn packed(nbits: usize, buckets: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(buckets.iter().copied(), nbits, &mut bytes);
        bytes
    }

    #[test]
    fn settings_are_written_out() {
        for (gemm, last_of_ties, written) in [
            (Gemm::Native, false, ["gemm=native", "ties=first"]),
            (Gemm::Native, true, ["gemm=native", "ties=last"]),
            (Gemm::Chunk(7), false, ["gemm=chunk:7", "ties=first"]),
            (Gemm::SplitK(4), false, ["gemm=split-k:4", "ties=first"]),
            (
                Gemm::Library(Library::MatrixMultiply),
                false,
                ["gemm=matrixmultiply", "ties=first"],
            ),
            (
                Gemm::Library(Library::Gemm),
                false,
                ["gemm=gemm", "ties=first"],
            ),
        ] {
            let stage = Compress {
                nbits: 2,
                gemm,
                last_of_ties,
                compute: Compute::scalar(),
            };
            let settings = stage.settings();
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let contract = format!("contract={CONTRACT_VERSION}");
            assert_eq!(settings, ["nbits=2", &contract, written[0], written[1]]);
        }
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
        let buckets =
            [-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2].map(|v| bucket(v, &[-0.1, 0.0, 0.1]));
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
}
