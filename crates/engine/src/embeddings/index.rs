//! The graph from given embeddings on.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use concord_index::codec::{Nearest, can_pack};
use concord_index::format::IndexManifest;
use concord_index::passages::PassageTable;
use concord_index::stages::{
    Calibrate, Cluster, Compress, Invert, LastCodec, Sample, SamplePids, Split,
};
use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::Compute;
use concord_kernels::normalize::Normalize;
use concord_model::config::ColbertConfig;
use concord_pipeline::artifact::{DOCLENS, EMBS};
use concord_pipeline::{EvaluateError, Evaluator, Graph, Grid, Observer, Progress, Source, Store};
use concord_tensor::BitHash;
use serde_json::{Value as Json, json};

use super::error::EmbeddingsError;
use super::passages::GivenPassages;
use crate::buildable::{Buildable, EmbeddingPlace};
use crate::native::fewer_centroids;
use crate::origin::Origin;
use crate::recorded::{IDS_INPUT, METADATA_INPUT, PARTITIONS};
use crate::settings::DEFAULT_SEED;
use crate::swap::{Sizes, Swap, SwapError};

/// The input that the manifest of an index of embeddings names.
pub(crate) const EMBEDDINGS: &str = "embeddings";

/// Bits per dimension of a residual, as many of these as fit where nobody says otherwise.
const DEFAULT_NBITS: [usize; 3] = [4, 2, 1];

/// What an index depends on beside its embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenSettings {
    /// Bits per residual dimension; 4 if unset, or as many as the width allows.
    pub nbits: Option<usize>,
    /// Iterations of k-means; the reference's 4 if unset.
    pub kmeans_niters: Option<usize>,
    /// How many centroids are trained, if there is so much to train them on; as many as the reference's rule has if unset.
    pub partitions: Option<NonZeroUsize>,
    /// The seed of the sample and its shuffle.
    pub seed: u32,
}

impl Default for GivenSettings {
    fn default() -> GivenSettings {
        GivenSettings {
            nbits: None,
            kmeans_niters: None,
            partitions: None,
            seed: DEFAULT_SEED,
        }
    }
}

/// Why embeddings cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// They cannot be read, or some are of no use.
    #[error(transparent)]
    Embeddings(#[from] EmbeddingsError),
    /// The number of bits does not go with the width.
    #[error(
        "embeddings of width {width} cannot be packed with nbits = {nbits}: nbits is 1, 2, 4 or 8, and 8 times it \
         divides the width"
    )]
    Bits { width: usize, nbits: usize },
}

/// An index of given embeddings, to be built.
pub struct GivenIndex {
    passages: GivenPassages,
    settings: GivenSettings,
    config: ColbertConfig,
    graph: Graph,
    /// Artifacts that are given as well.
    codec: Vec<Swap>,
    compute: Compute,
    reading_took: Duration,
}

impl GivenIndex {
    /// The index of `passages` by `settings`. All embeddings are read once: each is looked at, and they get their hash.
    ///
    /// # Errors
    /// [`GivenError`].
    pub fn new(
        mut passages: GivenPassages,
        settings: GivenSettings,
        compute: Compute,
        progress: &dyn Progress,
    ) -> Result<GivenIndex, GivenError> {
        let width = passages.width;
        let fitting = DEFAULT_NBITS
            .into_iter()
            .find(|&nbits| can_pack(width, nbits));
        let nbits = settings.nbits.or(fitting).unwrap_or(1);
        if !can_pack(width, nbits) {
            return Err(GivenError::Bits { width, nbits });
        }
        let begun = Instant::now();
        compute.install(|| passages.read(progress))?;
        let reading_took = begun.elapsed();
        let mut config = ColbertConfig {
            dim: width,
            nbits,
            ..ColbertConfig::default()
        };
        if let Some(iterations) = settings.kmeans_niters {
            config.kmeans_niters = iterations;
        }
        let seed = settings.seed;
        let graph = Graph::new()
            .with(SamplePids { seed })
            .with(Sample {
                partitions: settings.partitions,
            })
            .with(Split { seed })
            .with(Cluster {
                iterations: config.kmeans_niters,
                normalize: Normalize::default(),
                compute: compute.clone(),
            })
            .with(Calibrate {
                nbits,
                compute: compute.clone(),
            })
            .with(Compress {
                nbits,
                nearest: Nearest::default(),
                compute: compute.clone(),
                last: LastCodec::default(),
            })
            .with(Invert);
        Ok(GivenIndex {
            passages,
            settings,
            config,
            graph,
            codec: Vec::new(),
            compute,
            reading_took,
        })
    }

