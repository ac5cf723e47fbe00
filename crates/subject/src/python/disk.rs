//! Space on disk: what is free and what a folder takes.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::error::{EnvironmentError, reading};

/// The bytes that are free, for who asks, on the disk of an existing file or folder.
pub type FreeSpace = fn(&Path) -> io::Result<u64>;

/// Asks the system for the bytes that are free on the disk of `path`.
///
/// # Errors
/// When the system does not say.
pub fn free_space(path: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a folder takes on disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    pub bytes: u64,
    /// What of it other folders hold as well, so that removing the folder does not free it: files that
    /// `uv` has in its cache too.
    pub shared: u64,
}

/// Adds up the files under `folder`. Files that go away meanwhile are not counted.
pub(super) fn taken(folder: &Path) -> Result<DiskUsage, EnvironmentError> {
    let mut sum = DiskUsage::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Some(entries) = present(fs::read_dir(&folder)).map_err(reading(&folder))? else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(reading(&folder))?;
            let path = entry.path();
            let Some(metadata) = present(entry.metadata()).map_err(reading(&path))? else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let (bytes, links) = on_disk(&metadata);
                sum.bytes += bytes;
                sum.shared += if links > 1 { bytes } else { 0 };
            }
        }
    }
    Ok(sum)
}

/// `None` for what is not there.
pub(super) fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes a file takes and the number of its names.
fn on_disk(metadata: &Metadata) -> (u64, u64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.blocks() * 512, metadata.nlink())
    }
    #[cfg(not(unix))]
    {
        (metadata.len(), 1)
    }
}

/// The nearest of `path` and the folders it lies in that exists.
pub(super) fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|folder| folder.is_dir());
    found.unwrap_or(Path::new(".")).to_owned()
}

/// Whether two existing folders are on one disk.
pub(super) fn same_disk(a: &Path, b: &Path) -> Result<bool, EnvironmentError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).map_err(reading(path));
        Ok(device(a)? == device(b)?)
    }
    #[cfg(not(unix))]
    {
        Ok(a.components().next() == b.components().next())
    }
}
