//! Why a side cannot be opened or read.

use std::io;
use std::path::PathBuf;

use concord_engine::index_settings::SettingsError;
use concord_index::format::{IndexError, ManifestError};
use concord_index::verify::VerifyError;
use concord_pipeline::RunError;
use concord_tensor::FileError;

/// The kinds of side, for messages about what is none of them.
const KINDS: &str = "a side is a recorded run (a folder with manifest.json and events.jsonl), a ColBERT \
                     index (a folder with metadata.json), a tensor file (.pt, .pth, .bin, .ckpt, .safetensors, \
                     .npy, .npz, .index.json), or a .json file with a list of integers";

/// Why something cannot be one side of a comparison.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    #[error("{path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// The folder is neither a run nor an index.
    #[error("{path} is neither a recorded run nor an index; {KINDS}", path = .0.display())]
    UnknownFolder(PathBuf),
    /// The file's ending is that of no kind.
    #[error("cannot tell from its name what {path} is; {KINDS}", path = .0.display())]
    UnknownFile(PathBuf),
    /// The path or a JSON file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A `.json` file holds something else than a list of integers.
    #[error("{path} is not a list of integers such as doclens.0.json: {source}", path = path.display())]
    NotAList {
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A file has no tensors in it.
    #[error("{path} holds no tensors", path = .0.display())]
    NoTensors(PathBuf),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Index(IndexError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    File(#[from] FileError),
    /// The chunks of an artifact do not make one tensor.
    #[error(
        "{path}: chunk {chunk} of `{artifact}`{field} does not continue the chunks before it: {what}",
        path = path.display(), field = in_field(field)
    )]
    Ragged {
        path: PathBuf,
        artifact: String,
        /// Its field; empty where it has only one.
        field: String,
        /// The chunk, from 0.
        chunk: usize,
        what: String,
    },
    /// A file of an index holds another tensor than its manifest says.
    #[error(
        "{path}: the files of `{artifact}` have shape {found:?}, and concord.json says {recorded:?}; \
         `concord verify` tells which file was altered",
        path = path.display()
    )]
    NotAsRecorded {
        path: PathBuf,
        artifact: String,
        /// The shape by the manifest.
        recorded: Vec<usize>,
        /// The shape of what is in the files.
        found: Vec<usize>,
    },
    /// The lengths of the inverted lists are impossible.
    #[error("{path}: the lengths of the inverted lists {what}", path = path.display())]
    InvertedLists { path: PathBuf, what: String },
}

/// A field in a message; nothing for the only field of an artifact.
fn in_field(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!(", field `{field}`,")
    }
}

impl From<IndexError> for SideError {
    fn from(error: IndexError) -> SideError {
        match error {
            IndexError::Manifest(error) => SideError::Manifest(error),
            error => SideError::Index(error),
        }
    }
}
