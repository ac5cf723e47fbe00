//! What can go wrong.

use concord_corpus::CorpusError;
use concord_engine::build::BuildError;
use concord_engine::chosen::ChooseError;
use concord_engine::compare::CompareError;
use concord_engine::embeddings::{EmbeddingsError, GivenError};
use concord_engine::native::NativeError;
use concord_engine::open::{OpenError, SearchError};
use concord_engine::rebuild::RebuildError;
use concord_index::filter::FilterError;
use concord_index::format::ManifestError;
use concord_index::verify::VerifyError;
use concord_model::checkpoint::CheckpointError;
use concord_model::query::QueryError;

/// Why something could not be done. The text says what was wrong and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint cannot be found, fetched or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A collection cannot be read: with file and line.
    #[error(transparent)]
    Collection(#[from] CorpusError),
    /// The settings do not go together, or not with the checkpoint.
    #[error(transparent)]
    Settings(Box<NativeError>),
    /// An index cannot be built where it should be.
    #[error(transparent)]
    Build(Box<BuildError>),
    /// An index is damaged, or does not belong to what it would be searched with.
    #[error(transparent)]
    Open(Box<OpenError>),
    /// A query cannot be encoded.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A query is no embeddings that this index can be searched for, or a text for which it has no encoder.
    #[error(transparent)]
    Search(SearchError),
    /// Embeddings cannot be read, or cannot be indexed.
    #[error(transparent)]
    Embeddings(#[from] EmbeddingsError),
    /// The settings do not go with the width of the embeddings.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// A search among passages, of which the index has one of this id not.
    #[error("the index has no passage of the id {0:?}")]
    UnknownId(String),
    /// Conditions that cannot be read, or that ask for what no passage of the index has.
    #[error(transparent)]
    Filter(FilterError),
    /// There is nothing to check an index against.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// What an index says of itself cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An index cannot be computed again.
    #[error(transparent)]
    Rebuild(Box<RebuildError>),
    /// Two indexes cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

/// Errors that are large are boxed, so that results stay small.
macro_rules! boxed {
    ($($variant:ident($error:ty)),+ $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::$variant(Box::new(error))
            }
        })+
    };
}

boxed!(
    Settings(NativeError),
    Build(BuildError),
    Open(OpenError),
    Rebuild(RebuildError),
);

impl From<ChooseError> for Error {
    fn from(error: ChooseError) -> Error {
        match error {
            ChooseError::Filter(error) => Error::Filter(error),
            ChooseError::Index(error) => OpenError::Index(error).into(),
        }
    }
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Error {
        match error {
            SearchError::Query(error) => error.into(),
            SearchError::Index(error) => OpenError::Index(error).into(),
            error => Error::Search(error),
        }
    }
}
