//! Why an index cannot be changed.

use std::io;
use std::path::PathBuf;

use concord_corpus::CorpusError;
use concord_index::format::{AssembleError, Finding, IndexError, WriteError};
use concord_index::passages::{IdError, PassageDbError};
use concord_kernels::CONTRACT_VERSION;
use concord_model::checkpoint::CheckpointError;
use concord_model::config::ConfigError;
use concord_pipeline::publish::PublishError;
use concord_pipeline::{EvaluateError, StagingError, StoreError};
use concord_tensor::{FileError, TensorError};

use crate::build::BuildError;
use crate::embeddings::GivenError;
use crate::finite::NotFinite;
use crate::native::NativeError;
use crate::occupant::OccupiedError;
use crate::recorded::RecordedError;
use crate::swap::SwapError;

/// Why an index cannot be changed. The index is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another process changes the index, or reads it to merge it.
    #[error("another process is changing or merging {path}: wait for it", path = .0.display())]
    Busy(PathBuf),
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} was not built by Concord, and only indexes of Concord are changed", path = .0.display())]
    NoManifest(PathBuf),
    #[error(
        "{path} was built under numeric contract {contract}, and this program computes under {CONTRACT_VERSION}: \
         build it again, or use the version of Concord that built it",
        path = path.display()
    )]
    Contract { path: PathBuf, contract: u32 },
    #[error("{path} is damaged: {finding}", path = path.display())]
    Damaged { path: PathBuf, finding: Finding },
    /// An index from before there was a table of passages, whose collection is not there to make one of.
    #[error(
        "{path} was built before ids were kept in an index, and its collection is needed to know them: {reason}",
        path = path.display()
    )]
    NoIds { path: PathBuf, reason: String },
    #[error("{path} has a table of {found} passages, and its files have {passages}", path = path.display())]
    OtherPassages {
        path: PathBuf,
        found: usize,
        passages: usize,
    },
    #[error("the index was built from embeddings, so embeddings can be added to it, and no texts")]
    OfEmbeddings,
    #[error("the index was built from texts, so texts can be added to it, and no embeddings")]
    OfTexts,
    #[error("the embeddings are {found} wide, and those of the index {index}")]
    Width { found: usize, index: usize },
    #[error(transparent)]
    Given(#[from] GivenError),
    #[error("the checkpoint {0} is not the one that the index was built with")]
    OtherCheckpoint(String),
    #[error("the index does not name its checkpoint, so it has to be named: give --checkpoint")]
    NoCheckpoint,
    #[error("the checkpoint of the index: {0}; give --checkpoint if it lies elsewhere")]
    Checkpoint(#[source] CheckpointError),
    #[error(
        "the index was built with a variant whose bits depend on which passages share a batch, so nothing can be added \
         to it: build it again with all passages"
    )]
    BatchVariant,
    #[error("{b} cannot be merged with {a}: they differ in {what}", a = a.display(), b = b.display())]
    NotAlike {
        a: PathBuf,
        b: PathBuf,
        what: String,
    },
    #[error("a merge is of two indexes at least")]
    OneIndex,
    #[error("{path} is given twice", path = .0.display())]
    Twice(PathBuf),
    #[error("{path} is there already: choose another --out", path = .0.display())]
    OutThere(PathBuf),
    #[error("no passage would be left: an index has one at least")]
    NothingLeft,
    #[error(
        "the text of passage `{id}` is not among those that were given: an index keeps no texts, so give all files that \
         its passages are from, as they were then"
    )]
    NoText { id: String },
    #[error(
        "passage `{id}` is not among those that were given: an index keeps no embeddings, so give all files that its \
         passages are from, with their ids"
    )]
    NoEmbeddings { id: String },
    #[error(
        "passage `{id}` has {expected} embeddings in the index, and {found} where it was given"
    )]
    OtherLength {
        id: String,
        found: usize,
        expected: i64,
    },
    #[error("cannot make a working folder: {0}")]
    Scratch(#[source] io::Error),
    #[error(transparent)]
    Build(Box<BuildError>),
    #[error("nothing to delete is named")]
    NothingNamed,
    #[error("{path}: {source}", path = path.display())]
    MergedIds { path: PathBuf, source: IdError },
    #[error(transparent)]
    Ids(#[from] IdError),
    #[error(transparent)]
    Collection(#[from] CorpusError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Passages(#[from] PassageDbError),
    #[error(transparent)]
    Recorded(#[from] RecordedError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Swap(#[from] SwapError),
    #[error(transparent)]
    Native(#[from] NativeError),
    #[error(transparent)]
    Occupied(#[from] OccupiedError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
}

impl From<BuildError> for ChangeError {
    fn from(error: BuildError) -> ChangeError {
        match error {
            BuildError::NotFinite(found) => ChangeError::NotFinite(found),
            error => ChangeError::Build(Box::new(error)),
        }
    }
}
