//! A single file: of tensors, or a JSON list of integers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use concord_tensor::{FileProblem, Tensor, TensorSource, open_tensors};

use super::artifact::Artifact;
use super::error::SideError;
use super::form::Form;
use super::part::Part;

/// What the only tensor of a file is called, which has no name there.
const UNNAMED: &str = "tensor";

/// The tensors of a file, by name, in the order of the file.
pub(crate) struct TensorFile {
    tensors: Vec<(String, Content)>,
}

enum Content {
    Lazy(TensorSource),
    Whole(Tensor),
}

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<TensorFile, SideError> {
        let tensors = if path.extension().and_then(OsStr::to_str) == Some("json") {
            vec![(UNNAMED.to_owned(), Content::Whole(read_list(path)?))]
        } else {
            let named = |(name, source): (String, TensorSource)| {
                let name = if name.is_empty() {
                    UNNAMED.to_owned()
                } else {
                    name
                };
                (name, Content::Lazy(source))
            };
            let opened = open_tensors(path).map_err(|error| match error.problem {
                FileProblem::UnknownExtension => SideError::UnknownFile(path.to_owned()),
                _ => SideError::File(error),
            })?;
            opened.into_iter().map(named).collect()
        };
        if tensors.is_empty() {
            return Err(SideError::NoTensors(path.to_owned()));
        }
        Ok(TensorFile { tensors })
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn artifact(&self, name: &str) -> Option<Artifact<'_>> {
        let (_, content) = self.tensors.iter().find(|(known, _)| known == name)?;
        let (dtype, shape, part) = match content {
            Content::Whole(tensor) => (
                tensor.dtype(),
                tensor.shape().to_vec(),
                Part::Memory(tensor.clone()),
            ),
            Content::Lazy(source) => {
                let (source, len) = (source.clone(), source.len());
                let (dtype, shape) = (source.dtype(), source.shape().to_vec());
                (dtype, shape, Part::File { source, len })
            }
        };
        Some(Artifact::of_values(Form { dtype, shape }, vec![part]))
    }
}

fn read_list(path: &Path) -> Result<Tensor, SideError> {
    let file = File::open(path).map_err(|source| SideError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let numbers: Vec<i64> =
        serde_json::from_reader(BufReader::new(file)).map_err(|source| SideError::NotAList {
            path: path.to_owned(),
            source,
        })?;
    Ok(Tensor::vector(numbers))
}
