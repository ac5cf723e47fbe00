//! A single file: of tensors, or a JSON list of integers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use concord_tensor::{Container, Contents, FileProblem, StoredTensor, Tensor, npy, open_contents};

use super::error::SideError;

/// What a file holds.
pub(crate) struct TensorFile {
    holding: FileHolding,
    bytes: u64,
}

/// What can be in a file.
pub(crate) enum FileHolding {
    Contents(Contents),
    /// The integers of a JSON list.
    List(StoredTensor),
}

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<TensorFile, SideError> {
        let unreadable = |source| SideError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let bytes = path.metadata().map_err(unreadable)?.len();
        let is_json = path.extension().and_then(OsStr::to_str) == Some("json");
        let holding = match open_contents(path) {
            Ok(Contents::Named(named)) if named.tensors.is_empty() && named.unread.is_empty() => {
                return Err(SideError::NoTensors(path.to_owned()));
            }
            Ok(contents) => FileHolding::Contents(contents),
            Err(error) => match error.problem {
                FileProblem::UnknownExtension if is_json => FileHolding::List(read_list(path)?),
                FileProblem::UnknownExtension => {
                    return Err(SideError::UnknownFile(path.to_owned()));
                }
                _ => return Err(SideError::File(error)),
            },
        };
        Ok(TensorFile { holding, bytes })
    }

    pub(crate) fn holding(&self) -> &FileHolding {
        &self.holding
    }

    /// The file's length.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn read_list(path: &Path) -> Result<StoredTensor, SideError> {
    let file = File::open(path).map_err(|source| SideError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let numbers: Vec<i64> =
        serde_json::from_reader(BufReader::new(file)).map_err(|source| SideError::NotAList {
            path: path.to_owned(),
            source,
        })?;
    let mut array = Vec::new();
    npy::write_to(&mut array, path, &Tensor::vector(numbers))?;
    Ok(npy::open_container(Container::from_bytes(path, array))?.into())
}
