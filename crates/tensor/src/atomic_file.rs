//! Files that appear under their name when they are whole.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::regular_file::open_regular;
use crate::unfinished::Unfinished;

/// A file being written beside where it will be.
///
/// [`publish`](AtomicFile::publish) moves it to its name in one step, replacing what was there. Dropped before
/// that, it leaves nothing. A device or a pipe, such as `/dev/null`, is written to as it is: a file in its
/// place would be the end of it.
///
/// A process that is killed leaves the unfinished file. The next that writes to the folder removes it: who writes
/// such a file holds a lock on it, which ends with the process, so that one without a lock is nobody's.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    /// Where it is written until it is published; `None` for a device, and once it has its name.
    partial: Option<Partial>,
    out: BufWriter<File>,
}

/// How long what is written has to last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// For good: it is on disk before it counts as written, so that a loss of power leaves it whole or not there.
    #[default]
    Kept,
    /// As long as this process, which removes it or has no further use for it. Nothing waits for the disk: other
    /// readers have it whole all the same, and after a loss of power nobody reads it.
    Scratch,
}

#[derive(Debug)]
struct Partial {
    path: PathBuf,
    _unfinished: Unfinished,
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
        remove_abandoned(path);
        loop {
            let partial = partial_name(path);
            let _unfinished = Unfinished::file(&partial);
            let file = match File::create_new(&partial) {
                // Of a process of the same number, on a system where nobody looks for what is abandoned.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created.map_err(failed)?,
            };
            // Somebody who looked for abandoned files between these two calls has it, or has removed it. Where there
            // are no locks, nobody looks.
            if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !partial.exists() {
                let _ = fs::remove_file(&partial);
                continue;
            }
            return Ok(AtomicFile {
                path: path.to_owned(),
                partial: Some(Partial {
                    path: partial,
                    _unfinished,
                }),
                out: BufWriter::new(file),
            });
        }
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
    pub fn publish(self) -> Result<(), AtomicFileError> {
        self.publish_as(Durability::Kept)
    }

    /// Gives the file its name, as [`AtomicFile::publish`] does, after waiting for the disk only if it is to be kept.
    ///
    /// # Errors
    /// As [`AtomicFile::publish`].
    pub fn publish_as(mut self, durability: Durability) -> Result<(), AtomicFileError> {
        let failed = |action: Action| action.failed(&self.path);
        self.out.flush().map_err(failed(Action::Write))?;
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        if durability == Durability::Kept {
            let written = self.out.get_ref().sync_all();
            written.map_err(failed(Action::Write))?;
        }
        fs::rename(&partial.path, &self.path).map_err(failed(Action::Publish))?;
        self.partial = None;
        Ok(())
    }
}

/// What a hidden name has between the file's own and the numbers of process and file.
const PARTIAL: &str = ".partial-";

/// A hidden name beside `path` that nobody else writes to: no other process, and no other thread of this one.
fn partial_name(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("out")));
    name.push(format!("{PARTIAL}{}-{number}", std::process::id()));
    path.with_file_name(name)
}

/// Whether a file of that name is an unfinished one, of whatever process.
fn is_partial(name: &OsStr) -> bool {
    let numbers = name.to_str().filter(|name| name.starts_with('.'));
    let numbers = numbers.and_then(|name| name.rsplit_once(PARTIAL)?.1.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, file)| is_number(process) && is_number(file))
}

/// Removes unfinished files beside `path` that nobody writes any more, once for every folder: what is abandoned
/// later is found by the next process. It is no trouble of whoever writes a file if that fails.
#[cfg(unix)]
fn remove_abandoned(path: &Path) {
    static SEEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !seen.insert(folder.to_owned()) {
        return;
    }
    drop(seen);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_partial(&entry.file_name())) {
        let path = entry.path();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        // The lock is held until the file is gone, so that nobody takes it up meanwhile.
        if is_file
            && let Ok(file) = open_regular(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(not(unix))]
fn remove_abandoned(_: &Path) {}

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
            let _ = fs::remove_file(&partial.path);
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
    #[cfg(unix)]
    fn what_a_killed_process_left_is_removed_and_what_another_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        let others = [
            ".out.partial-1-x",
            "out.partial-1-1",
            ".out.partial-1",
            ".partial",
        ];
        for other in others {
            fs::write(name(other), b"somebody's").unwrap();
        }
        fs::write(name(".other.pt.partial-4194305-17"), b"half").unwrap();
        let written = File::create(name(".out.partial-4194305-3")).unwrap();
        written.lock().unwrap();
        AtomicFile::write_whole(&name("out"), |file| file.write_all(b"whole")).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = others.map(str::to_owned).to_vec();
        expected.extend([".out.partial-4194305-3", "out"].map(str::to_owned));
        expected.sort();
        assert_eq!(left, expected);
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
