//! Nothing is half-written: files and folders appear under their final name when they are whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use concord_tensor::unfinished::Unfinished;
use concord_tensor::{AtomicFile, AtomicFileError, Durability};

/// A file or folder could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}{hint}", path = path.display(), hint = hint(source))]
pub struct PublishError {
    pub path: PathBuf,
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit on the size of files (ulimit -f) and run the same command again"
        }
        io::ErrorKind::NotFound => "; make its folder first",
        io::ErrorKind::PermissionDenied => "; choose a folder you may write to",
        _ => "",
    }
}

/// Turns an I/O error into a [`PublishError`] about `path`.
pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> PublishError + '_ {
    move |source| PublishError {
        path: path.to_owned(),
        source,
    }
}

impl From<AtomicFileError> for PublishError {
    fn from(error: AtomicFileError) -> PublishError {
        PublishError {
            path: error.path,
            source: error.source,
        }
    }
}

/// Writes a file through `write` and gives it its name when it is whole and on disk: an [`AtomicFile`].
///
/// # Errors
/// When anything about it fails; the unfinished file is then gone.
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
) -> Result<(), PublishError> {
    Ok(AtomicFile::write_whole(path, write)?)
}

/// Writes a file that has to last so long, as [`write_file`] does.
pub(crate) fn write_file_as(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
) -> Result<(), PublishError> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file).map_err(writing(path))?;
    Ok(file.publish_as(durability)?)
}

/// `path` with a prefix and a suffix around its last component.
fn beside(path: &Path, prefix: &str, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(path.file_name().unwrap_or(OsStr::new("out")));
    name.push(suffix);
    path.with_file_name(name)
}

/// Why a folder cannot be prepared for `OUT`.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// Another process works on the same output.
    #[error("another process is writing {path}: wait for it, or choose another --out", path = .0.display())]
    Busy(PathBuf),
    /// The folder cannot be made or locked.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// A hidden folder beside `OUT`, `.OUT.building`, where `OUT` is made and from which it is renamed.
///
/// Where `OUT` is a link, what it leads to is meant. The staging folder is locked while a process works in it. It
/// stays when the process dies, so that the next one finds the finished work; it is gone once `OUT` is there.
pub struct Staging {
    out: PathBuf,
    folder: PathBuf,
    _lock: File,
    _unfinished: Unfinished,
}

/// What was at `OUT`, inside the staging folder, while it is replaced in two steps.
const REPLACED: &str = "replaced";

impl Staging {
    /// Opens (or makes) and locks the staging folder of `out`.
    ///
    /// # Errors
    /// When another process holds it, it cannot be made, or nothing could be moved to `out` later.
    pub fn open(out: &Path) -> Result<Staging, StagingError> {
        let out = followed(out).map_err(writing(out))?;
        check_movable_to(&out).map_err(writing(&out))?;
        let folder = beside(&out, ".", ".building");
        loop {
            match Unfinished::kept(&folder, || locked(&out, &folder)) {
                Ok((_lock, _unfinished)) => {
                    let staging = Staging {
                        out,
                        folder,
                        _lock,
                        _unfinished,
                    };
                    staging.put_back()?;
                    return Ok(staging);
                }
                Err(None) => {}
                Err(Some(error)) => return Err(error),
            }
        }
    }

    /// Has it removed if the process is told to stop, because nobody goes on from what is in it.
    #[must_use]
    pub fn not_kept(mut self) -> Staging {
        self._unfinished = Unfinished::folder(&self.folder);
        self
    }

    /// Where the staging folder of `out` is, whether or not it exists.
    pub fn folder_for(out: &Path) -> PathBuf {
        let out = followed(out).unwrap_or_else(|_| absolute(out));
        beside(&out, ".", ".building")
    }

    /// A path inside the staging folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Renames the finished folder `name` inside the staging folder to `OUT` and removes the rest.
    ///
    /// # Errors
    /// When the rename fails, for one because `OUT` has come into being since.
    pub fn publish(self, name: &str) -> Result<(), PublishError> {
        self.publish_as(name, Durability::Kept)
    }

    /// Does the same with a folder that has to last so long.
    ///
    /// # Errors
    /// As [`Staging::publish`].
    pub(crate) fn publish_as(self, name: &str, durability: Durability) -> Result<(), PublishError> {
        let finished = self.path(name);
        if durability == Durability::Kept {
            sync_folder(&finished).map_err(writing(&finished))?;
        }
        fs::rename(&finished, &self.out).map_err(writing(&self.out))?;
        self.discard()
    }

