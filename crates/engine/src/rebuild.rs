//! Building an index again to see whether it comes out the same.

use std::path::PathBuf;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_index::format::{IndexManifest, PASSAGES_FILE};
use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::{Compute, ComputeError, ComputeOptions};
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::{DiskStore, EvaluateError, Progress, Scratch, StoreError};
use serde::Serialize;
use serde_json::Value as Json;

use crate::buildable::Buildable;
use crate::embeddings::{
    EmbeddingFiles, EmbeddingsError, GivenError, GivenIndex, GivenPassages, GivenSettings,
    OtherEmbeddings,
};
use crate::native::{Native, NativeError};
use crate::options::{NativeOptions, OptionError};
use crate::recorded::{
    IDS_INPUT, METADATA_INPUT, RecordedError, is_changed, is_of_embeddings, recorded_options,
    recorded_partitions,
};
use crate::settings::IndexSettings;

/// What came of building an index again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// How many artifacts were compared.
    pub compared: usize,
    /// Those that came out with another hash, or not at all, in the order of the graph.
    pub differing: Vec<String>,
    /// Whether the codec was taken as it is, instead of trained again.
    pub codec_kept: bool,
}

/// Why an index cannot be built again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The index was built under another numeric contract.
    #[error(
        "the index was built under numeric contract {0}, and this program computes under {CONTRACT_VERSION}: \
         use the version of Concord that built it"
    )]
    Contract(u32),
    /// An input is not what the index was built from.
    #[error("the {0} is not the one that the index was built from")]
    OtherInput(String),
    /// Embeddings that are not those of the index.
    #[error(
        "these are not the embeddings that the index was built from: of the passages {first} to {last} some are others \
         or have another length, and those lie in {files}",
        first = .0.passages.start,
        last = .0.passages.end.saturating_sub(1),
        files = names(&.0.files)
    )]
    OtherEmbeddings(OtherEmbeddings),
    /// The index was built with artifacts from elsewhere.
    #[error("the index was built with artifacts swapped in, which cannot be computed again")]
    Swapped,
    /// The index was changed after it was built: [`rebuild_changed`](crate::change::rebuild_changed) is for those.
    #[error(
        "the index is made of passages that were added, deleted or merged under the codec of an earlier one, so it is \
         not what is built of a collection"
    )]
    Changed,
    /// A collection, for an index that was built from none.
    #[error(
        "the index was built from embeddings, so it is built again from those, and not from a collection"
    )]
    FromEmbeddings,
    #[error(
        "the index was built from texts, so it is built again from those, and not from embeddings"
    )]
    FromTexts,
    #[error(transparent)]
    Embeddings(#[from] EmbeddingsError),
    #[error(transparent)]
    Given(#[from] GivenError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// An option of the manifest cannot be used.
    #[error("the manifest's option `{0}` is missing, or not a value that this program knows")]
    Option(String),
    /// An option of the manifest does not exist.
    #[error(transparent)]
    Arithmetic(#[from] OptionError),
    #[error(transparent)]
    Native(#[from] NativeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot make a working folder: {0}")]
    Scratch(#[from] std::io::Error),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

fn names(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(", ")
}

impl From<RecordedError> for RebuildError {
    fn from(error: RecordedError) -> RebuildError {
        match error {
            RecordedError::Unknown(option) => RebuildError::Option(option),
            RecordedError::Option(error) => RebuildError::Arithmetic(error),
        }
    }
}

/// Computes everything that `manifest` records again, with nothing remembered, and compares the hashes.
/// `compute` says with which batch size, threads and instruction set; they must not matter.
///
/// # Errors
/// When the inputs are not those of the index, or something cannot be computed.
pub fn rebuild(
    manifest: &IndexManifest,
    checkpoint: Arc<Checkpoint>,
    collection: Collection,
    compute: NativeOptions,
    progress: &dyn Progress,
) -> Result<RebuildReport, RebuildError> {
    check_can_be_rebuilt(manifest)?;
    if is_of_embeddings(manifest) {
        return Err(RebuildError::FromEmbeddings);
    }
    if manifest
        .inputs
        .keys()
        .any(|input| input.starts_with("swap "))
    {
        return Err(RebuildError::Swapped);
    }
    let settings = IndexSettings {
        nbits: Some(number(manifest, "nbits")?),
        doc_maxlen: Some(number(manifest, "doc_maxlen")?),
        kmeans_niters: Some(number(manifest, "kmeans_niters")?),
        partitions: recorded_partitions(manifest)?,
        seed: number(manifest, "seed")?,
        swaps: Vec::new(),
    };
    let recorded = recorded_options(manifest)?;
    let arithmetic = NativeOptions {
        batch: recorded.batch.or(compute.batch),
        compute: compute.compute,
        ..recorded
    };
    let native = Native::new(checkpoint, Arc::new(collection), arithmetic, settings)?;
    again(manifest, &native, progress)
}

/// [`rebuild`] of an index of given embeddings, from the files with them.
///
/// # Errors
/// When the index was not built from embeddings, or these are not its own, or something cannot be computed.
pub fn rebuild_of_embeddings(
    manifest: &IndexManifest,
    files: &EmbeddingFiles,
    compute: &ComputeOptions,
    progress: &dyn Progress,
) -> Result<RebuildReport, RebuildError> {
    check_can_be_rebuilt(manifest)?;
    if !is_of_embeddings(manifest) {
        return Err(RebuildError::FromTexts);
    }
    let settings = GivenSettings {
        nbits: Some(number(manifest, "nbits")?),
        kmeans_niters: Some(number(manifest, "kmeans_niters")?),
        partitions: recorded_partitions(manifest)?,
        seed: number(manifest, "seed")?,
    };
    let compute = Compute::new(compute)?;
    let passages = GivenPassages::open(files)?;
    let given = GivenIndex::new(passages, settings, compute, progress)?;
    if let Some(other) = given.first_difference(manifest) {
        return Err(RebuildError::OtherEmbeddings(other));
    }
    again(manifest, &given, progress)
}

fn check_can_be_rebuilt(manifest: &IndexManifest) -> Result<(), RebuildError> {
    if manifest.contract != CONTRACT_VERSION {
        return Err(RebuildError::Contract(manifest.contract));
    }
    if is_changed(manifest) {
        return Err(RebuildError::Changed);
    }
    Ok(())
}

/// Computes everything that is recorded again, of what should be the same inputs.
fn again(
    manifest: &IndexManifest,
    what: &impl Buildable,
    progress: &dyn Progress,
) -> Result<RebuildReport, RebuildError> {
    let mut inputs = what.inputs();
    // Of indexes from before there was a table of passages, the manifest says nothing of ids.
    if manifest.files.iter().all(|file| file.name != PASSAGES_FILE) {
        inputs.remove(IDS_INPUT);
    }
    // No artifact is made from metadata, which may come from another file than the passages.
    inputs.remove(METADATA_INPUT);
    let recorded = manifest.inputs.keys();
    let recorded = recorded.filter(|name| *name != METADATA_INPUT);
    let mut names = inputs.keys().chain(recorded);
    if let Some(name) = names.find(|name| manifest.inputs.get(*name) != inputs.get(*name)) {
        return Err(RebuildError::OtherInput(name.clone()));
    }
    let scratch = Scratch::new()?;
    let store = DiskStore::scratch(scratch.path())?;
    let again = what.evaluate(&store, None, progress, |evaluator| {
        evaluator.known_artifacts()
    })?;
    let differing = manifest
        .artifacts
        .iter()
        .filter(|recorded| {
            !again
                .iter()
                .any(|a| a.name == recorded.name && a.hash == recorded.hash)
        })
        .map(|recorded| recorded.name.clone())
        .collect();
    Ok(RebuildReport {
        compared: manifest.artifacts.len(),
        differing,
        codec_kept: false,
    })
}

/// An option of the manifest that is a whole number within the range of its kind.
fn number<T: TryFrom<u64>>(manifest: &IndexManifest, name: &str) -> Result<T, RebuildError> {
    let value = manifest.options.get(name).and_then(Json::as_u64);
    let value = value.and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| RebuildError::Option(name.to_owned()))
}
