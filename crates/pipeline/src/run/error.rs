//! Why a run cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::MANIFEST_VERSION;
use crate::publish::{PublishError, StagingError};
use crate::store_error::StoreError;

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{path} exists: choose another --out, or remove it", path = .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A file of the run is not as it was written, or never was of a run.
    #[error("{path} is damaged: {what}; record the run again, or copy it anew", path = path.display())]
    Damaged { path: PathBuf, what: String },
    /// A line or file is not what a run has there.
    #[error("{path}, line {line}: {source}", path = path.display())]
    Malformed {
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The folder holds something else, or a run of another version.
    #[error(
        "{path} is a manifest of {found}, version {version}; this program reads those of a run, \
         version {MANIFEST_VERSION}: record the run again, or use the version of Concord that recorded \
         it",
        path = path.display()
    )]
    NotARun {
        path: PathBuf,
        /// The kind it says it is.
        found: String,
        /// The version it says it has.
        version: u32,
    },
}

/// Turns an I/O error into a [`RunError`] about `path`.
pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> RunError + '_ {
    move |source| RunError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
