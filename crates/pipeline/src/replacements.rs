//! What modules give on instead of what they computed.

use concord_tensor::{BitHash, FileError, Tensor, TensorError};

use crate::pattern::ModulePattern;
use crate::store_error::StoreError;

/// What stands in the place of what modules compute. A tap is taken before its module is given another
/// output, so it is what the module made of inputs that may have been replaced.
pub trait Replacements: Send + Sync {
    /// The rows `(tokens, width)` that the passage `pid` has at the module at `path` from here on; `None`
    /// leaves what was computed.
    ///
    /// # Errors
    /// When there are such rows and they cannot be had.
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError>;

    /// Whether [`rows`](Replacements::rows) has some or fails, so that nobody is given what the module computes of
    /// this passage. `false` where that is not known.
    fn has(&self, _path: &str, _pid: usize) -> bool {
        false
    }
}

/// Why modules cannot be given what a run computed.
#[derive(Debug, thiserror::Error)]
pub enum ForcingError {
    /// The run has no values to give.
    #[error(
        "the run of `{0}` kept no values of taps, so no module can be given what it computed there: record \
         it with --taps '*' --keep taps"
    )]
    NoValues(String),
    /// A pattern at none of the modules whose values the run kept.
    #[error("the run of `{subject}` kept no values of taps at `{pattern}`")]
    NothingAt {
        /// The subject of the run.
        subject: String,
        pattern: ModulePattern,
    },
    #[error(transparent)]
    Blob(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob that was recorded is not there.
    #[error("the run no longer has the tensor {0}; was it changed meanwhile?")]
    Gone(BitHash),
    /// A blob does not hold what was recorded.
    #[error(
        "{blob} is damaged: the rows of passage {pid} at `{path}` are not those that were recorded"
    )]
    Damaged {
        path: String,
        pid: usize,
        blob: String,
    },
    /// Rows that do not go where they should.
    #[error(
        "passage {pid} has {tokens} rows of {width} values at `{path}`, and would be given rows of the shape \
         {found:?}: the two runs differ in their tokens or in the modules before it"
    )]
    Shape {
        path: String,
        pid: usize,
        /// Its rows there.
        tokens: usize,
        /// The values of a row.
        width: usize,
        /// The shape of the replacement.
        found: Vec<usize>,
    },
    #[error("the replacement of passage {pid} at `{path}`: {source}")]
    Tensor {
        path: String,
        pid: usize,
        source: TensorError,
    },
}
