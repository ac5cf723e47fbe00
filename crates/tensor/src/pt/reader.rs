//! Reading files of `torch.save`.

use std::path::Path;

use super::document::PtDocument;
use super::resolve::resolve;
use super::value::PtValue;

use crate::container::Container;
use crate::file_error::{FileError, FileProblem};
use crate::source::TensorSource;
use crate::tensor::Tensor;

/// The value in a file, with tensors that are read when asked for.
///
/// Reads the archive's directory and the pickle, and checks every tensor against the size of its
/// storage. What is neither a tensor of a [`DType`](crate::DType) nor plain data is a
/// [`PtValue::Other`]; a [`PtDocument`] has it as well.
///
/// # Errors
/// [`FileError`] with [`FileProblem::Pt`] if the file is not what `torch.save` writes, or repeats a storage so
/// often that its tensors take more than twice the file and 24 MiB.
pub fn open(path: impl AsRef<Path>) -> Result<PtValue<TensorSource>, FileError> {
    resolve(&PtDocument::open(path)?)
}

/// The value in a container; like [`open`].
///
/// # Errors
/// Those of [`open`].
pub fn open_container(container: Container) -> Result<PtValue<TensorSource>, FileError> {
    resolve(&PtDocument::open_container(container)?)
}

/// The value in a file, with all its tensors in memory.
///
/// # Errors
/// Those of [`open`], and if a bool in the file is neither 0 nor 1.
pub fn read(path: impl AsRef<Path>) -> Result<PtValue<Tensor>, FileError> {
    open(path)?.try_map(&mut |source| source.read())
}

/// The tensor in a file that holds a single one.
///
/// # Errors
/// Those of [`read`], and [`FileProblem::UnexpectedValue`] if it holds something else.
pub fn read_tensor(path: impl AsRef<Path>) -> Result<Tensor, FileError> {
    let path = path.as_ref();
    match open(path)? {
        PtValue::Tensor(source) => source.read(),
        other => Err(unexpected(path, "a tensor", other.description())),
    }
}

/// The tensors in a file that holds a tuple or list of them, or a single one.
///
/// # Errors
/// Those of [`read`], and [`FileProblem::UnexpectedValue`] if it holds something else.
pub fn read_tensors(path: impl AsRef<Path>) -> Result<Vec<Tensor>, FileError> {
    const EXPECTED: &str = "a tuple of tensors";
    let path = path.as_ref();
    let items = match open(path)? {
        PtValue::Tuple(items) | PtValue::List(items) => items,
        tensor @ PtValue::Tensor(_) => vec![tensor],
        other => return Err(unexpected(path, EXPECTED, other.description())),
    };
    let read = |item| match item {
        PtValue::Tensor(source) => TensorSource::read(&source),
        other => Err(unexpected(path, EXPECTED, other.description())),
    };
    items.into_iter().map(read).collect()
}

fn unexpected(path: &Path, expected: &'static str, found: &str) -> FileError {
    let found = found.to_owned();
    FileError::new(path, FileProblem::UnexpectedValue { expected, found })
}
