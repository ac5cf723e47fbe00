//! What stands in the way of a comparison.

use concord_tensor::FileError;

use crate::elements::ElementsError;
use crate::side::{SideError, SideKind};

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One is a file and the other a folder.
    #[error(
        "a single file can only be compared with another: {file} is one, {folder} is not ({kind}); name a \
         file inside it instead"
    )]
    FileWithFolder {
        file: String,
        folder: String,
        kind: SideKind,
    },
    /// A side cannot be read, or contradicts itself.
    #[error(transparent)]
    Side(#[from] SideError),
    /// A file cannot be read, or repeats what is in it too often to be compared.
    #[error(transparent)]
    File(#[from] FileError),
    /// The elements of an artifact cannot be read.
    #[error("comparing `{name}`: {source}")]
    Elements { name: String, source: ElementsError },
}
