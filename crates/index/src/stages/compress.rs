//! `compress`: codes and packed residuals of one chunk of embeddings.

use std::sync::{Arc, Mutex, PoisonError};

use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_pipeline::artifact::{BUCKET_CUTOFFS, CENTROIDS, CODES, EMBS, RESIDUALS};
use concord_pipeline::{
    Call, Field, Input, Output, Scope, Setting, Stage, StageDeclaration, StageError, Value,
};
use concord_tensor::{DType, Tensor};

use super::work::report;
use crate::codec::{CodecError, Nearest, ResidualCodec};

/// Compresses embeddings by the [codec](ResidualCodec) of the centroids as they are on disk.
pub struct Compress {
    /// Bits per residual dimension.
    pub nbits: usize,
    /// How the nearest centroid is found.
    pub nearest: Nearest,
    pub compute: Compute,
    /// The codec of the chunk before.
    pub last: LastCodec,
}

/// A codec that goes on to be used where the centroids are the same.
#[derive(Default)]
pub struct LastCodec(Mutex<Option<Arc<ResidualCodec>>>);

impl LastCodec {
    /// The codec of these centroids, which is the same for all chunks.
    fn of(
        &self,
        centroids: &[f32],
        width: usize,
        nbits: usize,
    ) -> Result<Arc<ResidualCodec>, CodecError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(codec) = last.as_ref().filter(|codec| codec.is_of(centroids)) {
            return Ok(Arc::clone(codec));
        }
        let codec = Arc::new(ResidualCodec::new(centroids.to_vec(), width, nbits)?);
        *last = Some(Arc::clone(&codec));
        Ok(codec)
    }
}

impl Compress {
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
        let ties = if self.nearest.last_of_ties {
            "last"
        } else {
            "first"
        };
        vec![
            Setting::new("nbits", self.nbits),
            Setting::new("contract", CONTRACT_VERSION),
            Setting::new("gemm", self.nearest.gemm),
            Setting::new("ties", ties),
        ]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let embs = call.tensor(EMBS)?.cast(DType::F32)?;
        let centroids = call.tensor(CENTROIDS)?.cast(DType::F32)?;
        let cutoffs = call.tensor(BUCKET_CUTOFFS)?.cast(DType::F32)?;
        let (rows, width) = (embs.rows(), embs.row_len());
        let codec = self.last.of(centroids.as_slice()?, width, self.nbits)?;
        let (embs, cutoffs) = (embs.as_slice()?, cutoffs.as_slice()?);
        let compressed = codec.compress(&self.compute, self.nearest, embs, cutoffs)?;
        report(call, compressed.work);
        let packed_width = width / 8 * self.nbits;
        Ok(vec![
            Tensor::vector(compressed.codes).into(),
            Tensor::new(vec![rows, packed_width], compressed.residuals)?.into(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_kernels::gemm::Gemm;
    use concord_kernels::library::Library;

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
                nearest: Nearest { gemm, last_of_ties },
                compute: Compute::scalar(),
                last: LastCodec::default(),
            };
            let settings = stage.settings();
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            let contract = format!("contract={CONTRACT_VERSION}");
            assert_eq!(settings, ["nbits=2", &contract, written[0], written[1]]);
        }
    }
}
