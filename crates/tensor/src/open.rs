//! Opening any file of tensors.

use std::ffi::OsStr;
use std::path::Path;

use crate::file_error::{FileError, FileProblem};
use crate::npy;
use crate::pt;
use crate::safetensors;
use crate::source::TensorSource;

/// All tensors in a file, by name, in the order in which the file has them.
///
/// The ending of the file's name decides the format: `.pt`, `.pth` and `.bin` are PyTorch's,
/// `.safetensors` and `.npy` speak for themselves. Names in PyTorch files are paths: a tensor of a
/// state dict has its key, the second of a tuple `"1"`, one deeper down both, joined by a dot. The
/// tensor of a file that holds nothing else has the empty name.
///
/// # Errors
/// [`FileProblem::UnknownExtension`], and those of [`pt::open`], [`safetensors::open`] and
/// [`npy::open`].
pub fn open_tensors(path: impl AsRef<Path>) -> Result<Vec<(String, TensorSource)>, FileError> {
    let path = path.as_ref();
    match path.extension().and_then(OsStr::to_str) {
        Some("pt" | "pth" | "bin") => Ok(pt::open(path)?.tensors()),
        Some("safetensors") => safetensors::open(path),
        Some("npy") => Ok(vec![(String::new(), npy::open(path)?)]),
        _ => Err(FileError::new(path, FileProblem::UnknownExtension)),
    }
}
