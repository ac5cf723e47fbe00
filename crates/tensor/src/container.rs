//! The bytes in which tensors lie: a file, or a piece of memory.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file_error::{FileError, FileProblem};
use crate::regular_file::open_regular;

/// A file of tensors opened for reading at any position.
///
/// Cheap to clone; the clones share one open file. Reads state their position, so several readers
/// never disturb each other.
#[derive(Clone, Debug)]
pub struct Container(Arc<Stretch>);

#[derive(Debug)]
struct Stretch {
    opened: Arc<Opened>,
    /// Where it begins in what is open, and how long it is.
    start: u64,
    len: u64,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    File(File),
    Memory(Cow<'static, [u8]>),
}

impl Container {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`FileProblem::Io`], for a pipe, a device or a folder as well, of which the first two may have no end.
    pub fn open(path: impl AsRef<Path>) -> Result<Container, FileError> {
        let path = path.as_ref();
        let file = open_regular(path).map_err(|source| {
            let action = "open the file";
            FileError::new(path, FileProblem::Io { action, source })
        })?;
        Container::of_file(path, file)
    }

    /// A file that is open already; `path` is where it lies, for errors.
    ///
    /// # Errors
    /// [`FileProblem::Io`].
    pub fn of_file(path: impl AsRef<Path>, file: File) -> Result<Container, FileError> {
        let path = path.as_ref();
        let io = |action| move |source| FileError::new(path, FileProblem::Io { action, source });
        let len = file.metadata().map_err(io("read the file's length"))?.len();
        Ok(Container::whole(path.to_owned(), Medium::File(file), len))
    }

    /// A container in memory, such as one built into a program.
    ///
    /// `name` stands for its path in errors and in [`TensorSource::path`](crate::TensorSource::path).
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: impl Into<Cow<'static, [u8]>>) -> Container {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Container::whole(name.into(), Medium::Memory(bytes), len)
    }

    fn whole(path: PathBuf, medium: Medium, len: u64) -> Container {
        Container(Arc::new(Stretch {
            opened: Arc::new(Opened { path, medium }),
            start: 0,
            len,
        }))
    }

    /// The path it was opened from, or the name it was given.
    pub fn path(&self) -> &Path {
        &self.0.opened.path
    }

    /// The `len` bytes that begin at `start` as a container of their own; `what` names them in an error.
    pub(crate) fn slice(&self, start: u64, len: u64, what: &str) -> Result<Container, FileError> {
        self.check(start, len, what)?;
        Ok(Container(Arc::new(Stretch {
            opened: Arc::clone(&self.0.opened),
            start: self.0.start + start,
            len,
        })))
    }

    /// Where it begins in the file.
    pub(crate) fn start(&self) -> u64 {
        self.0.start
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.0.len
    }

    /// Fills `buffer` from the bytes that begin at `offset`; `what` names them in an error.
    pub(crate) fn read_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
        what: &str,
    ) -> Result<(), FileError> {
        self.check(offset, buffer.len() as u64, what)?;
        let offset = self.0.start + offset;
        match &self.0.opened.medium {
            Medium::File(file) => read_exact_at(file, buffer, offset).map_err(|source| {
                self.error(FileProblem::Io {
                    action: "read the file",
                    source,
                })
            }),
            Medium::Memory(bytes) => {
                let start = offset as usize;
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
        }
    }

    /// The `len` bytes that begin at `offset`. Allocates only what the file really has.
    pub(crate) fn bytes_at(&self, offset: u64, len: u64, what: &str) -> Result<Vec<u8>, FileError> {
        self.check(offset, len, what)?;
        let mut bytes = vec![0; len as usize];
        self.read_at(&mut bytes, offset, what)?;
        Ok(bytes)
    }

    /// Refuses a range of bytes that is not within the file.
    pub(crate) fn check(&self, offset: u64, len: u64, what: &str) -> Result<(), FileError> {
        let end = offset.saturating_add(len);
        if end > self.0.len || usize::try_from(len).is_err() {
            return Err(self.error(FileProblem::Truncated {
                what: what.to_owned(),
                start: offset,
                end,
                len: self.0.len,
            }));
        }
        Ok(())
    }

    pub(crate) fn error(&self, problem: impl Into<FileProblem>) -> FileError {
        FileError::new(self.path(), problem)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind};
    use std::os::windows::fs::FileExt;

    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(Error::from(ErrorKind::UnexpectedEof)),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
