//! Why stored values cannot be had.

use std::io;
use std::path::PathBuf;

use concord_tensor::{BitHash, FileError};

use crate::publish::PublishError;

/// Why the store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Blob(#[from] FileError),
    /// Something that is there could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A value is not what was stored under its hash.
    #[error(
        "{path} is damaged: it does not hold the tensor {recorded} that was stored there; record or copy it anew",
        path = path.display()
    )]
    Damaged {
        path: PathBuf,
        /// The hash of what was stored.
        recorded: BitHash,
    },
}