    /// Puts the finished folder `name` in the place of the folder at `OUT`, and removes that one and the rest.
    ///
    /// On Linux and Apple's systems the two are exchanged in one step, where the file system can; then there is the
    /// old or the new one at every moment. Elsewhere the old one is moved away first, and a process that dies between
    /// the two steps leaves it to whoever opens the staging folder next, who puts it back.
    ///
    /// # Errors
    /// When a rename fails; the old one is then still there.
    pub fn replace(self, name: &str) -> Result<(), PublishError> {
        let finished = self.path(name);
        sync_folder(&finished).map_err(writing(&finished))?;
        if !exchange(&finished, &self.out).map_err(writing(&self.out))? {
            let away = self.path(REPLACED);
            fs::rename(&self.out, &away).map_err(writing(&self.out))?;
            if let Err(error) = fs::rename(&finished, &self.out) {
                self.put_back()?;
                return Err(writing(&self.out)(error));
            }
        }
        self.discard()
    }

    /// Puts back what was moved away by a process that could not finish.
    fn put_back(&self) -> Result<(), PublishError> {
        let away = self.path(REPLACED);
        if away.exists() && !self.out.exists() {
            fs::rename(&away, &self.out).map_err(writing(&self.out))?;
        }
        Ok(())
    }

    /// Removes the staging folder and all in it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(self) -> Result<(), PublishError> {
        fs::remove_dir_all(&self.folder).map_err(writing(&self.folder))
    }
}

/// Exchanges two folders in one step; `false` where the system or the file system cannot.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Exchanges two folders in one step; `false` where the system or the file system cannot.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

/// `out` as an absolute path, and where it is a link, the path that it leads to, whether or not something is there:
/// a folder can be renamed to that, and not to the link.
fn followed(out: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const MAX_LINKS: usize = 40;
    let mut out = absolute(out);
    for _ in 0..MAX_LINKS {
        match fs::read_link(&out) {
            Ok(target) => out = absolute(&out.with_file_name("").join(target)),
            Err(_) => return Ok(out),
        }
    }
    Err(io::Error::other("it is a link to a link, and so on"))
}

/// Refuses what nothing can be renamed to, before anything is made for it.
fn check_movable_to(out: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let parent = out.parent().and_then(|parent| fs::metadata(parent).ok());
        if let (Ok(own), Some(parent)) = (fs::metadata(out), parent)
            && own.is_dir()
            && own.dev() != parent.dev()
        {
            return Err(io::Error::other(
                "another file system is mounted there, and a finished folder cannot be moved to its place; choose \
                 a folder inside of it",
            ));
        }
    }
    let _ = out;
    Ok(())
}

/// Makes `folder` and locks it. Without an error if it went away meanwhile, because its owner has just finished.
fn locked(out: &Path, folder: &Path) -> Result<File, Option<StagingError>> {
    let failed = |path: &Path, error| Some(StagingError::from(writing(path)(error)));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let path = folder.join("lock");
    let lock = match File::create(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
        result => result.map_err(|error| failed(&path, error))?,
    };
    match lock.try_lock() {
        Ok(()) if path.exists() => Ok(lock),
        // The lock of a folder that has been removed since.
        Ok(()) => Err(None),
        Err(TryLockError::WouldBlock) => Err(Some(StagingError::Busy(out.to_owned()))),
        Err(TryLockError::Error(error)) => Err(failed(&path, error)),
    }
}

/// `out` as an absolute path, so that its name and parent are there even for `.` and `x/..`.
fn absolute(out: &Path) -> PathBuf {
    std::path::absolute(out).unwrap_or_else(|_| out.to_owned())
}

/// Makes the entries of a folder durable, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// `value` as the files of ours have JSON: indented, with a newline at the end.
pub(crate) fn json_text(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes `value` as JSON, indented, with a newline at the end, atomically.
///
/// # Errors
/// As [`write_file`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), PublishError> {
    write_file(path, |file| file.write_all(&json_text(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_fails_half_way_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.pt");
        let result = write_file(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("codes.pt") && error.contains("free some space"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_device_is_written_to_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nothing");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        write_file(&path, |file| file.write_all(b"to nobody")).unwrap();
        assert!(path.is_symlink(), "the link was replaced by a file");
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_second_opener_is_refused_until_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("index");
        let first = Staging::open(&out).unwrap();
        assert!(matches!(Staging::open(&out), Err(StagingError::Busy(_))));
        fs::create_dir(first.path("finished")).unwrap();
        first.publish("finished").unwrap();
        assert!(out.is_dir());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "the staging folder is gone"
        );
        Staging::open(&out).unwrap().discard().unwrap();
    }
}
