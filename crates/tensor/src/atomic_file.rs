//! Files that appear under their name when they are whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written beside where it will be.
///
/// [`publish`](AtomicFile::publish) moves it to its name in one step, replacing what was there. Dropped before
/// that, it leaves nothing. A device or a pipe, such as `/dev/null`, is written to as it is: a file in its
/// place would be the end of it.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    /// Where it is written until it is published; `None` for a device, and once it has its name.
    partial: Option<PathBuf>,
    out: BufWriter<File>,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {action}: {source}", path = path.display(), action = action.as_str())]
pub struct AtomicFileError {
    /// The name that the file would have had.
    pub path: PathBuf,
    pub action: Action,
    pub source: io::Error,
}

/// What was being done to a file when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Write,
    Publish,
}

impl Action {
    /// As a verb phrase.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create the file",
            Action::Write => "write the file",
            Action::Publish => "move the finished file to its name",
        }
    }

    fn failed(self, path: &Path) -> impl FnOnce(io::Error) -> AtomicFileError + '_ {
        move |source| AtomicFileError {
            path: path.to_owned(),
            action: self,
            source,
        }
    }
}

impl AtomicFile {
    /// Begins the file that will be at `path`.
    ///
    /// # Errors
    /// When its folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> Result<AtomicFile, AtomicFileError> {
        let failed = |source| Action::Create.failed(path)(source);
        if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let device = File::options().write(true).open(path).map_err(failed)?;
            return Ok(AtomicFile {
                path: path.to_owned(),
                partial: None,
                out: BufWriter::new(device),
            });
        }
        let partial = partial_name(path);
        let file = File::create(&partial).map_err(failed)?;
        Ok(AtomicFile {
            path: path.to_owned(),
            partial: Some(partial),
            out: BufWriter::new(file),
        })
    }

    /// Writes a whole file through `write`.
    ///
    /// # Errors
    /// Those of `write` and of this type; the unfinished file is then gone.
    pub fn write_whole(
        path: &Path,
        write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
    ) -> Result<(), AtomicFileError> {
        let mut file = AtomicFile::create(path)?;
        write(&mut file).map_err(Action::Write.failed(path))?;
        file.publish()
    }

    /// Waits until all is on disk, and gives the file its name.
    ///
    /// # Errors
    /// When the rest cannot be written or the file not be renamed; it is then gone.
    pub fn publish(mut self) -> Result<(), AtomicFileError> {
        let failed = |action: Action| action.failed(&self.path);
        self.out.flush().map_err(failed(Action::Write))?;
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let written = self.out.get_ref().sync_all();
        written.map_err(failed(Action::Write))?;
        fs::rename(partial, &self.path).map_err(failed(Action::Publish))?;
        self.partial = None;
        Ok(())
    }
}

/// A hidden name beside `path` that nobody else writes to: no other process, and no other thread of this one.
fn partial_name(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("out")));
    name.push(format!(".partial-{}-{number}", std::process::id()));
    path.with_file_name(name)
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // Nobody is left to tell if that fails, and what it leaves behind is harmless.
            let _ = fs::remove_file(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, b"before").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        file.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        drop(AtomicFile::create(&path).unwrap());
        let full = |file: &mut AtomicFile| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = AtomicFile::write_whole(&path, full).unwrap_err();
        assert_eq!(
            (error.path.as_path(), error.action),
            (&*path, Action::Write)
        );
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    fn two_writers_of_one_file_do_not_write_to_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let [mut first, mut second] = [(), ()].map(|()| AtomicFile::create(&path).unwrap());
        first.write_all(b"first").unwrap();
        second.write_all(b"2").unwrap();
        second.publish().unwrap();
        first.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(&folder.path().join("none/out")).unwrap_err();
        assert_eq!(error.action, Action::Create);
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_folder_is_not_replaced_by_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder");
        fs::create_dir(&path).unwrap();
        let error = AtomicFile::write_whole(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.action, Action::Publish);
        assert_eq!(entries(folder.path()), 1);
    }
}
