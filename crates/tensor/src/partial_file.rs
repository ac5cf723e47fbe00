//! Files that appear under their name when they are whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::file_error::{FileError, FileProblem};

/// A file being written beside where it will be.
///
/// [`publish`](PartialFile::publish) moves it to its name in one step, replacing what was there.
/// Dropped before that, it leaves nothing.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    published: bool,
}

impl PartialFile {
    pub(crate) fn create(path: &Path) -> Result<PartialFile, FileError> {
        // The process id keeps two programs that write the same file out of each other's way.
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".partial-{}", std::process::id()));
        let partial = path.with_file_name(name);
        let file = File::create(&partial)
            .map_err(|source| FileError::new(path, Action::Create.failed(source)))?;
        let out = BufWriter::new(file);
        Ok(PartialFile {
            path: path.to_owned(),
            partial,
            out,
            published: false,
        })
    }

    pub(crate) fn publish(mut self) -> Result<(), FileError> {
        self.out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .map_err(|source| FileError::new(&self.path, Action::Write.failed(source)))?;
        fs::rename(&self.partial, &self.path)
            .map_err(|source| FileError::new(&self.path, Action::Publish.failed(source)))?;
        self.published = true;
        Ok(())
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.published {
            // Nobody is left to tell if that fails, and what it leaves behind is harmless.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// What was being done to a file when the system refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Create,
    Write,
    Publish,
}

impl Action {
    pub(crate) fn failed(self, source: io::Error) -> FileProblem {
        let action = match self {
            Action::Create => "create the file",
            Action::Write => "write the file",
            Action::Publish => "move the finished file to its name",
        };
        FileProblem::Io { action, source }
    }
}
