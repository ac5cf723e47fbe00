//! The native engine over the golden checkpoint, and what is asked of it.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use concord_corpus::Collection;
use concord_engine::build::{BuildReport, Layout, build};
use concord_engine::native::{Native, NativeError};
use concord_engine::options::NativeOptions;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_engine::swap::Swap;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_pipeline::{EvaluateError, Evaluator, MemoryStore, NoProgress, Progress, Store};
use concord_tensor::Tensor;

use crate::golden::input;

/// The golden checkpoint.
pub fn checkpoint() -> Checkpoint {
    let folder = input("checkpoint");
    // A folder is read without looking at the hub.
    Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

/// The golden collection.
pub fn collection() -> Collection {
    Collection::open(input("collection.tsv")).unwrap()
}

/// The options of a native subject: `native`, options after commas.
pub fn options(native: &str) -> NativeOptions {
    let mut parts = native.split(',');
    assert_eq!(parts.next(), Some("native"));
    NativeOptions::parse(parts).unwrap()
}

/// The engine that `word` names over the golden collection.
pub fn engine(word: &str, settings: IndexSettings) -> Result<Native, NativeError> {
    engine_over(collection(), word, settings)
}

/// The engine that `word` names over a collection.
pub fn engine_over(
    collection: Collection,
    word: &str,
    settings: IndexSettings,
) -> Result<Native, NativeError> {
    let (checkpoint, collection) = (Arc::new(checkpoint()), Arc::new(collection));
    Native::new(checkpoint, collection, options(word), settings)
}

/// The swap of an artifact for what a file, an index or a run holds.
pub fn swap(artifact: &str, path: &Path) -> Swap {
    Swap::read(&format!("{artifact}={}", path.display())).unwrap()
}

/// Builds the index of `native` at `out`.
pub fn built(native: &Native, layout: Layout, out: &Path) -> BuildReport {
    build(native, layout, &Origin::default(), out, &NoProgress).unwrap()
}

/// Evaluates the graph in memory and asks for more.
pub fn evaluated<T: Send>(
    native: &Native,
    ask: impl FnOnce(&Evaluator<'_>) -> Result<T, EvaluateError> + Send,
) -> T {
    let store = MemoryStore::new();
    native.evaluate(&store, None, &NoProgress, ask).unwrap()
}

/// Evaluates the graph, remembering in `store`, and returns what was done.
pub fn work(native: &Native, store: &dyn Store) -> Work {
    let work = Work::default();
    native
        .evaluate(store, None, &work, |_| Ok::<_, EvaluateError>(()))
        .unwrap();
    work
}

/// The tensor of the only chunk of an artifact, or of one of its fields.
pub fn tensor(
    evaluator: &Evaluator<'_>,
    artifact: &str,
    field: &str,
) -> Result<Tensor, EvaluateError> {
    assert_eq!(evaluator.chunks(artifact)?, 1);
    let value = evaluator.load(artifact, 0)?;
    Ok(value.field(field).unwrap().clone())
}

/// How many chunks were computed, and how many were found finished.
#[derive(Debug, Default)]
pub struct Work {
    computed: AtomicUsize,
    reused: AtomicUsize,
}

impl Work {
    /// Chunks that were computed.
    pub fn computed(&self) -> usize {
        self.computed.load(Ordering::Relaxed)
    }

    /// Chunks that were found finished.
    pub fn reused(&self) -> usize {
        self.reused.load(Ordering::Relaxed)
    }
}

impl Progress for Work {
    fn advanced(&self, _: &str, _: u64, _: u64, _: &str) {}

    fn reused(&self, _: &str, _: usize) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    fn computed(&self, _: &str, _: usize) {
        self.computed.fetch_add(1, Ordering::Relaxed);
    }
}
