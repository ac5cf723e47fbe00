//! Why an artifact could not be had.

use concord_tensor::BitHash;

use crate::read_error::ReadError;
use crate::stage_error::StageError;
use crate::store_error::StoreError;

/// Why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error("stage `{stage}`, chunk {chunk}: {source}")]
    Stage {
        stage: String,
        /// The chunk it was making.
        chunk: usize,
        source: StageError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing makes an artifact of this name.
    #[error("no stage and no source makes an artifact `{0}`")]
    UnknownArtifact(String),
    /// A stage returned another number of values than it declares outputs.
    #[error("stage `{stage}` declares {declared} outputs and returned {returned}")]
    WrongOutputs {
        stage: String,
        /// How many outputs it declares.
        declared: usize,
        /// How many values it returned.
        returned: usize,
    },
    /// A stage, run again on the same inputs, made something else.
    #[error(transparent)]
    NotReproducible(Box<NotReproducible>),
    /// A stage has a setting that its declaration does not name.
    #[error("stage `{stage}` has a setting `{setting}`, which it does not declare")]
    UndeclaredSetting {
        stage: &'static str,
        /// The name that it does not declare.
        setting: &'static str,
    },
    /// An artifact is not what a stage takes it for.
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("recording chunk {chunk} of `{artifact}`: {source}")]
    Observer {
        artifact: String,
        chunk: usize,
        source: StageError,
    },
}

/// A stage that is not pure: run again on the same inputs, it made something else.
#[derive(Debug, thiserror::Error)]
#[error(
    "stage `{stage}` is not reproducible: chunk {chunk} of `{artifact}` was {before} and is {now} when \
     computed again from the same inputs"
)]
pub struct NotReproducible {
    pub stage: String,
    pub artifact: String,
    pub chunk: usize,
    /// The hash remembered.
    pub before: BitHash,
    /// The hash of the new value.
    pub now: BitHash,
}
