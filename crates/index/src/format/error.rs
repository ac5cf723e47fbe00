//! Why an index cannot be read.

use std::io;
use std::path::PathBuf;

use concord_tensor::FileError;

use super::finding::Finding;
use super::manifest::ManifestError;
use super::names::METADATA_FILE;
use crate::passages::PassageDbError;

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("{path} holds no ColBERT index: it has no {METADATA_FILE}", path = .0.display())]
    NotAnIndex(PathBuf),
    #[error("the index in {path} has no {file}: it is incomplete, build it again", path = path.display())]
    Missing { path: PathBuf, file: String },
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The table of the passages is none.
    #[error(transparent)]
    Passages(#[from] PassageDbError),
    /// A file is not as the manifest says.
    #[error("the index in {path} is damaged: {finding}; build it again, or restore the file", path = path.display())]
    Damaged {
        path: PathBuf,
        /// The file, and what is wrong with it.
        finding: Finding,
    },
    /// A JSON file is not JSON, or not what it should be.
    #[error("{path}: {source}", path = path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// A setting that search needs is missing or not what it should be.
    #[error("{path}: `{key}` is {found}", path = path.display())]
    Setting {
        path: PathBuf,
        key: String,
        found: String,
    },
    /// A tensor has another shape or dtype than the rest of the index.
    #[error("{path}: {what}", path = path.display())]
    Shape { path: PathBuf, what: String },
    /// A number that everything is computed with is infinite or NaN.
    #[error(
        "{path}: `{tensor}` is {value} at {at:?}: what is computed with it means nothing; build the index \
         again from a checkpoint whose weights are finite",
        path = path.display()
    )]
    NotFinite {
        path: PathBuf,
        /// The artifact.
        tensor: String,
        value: f32,
        /// Its index in each dimension.
        at: Vec<usize>,
    },
}
