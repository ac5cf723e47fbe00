//! Writes PyTorch files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::pickle_writer::{pickle, pickle_of_tensor};
use super::problem::{MAX_DIMENSIONS, PtProblem};
use super::value::PtValue;
use super::zip_writer::ZipWriter;
use crate::atomic_file::{Action, AtomicFile};
use crate::dtype::DType;
use crate::file_error::{FileError, FileProblem};
use crate::tensor::Tensor;
use crate::tensor::element_count;

/// The `version` entry: that of the archive's layout.
const VERSION: &[u8] = b"3\n";

/// Writes a value to a file, with the bytes PyTorch 1.13 writes for it under that file name.
///
/// The file name matters to the bytes, and through them to where tensors begin: the entries are in
/// a folder named after it. A single tensor of up to three dimensions in a file whose name has up
/// to 21 bytes before its ending begins at byte 320, where the ColBERT reference expects it.
///
/// # Errors
/// [`FileError`] if the file cannot be written, and with [`FileProblem::Pt`] if its name has
/// nothing but an ending, or the value has dict keys other than strings and integers.
pub fn write(path: impl AsRef<Path>, value: &PtValue<Tensor>) -> Result<(), FileError> {
    let path = path.as_ref();
    let folder = folder_of(path)?;
    let mut file = AtomicFile::create(path)?;
    write_value(&mut file, path, &folder, value)?;
    Ok(file.publish()?)
}

/// Writes a value as the file of that name to anything that takes bytes.
///
/// # Errors
/// Those of [`write`](fn@write), with `name` as the path.
pub fn write_to(
    out: impl Write,
    name: impl AsRef<Path>,
    value: &PtValue<Tensor>,
) -> Result<(), FileError> {
    let name = name.as_ref();
    write_value(out, name, &folder_of(name)?, value)
}

fn write_value(
    out: impl Write,
    path: &Path,
    folder: &str,
    value: &PtValue<Tensor>,
) -> Result<(), FileError> {
    let fail = |problem| FileError::new(path, problem);
    let (pickle, tensors) = pickle(value).map_err(fail)?;
    if let Some(tensor) = tensors
        .iter()
        .find(|tensor| tensor.shape().len() > MAX_DIMENSIONS)
    {
        return Err(fail(too_many_dimensions(tensor.shape())));
    }
    write_entries(out, folder, &pickle, &tensors)
        .map_err(|source| FileError::new(path, FileProblem::from_io(Action::Write, source)))
}

fn write_entries(
    out: impl Write,
    folder: &str,
    pickle: &[u8],
    tensors: &[&Tensor],
) -> io::Result<()> {
    let mut zip = ZipWriter::new(out, folder);
    zip.entry("data.pkl", pickle)?;
    let mut storages: Vec<(String, &Tensor)> = tensors
        .iter()
        .enumerate()
        .map(|(key, &tensor)| (format!("data/{key}"), tensor))
        .collect();
    // PyTorch 1.13 orders storages by their keys as text: 0, 1, 10, 11, 2.
    storages.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, tensor) in storages {
        zip.entry(&name, tensor.bytes())?;
    }
    zip.entry("version", VERSION)?;
    zip.finish()?.flush()
}

/// Writes one tensor whose rows arrive piece by piece.
///
/// The file is the one [`write`](fn@write) makes of the whole tensor, and appears under its name
/// with [`finish`](TensorFileWriter::finish).
#[derive(Debug)]
pub struct TensorFileWriter {
    path: PathBuf,
    dtype: DType,
    zip: ZipWriter<AtomicFile>,
}

impl TensorFileWriter {
    /// Begins the file of a tensor.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be created, if its name has nothing but an ending, or if
    /// the shape is too large for a tensor.
    pub fn create(
        path: impl AsRef<Path>,
        dtype: DType,
        shape: &[usize],
    ) -> Result<TensorFileWriter, FileError> {
        let path = path.as_ref();
        let folder = folder_of(path)?;
        if shape.len() > MAX_DIMENSIONS {
            return Err(FileError::new(path, too_many_dimensions(shape)));
        }
        let len = element_count(dtype, shape).map_err(|source| {
            FileError::new(
                path,
                FileProblem::Tensor {
                    name: String::new(),
                    source,
                },
            )
        })?;
        let mut zip = ZipWriter::new(AtomicFile::create(path)?, &folder);
        zip.entry("data.pkl", &pickle_of_tensor(dtype, shape))
            .and_then(|()| zip.begin("data/0", (len * dtype.size()) as u64))
            .map_err(|source| FileError::new(path, FileProblem::from_io(Action::Write, source)))?;
        Ok(TensorFileWriter {
            path: path.to_owned(),
            dtype,
            zip,
        })
    }

    /// Writes the next elements in row-major order; only the part's dtype and elements matter,
    /// not its shape.
    ///
    /// # Errors
    /// [`FileProblem::Tensor`] if the part has another dtype, [`FileProblem::WrongPayload`] if
    /// there are more elements than the shape holds, [`FileProblem::Io`].
    pub fn append(&mut self, part: &Tensor) -> Result<(), FileError> {
        if part.dtype() != self.dtype {
            let (requested, actual) = (self.dtype, part.dtype());
            let source = crate::error::TensorError::DTypeMismatch { requested, actual };
            let problem = FileProblem::Tensor {
                name: String::new(),
                source,
            };
            return Err(FileError::new(&self.path, problem));
        }
        let (expected, written) = self.zip.progress();
        let actual = written + part.bytes().len() as u64;
        if actual > expected {
            let problem = FileProblem::WrongPayload { expected, actual };
            return Err(FileError::new(&self.path, problem));
        }
        self.zip.data(part.bytes()).map_err(|source| {
            FileError::new(&self.path, FileProblem::from_io(Action::Write, source))
        })
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// [`FileProblem::WrongPayload`] if elements are missing, [`FileProblem::Io`]. The file is
    /// then not there.
    pub fn finish(mut self) -> Result<(), FileError> {
        let (expected, actual) = self.zip.progress();
        if actual != expected {
            let problem = FileProblem::WrongPayload { expected, actual };
            return Err(FileError::new(&self.path, problem));
        }
        let ended = self
            .zip
            .end()
            .and_then(|()| self.zip.entry("version", VERSION))
            .and_then(|()| self.zip.finish());
        match ended {
            Ok(file) => Ok(file.publish()?),
            Err(source) => Err(FileError::new(
                &self.path,
                FileProblem::from_io(Action::Write, source),
            )),
        }
    }
}

/// The folder in the archive: the file name without its ending.
fn folder_of(path: &Path) -> Result<String, FileError> {
    let fail = |problem| Err(FileError::new(path, problem));
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let folder = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
    match folder.len() {
        0 => fail(PtProblem::NoArchiveName),
        // Entry names are at most 65,535 bytes; "/data/" and a key need a few of them.
        len @ 65_000.. => fail(PtProblem::TextTooLong {
            what: "the file name",
            len,
        }),
        _ => Ok(folder.to_owned()),
    }
}

fn too_many_dimensions(shape: &[usize]) -> PtProblem {
    PtProblem::TooManyDimensions {
        actual: shape.len(),
        limit: MAX_DIMENSIONS,
    }
}