    /// The same with the codec given that these make up, instead of trained.
    ///
    /// # Errors
    /// When it is one of other embeddings.
    pub(crate) fn with_codec(mut self, codec: Vec<Swap>) -> Result<GivenIndex, SwapError> {
        let sizes = Sizes {
            passages: self.passages.passages(),
            dim: self.config.dim,
            nbits: self.config.nbits,
        };
        for swap in &codec {
            swap.check(sizes)?;
            self.graph = swap.put_into(self.graph);
        }
        self.codec = codec;
        Ok(self)
    }
}

/// Given embeddings that are not those that an index was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherEmbeddings {
    /// The first passages of which some are others.
    pub passages: Range<usize>,
    /// The files that these have embeddings in.
    pub files: Vec<PathBuf>,
}

impl GivenIndex {
    /// Where these are others than the embeddings that an index was built from, by the hashes in its manifest.
    pub(crate) fn first_difference(&self, manifest: &IndexManifest) -> Option<OtherEmbeddings> {
        let chunks = |name: &str| manifest.artifact(name).map(|artifact| &artifact.chunks[..]);
        let (doclens, embs) = (chunks(DOCLENS)?, chunks(EMBS)?);
        let (passages, files) = self.passages.first_difference(doclens, embs)?;
        Some(OtherEmbeddings { passages, files })
    }
}

impl Buildable for GivenIndex {
    fn inputs(&self) -> BTreeMap<String, BitHash> {
        let mut inputs = BTreeMap::from([(EMBEDDINGS.to_owned(), self.passages.hash())]);
        if let Some(hash) = self.passages.ids_hash() {
            inputs.insert(IDS_INPUT.to_owned(), hash);
        }
        if let Some(hash) = self.passages.metadata_hash() {
            inputs.insert(METADATA_INPUT.to_owned(), hash);
        }
        inputs
    }

    fn options(&self) -> BTreeMap<String, Json> {
        let mut options = BTreeMap::from([
            ("contract".to_owned(), json!(CONTRACT_VERSION)),
            ("nbits".to_owned(), json!(self.config.nbits)),
            ("kmeans_niters".to_owned(), json!(self.config.kmeans_niters)),
            ("seed".to_owned(), json!(self.settings.seed)),
        ]);
        if let Some(partitions) = self.settings.partitions {
            options.insert(PARTITIONS.to_owned(), json!(partitions));
        }
        options
    }

    fn published_config(&self, _: Option<&Origin>) -> ColbertConfig {
        let mut config = self.config.clone();
        config.bsize = 64;
        config
    }

    fn passages(&self) -> PassageTable {
        self.passages.table()
    }

    fn grid(&self) -> Grid {
        self.passages.grid
    }

    fn threads(&self) -> usize {
        self.compute.threads()
    }

    fn reading_took(&self) -> Duration {
        self.reading_took
    }

    fn swaps(&self) -> &[Swap] {
        &self.codec
    }

    fn place(&self, pid: u32, _: usize, _: usize) -> EmbeddingPlace {
        EmbeddingPlace {
            id: self.passages.id(pid as usize).map(str::to_owned),
            token: None,
        }
    }

    fn notices(&self, evaluator: Option<&Evaluator<'_>>) -> Result<Vec<String>, EvaluateError> {
        let mut notices = self.passages.notices();
        notices.extend(evaluator.map(fewer_centroids).transpose()?.flatten());
        Ok(notices)
    }

    fn evaluate_only<T: Send, E: Send + From<EvaluateError>>(
        &self,
        artifacts: &[&str],
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.compute.install(|| {
            let given = self.passages.sources();
            let sources: Vec<&dyn Source> = given.iter().map(|given| given as _).collect();
            let grid = self.passages.grid;
            let mut evaluator =
                Evaluator::new(&self.graph, &sources, grid, store).reporting_to(progress);
            if let Some(observer) = observer {
                evaluator = evaluator.observed_by(observer);
            }
            for name in artifacts {
                evaluator.artifact(name)?;
            }
            finish(&evaluator)
        })
    }
}
