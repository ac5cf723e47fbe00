//! What can be wrong with a checkpoint in several files.

/// Why a checkpoint in several files could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardsProblem {
    #[error("this is no index of a checkpoint's files, which has a \"weight_map\": {reason}")]
    NotAnIndex { reason: String },
    #[error("the index has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        limit: u64,
    },
    /// A tensor is said to be in something else than a file beside the index.
    #[error(
        "tensor {tensor:?} is said to be in {file:?}, which is no name of a tensor file beside the index"
    )]
    NotBeside { tensor: String, file: String },
    /// A file does not hold the tensors that the index says.
    #[error(
        "{file:?} and the index do not agree on tensor {tensor:?}, which only one of the two has: fetch the \
         checkpoint again"
    )]
    Disagree { file: String, tensor: String },
}
