//! A folder that is opened once, and whose files are opened through it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::regular_file::read_to_limit;

/// A folder opened once.
///
/// Where the system has handles of folders, it stays the same folder whatever is renamed to its path later, so what
/// is read through it never comes from two folders. Files are named by one name, not by a path, and one that is a
/// link is followed only to a name in the same folder: nothing outside is reached. Elsewhere the path is looked up
/// anew for every file.
#[derive(Debug)]
pub struct OpenFolder {
    path: PathBuf,
    #[cfg(unix)]
    handle: rustix::fd::OwnedFd,
}

impl OpenFolder {
    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the regular file of that name.
    ///
    /// # Errors
    /// When there is none, it is no regular file, or the name or a link leads out of the folder; that is told
    /// without opening it.
    pub fn file(&self, name: &str) -> io::Result<File> {
        if !is_name(OsStr::new(name)) {
            return Err(outside("its name leads out of the folder"));
        }
        self.open_file(name)
    }

    /// The bytes of the file of that name, which has at most `limit` of them.
    ///
    /// # Errors
    /// Those of [`file`](OpenFolder::file) and [`read_to_limit`].
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        read_to_limit(&self.file(name)?, limit)
    }
}

#[cfg(unix)]
impl OpenFolder {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<OpenFolder> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(OpenFolder {
            path: path.to_owned(),
            handle: open(path, flags, Mode::empty())?,
        })
    }

    /// The names of all that is in it, in order.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStrExt;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether its path leads to another folder by now, or to nothing.
    pub fn was_replaced(&self) -> bool {
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let own = rustix::fs::fstat(&self.handle).map(identity);
        let there = rustix::fs::stat(&self.path).map(identity);
        own.ok() != there.ok()
    }

    fn open_file(&self, name: &str) -> io::Result<File> {
        use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
        /// More links in a row than anybody needs.
        const MAX_LINKS: usize = 8;
        let mut name = OsString::from(name);
        for links in 0..MAX_LINKS {
            let found = match statat(&self.handle, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // That there is no such file would be said of one that nobody put there.
                Err(rustix::io::Errno::NOENT) if links > 0 => {
                    return Err(outside("it is a link to a file that is not there"));
                }
                found => found?,
            };
            if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
                // What it is has to be known before it is opened: opening a device may do something. It may have
                // become another thing since, so what was opened is asked again.
                check_kind(&found)?;
                let flags = OFlags::RDONLY
                    | OFlags::NOFOLLOW
                    | OFlags::NONBLOCK
                    | OFlags::NOCTTY
                    | OFlags::CLOEXEC;
                let file = openat(&self.handle, &name, flags, Mode::empty())?;
                check_kind(&rustix::fs::fstat(&file)?)?;
                return Ok(File::from(file));
            }
            let target = readlinkat(&self.handle, &name, Vec::new())?;
            let target: OsString = std::os::unix::ffi::OsStringExt::from_vec(target.into_bytes());
            if !is_name(&target) {
                return Err(outside(
                    "it is a link that leads out of the folder (cp -rL copies what links lead to)",
                ));
            }
            name = target;
        }
        Err(outside("it is a link to a link, and so on"))
    }
}

#[cfg(unix)]
fn check_kind(found: &rustix::fs::Stat) -> io::Result<()> {
    use crate::regular_file::not_regular;
    use rustix::fs::FileType;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(not_regular("a folder")),
        FileType::Fifo => Err(not_regular("a named pipe")),
        FileType::Socket => Err(not_regular("a socket")),
        FileType::CharacterDevice | FileType::BlockDevice => Err(not_regular("a device")),
        FileType::Symlink | FileType::Unknown => Err(not_regular("something else")),
    }
}

#[cfg(not(unix))]
impl OpenFolder {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<OpenFolder> {
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(OpenFolder {
            path: path.to_owned(),
        })
    }

    /// The names of all that is in it, in order.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = std::fs::read_dir(&self.path)?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Whether its path leads to another folder by now; not known on this system.
    pub fn was_replaced(&self) -> bool {
        false
    }

    fn open_file(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        if std::fs::symlink_metadata(&path)?.is_symlink() {
            return Err(outside("it is a link, which may lead out of the folder"));
        }
        crate::regular_file::open_regular(&path)
    }
}

/// Whether it is one name, and not a path or `..`.
fn is_name(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(name)
}

fn outside(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
