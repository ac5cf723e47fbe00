//! Building indexes.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::{Collection, Metadata};
use concord_engine::build::{BuildReport, Layout, Output, build};
use concord_engine::native::Native;
use concord_engine::options::NativeOptions;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_model::precision::Precision;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::progress::{Heard, Listener, Step};

/// Builds indexes with one checkpoint. What is not set is what the checkpoint says.
///
/// ```no_run
/// # fn main() -> Result<(), concord::Error> {
/// let checkpoint = concord::Checkpoint::load(concord::EMBEDDED)?;
/// let built = concord::Builder::new(&checkpoint)
///     .nbits(4)
///     .precision(concord::Precision::Int8)
///     .on_progress(|step| println!("{}: {} of {} {}", step.stage, step.done, step.total, step.unit))
///     .build("collection.tsv", "index")?;
/// println!("{} passages, {} embeddings", built.passages, built.embeddings);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builder {
    checkpoint: Checkpoint,
    options: NativeOptions,
    settings: IndexSettings,
    layout: Layout,
    listener: Option<Listener>,
    replace: bool,
    metadata: Option<PathBuf>,
}

/// What a build came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// How many passages there are.
    pub passages: usize,
    /// How many embeddings: kept tokens of all passages.
    pub embeddings: usize,
    /// How many centroids.
    pub centroids: usize,
    /// The bytes of all files.
    pub bytes: u64,
    /// Whether exactly this index was there before.
    pub already_there: bool,
    /// Notices for the user, about the checkpoint, the collection, and what was made of them.
    pub notices: Vec<String>,
}

impl Builder {
    /// A builder with the checkpoint's own settings, in `f32`, on all threads.
    pub fn new(checkpoint: &Checkpoint) -> Builder {
        Builder {
            checkpoint: checkpoint.clone(),
            options: NativeOptions::default(),
            settings: IndexSettings::default(),
            layout: Layout::default(),
            listener: None,
            replace: false,
            metadata: None,
        }
    }

    /// Takes what is known of the passages, for [`Searcher::among_where`](crate::Searcher::among_where), from a file: JSON
    /// lines, one for each passage, with its id as `_id` (its number from 0 where passages have none) and other fields.
    /// Otherwise it is what stands beside the text in BEIR's `corpus.jsonl`.
    #[must_use]
    pub fn metadata(mut self, file: impl Into<PathBuf>) -> Builder {
        self.metadata = Some(file.into());
        self
    }

    /// Bits per dimension of a residual: 1, 2, 4 or 8.
    #[must_use]
    pub fn nbits(mut self, nbits: usize) -> Builder {
        self.settings.nbits = Some(nbits);
        self
    }

    /// The most tokens of a passage.
    #[must_use]
    pub fn doc_maxlen(mut self, tokens: usize) -> Builder {
        self.settings.doc_maxlen = Some(tokens);
        self
    }

    /// Iterations of k-means.
    #[must_use]
    pub fn kmeans_niters(mut self, iterations: usize) -> Builder {
        self.settings.kmeans_niters = Some(iterations);
        self
    }

    /// The seed of the sample that centroids are trained on.
    #[must_use]
    pub fn seed(mut self, seed: u32) -> Builder {
        self.settings.seed = seed;
        self
    }

    /// The precision of the encoder. Searches of the index encode their queries in the same, and in `f32` those of
    /// an index in `f64`.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Builder {
        self.options.precision = precision;
        self
    }

    /// Passages in a batch; the bits do not depend on it.
    #[must_use]
    pub fn batch(mut self, passages: NonZeroUsize) -> Builder {
        self.options.batch = Some(passages);
        self
    }

    /// How many threads to use; the bits do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Builder {
        self.options.compute = self.options.compute.with_threads(Some(threads));
        self
    }

    /// Puts the index in the place of one that Concord built, where one is there that is another or is damaged. A
    /// searcher that is opened meanwhile has the old one or the new one, never a mixture, and one that is open keeps
    /// what it has. On systems that cannot exchange two folders in one step, there is a moment with neither.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Builder {
        self.replace = replace;
        self
    }

    /// Writes where checkpoint and collection lie into the index, so that colbert-ai finds them by itself. The index
    /// then depends on these paths.
    #[must_use]
    pub fn absolute_paths(mut self) -> Builder {
        self.layout.absolute_paths = true;
        self
    }

    /// Tells `listener` how far a build has come, from whatever thread gets there.
    #[must_use]
    pub fn on_progress(mut self, listener: impl Fn(Step<'_>) + Send + Sync + 'static) -> Builder {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Builds the index of a collection in `out`, which appears when it is whole.
    ///
    /// `collection` is ColBERT's TSV (pid, tab, text) or BEIR's `corpus.jsonl`. A build that was broken off goes on
    /// where it was. An index that is already there is left as it is, unless it is to be [replaced](Builder::replace).
    ///
    /// # Errors
    /// [`Error::Collection`], also of a file with metadata; [`Error::Settings`]; [`Error::Build`] when `out` holds something else, another
    /// process builds there, or something cannot be computed or written.
    pub fn build(
        &self,
        collection: impl AsRef<Path>,
        out: impl AsRef<Path>,
    ) -> Result<Built, Error> {
        let path = collection.as_ref();
        let origin = Origin::of(self.checkpoint.name(), path);
        self.build_from(Collection::open(path)?, origin, out.as_ref())
    }

    /// Builds the index of passages in memory, whose ids are their places from 0. A searcher of such an index has no
    /// texts to show.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn build_passages<S: AsRef<str>>(
        &self,
        passages: impl IntoIterator<Item = S>,
        out: impl AsRef<Path>,
    ) -> Result<Built, Error> {
        let origin = Origin {
            checkpoint: self.checkpoint.name().to_owned(),
            collection: String::new(),
        };
        self.build_from(Collection::from_passages(passages), origin, out.as_ref())
    }

    fn build_from(
        &self,
        collection: Collection,
        origin: Origin,
        out: &Path,
    ) -> Result<Built, Error> {
        let collection = match &self.metadata {
            Some(file) => {
                let metadata = Metadata::open(file, &collection, collection.len())?;
                collection.with_metadata(metadata)
            }
            None => collection,
        };
        let native = Native::new(
            Arc::clone(self.checkpoint.loaded()),
            Arc::new(collection),
            self.options.clone(),
            self.settings.clone(),
        )?;
        let progress = Heard(self.listener.clone());
        let output = Output {
            path: out,
            replace: self.replace,
        };
        let report = build(&native, self.layout, &origin, output, &progress)?;
        Ok(Built::of(report))
    }
}

impl Built {
    pub(crate) fn of(report: BuildReport) -> Built {
        let size = report.size();
        Built {
            passages: size.passages,
            embeddings: size.embeddings,
            centroids: size.centroids,
            bytes: size.bytes,
            already_there: report.already_there,
            notices: report.notices,
        }
    }
}
