//! Building indexes of embeddings.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_engine::build::{Layout, Output, build};
use concord_engine::embeddings::{EmbeddingFiles, GivenIndex, GivenPassages, GivenSettings};
use concord_engine::native::NativeError;
use concord_engine::origin::Origin;
use concord_kernels::compute::{Compute, ComputeOptions};

use crate::builder::Built;
use crate::error::Error;
use crate::progress::{Heard, Listener, Step};

/// Builds indexes of embeddings that another program made of passages.
///
/// ```no_run
/// # fn main() -> Result<(), concord::Error> {
/// let files = concord::EmbeddingFiles {
///     embeddings: vec!["passages.npy".into()],
///     doclens: Some("doclens.npy".into()),
///     ids: None,
/// };
/// concord::EmbeddingsBuilder::new().nbits(4).build(&files, "index")?;
/// let searcher = concord::Searcher::open_for_embeddings("index", concord::OpenOptions::default())?;
/// # let query = vec![0.0; 128];
/// let request = concord::Request::new(10, &searcher.search_options());
/// for hit in searcher.answer_embeddings(&query, 128, &request)?.hits {
///     println!("{} {}", hit.id, hit.score);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct EmbeddingsBuilder {
    settings: GivenSettings,
    compute: ComputeOptions,
    listener: Option<Listener>,
    replace: bool,
    metadata: Option<PathBuf>,
}

impl EmbeddingsBuilder {
    /// A builder with 4 bits per dimension, or what the width allows, and 4 iterations of k-means, on all threads.
    pub fn new() -> EmbeddingsBuilder {
        EmbeddingsBuilder::default()
    }

    /// Bits per dimension of a residual: 1, 2, 4 or 8, of which 8 times divides the width.
    #[must_use]
    pub fn nbits(mut self, nbits: usize) -> EmbeddingsBuilder {
        self.settings.nbits = Some(nbits);
        self
    }

    /// Iterations of k-means.
    #[must_use]
    pub fn kmeans_niters(mut self, iterations: usize) -> EmbeddingsBuilder {
        self.settings.kmeans_niters = Some(iterations);
        self
    }

    /// The seed of the sample that centroids are trained on.
    #[must_use]
    pub fn seed(mut self, seed: u32) -> EmbeddingsBuilder {
        self.settings.seed = seed;
        self
    }

    /// How many threads to use; the bits do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> EmbeddingsBuilder {
        self.compute = self.compute.with_threads(Some(threads));
        self
    }

    /// As [`Builder::replace`](crate::Builder::replace).
    #[must_use]
    pub fn replace(mut self, replace: bool) -> EmbeddingsBuilder {
        self.replace = replace;
        self
    }

    /// As [`Builder::metadata`](crate::Builder::metadata).
    #[must_use]
    pub fn metadata(mut self, file: impl Into<PathBuf>) -> EmbeddingsBuilder {
        self.metadata = Some(file.into());
        self
    }

    /// Tells `listener` how far a build has come, from whatever thread gets there.
    #[must_use]
    pub fn on_progress(
        mut self,
        listener: impl Fn(Step<'_>) + Send + Sync + 'static,
    ) -> EmbeddingsBuilder {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Builds the index of the embeddings in `files` in `out`, which appears when it is whole. The files are read in
    /// pieces, and may be larger than memory.
    ///
    /// # Errors
    /// [`Error::Embeddings`] when the files cannot be read, do not fit each other, or hold what cannot be indexed, with
    /// passage and place; [`Error::Given`]; [`Error::Build`].
    pub fn build(&self, files: &EmbeddingFiles, out: impl AsRef<Path>) -> Result<Built, Error> {
        let compute = Compute::new(&self.compute).map_err(NativeError::from)?;
        let progress = Heard(self.listener.clone());
        let passages = GivenPassages::open(files)?;
        let passages = match &self.metadata {
            Some(file) => passages.with_metadata(file)?,
            None => passages,
        };
        let given = GivenIndex::new(passages, self.settings, compute, &progress)?;
        let output = Output {
            path: out.as_ref(),
            replace: self.replace,
        };
        let origin = Origin::default();
        let report = build(&given, Layout::default(), &origin, output, &progress)?;
        Ok(Built::of(report))
    }
}
