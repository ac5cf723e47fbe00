//! Reading files of `torch.save`.

use std::path::Path;

use super::archive::Archive;
use super::problem::PtProblem;
use super::value::PtValue;
use super::{pickle, resolve};

use crate::container::Container;
use crate::file_error::{FileError, FileProblem};
use crate::source::TensorSource;
use crate::tensor::Tensor;

/// The largest pickle read, in bytes; that of a model of a thousand tensors has some 200 kB.
const MAX_PICKLE: u64 = 64 << 20;

/// The longest `byteorder` entry read; PyTorch's are "little" and "big".
const MAX_BYTE_ORDER: u64 = 16;

/// The value in a file, with tensors that are read when asked for.
///
/// Reads the archive's directory and the pickle, and checks every tensor against the size of its
/// storage.
///
/// # Errors
/// [`FileError`] with [`FileProblem::Pt`] if the file is not what `torch.save` writes, or holds
/// more than tensors and plain data.
pub fn open(path: impl AsRef<Path>) -> Result<PtValue<TensorSource>, FileError> {
    open_container(Container::open(path)?)
}

/// The value in a container; like [`open`].
///
/// # Errors
/// Those of [`open`].
pub fn open_container(container: Container) -> Result<PtValue<TensorSource>, FileError> {
    let archive = Archive::open(container.clone())?;
    let fail = |problem| container.error(problem);

    let pickle = archive
        .extent("data.pkl")?
        .ok_or_else(|| fail(PtProblem::NotATorchArchive))?;
    if pickle.size > MAX_PICKLE {
        let (size, limit) = (pickle.size, MAX_PICKLE);
        return Err(fail(PtProblem::PickleTooLarge { size, limit }));
    }
    if let Some(entry) = archive.extent("byteorder")? {
        let size = entry.size.min(MAX_BYTE_ORDER);
        let order = container.bytes_at(entry.start, size, "entry \"byteorder\"")?;
        if order != b"little" {
            let order = String::from_utf8_lossy(&order).into_owned();
            return Err(fail(PtProblem::ByteOrder { order }));
        }
    }
    let pickle = container.bytes_at(pickle.start, pickle.size, "entry \"data.pkl\"")?;
    let unpickled = pickle::run(&pickle).map_err(fail)?;
    resolve::resolve(&archive, &unpickled)
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
        other => Err(unexpected(path, "a tensor", other.kind())),
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
        other => return Err(unexpected(path, EXPECTED, other.kind())),
    };
    let read = |item| match item {
        PtValue::Tensor(source) => TensorSource::read(&source),
        other => Err(unexpected(path, EXPECTED, other.kind())),
    };
    items.into_iter().map(read).collect()
}

fn unexpected(path: &Path, expected: &'static str, found: &'static str) -> FileError {
    FileError::new(path, FileProblem::UnexpectedValue { expected, found })
}
