//! One change at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::ChangeError;

/// The folder of an index, held by a lock on the folder itself, which leaves nothing behind. Who changes an index holds
/// it alone; who reads it for a merge holds it with others who read.
///
/// A change puts another folder in its place. Who waits for the lock then has that of a folder that is no more, so it
/// is looked again whether it is still the one that is there: otherwise the second of two changes could be made to
/// what was there before the first, and the first would be lost.
pub(super) struct Locked {
    _folder: File,
}

impl Locked {
    /// Holds the index alone.
    ///
    /// # Errors
    /// [`ChangeError::Busy`] if another process holds it.
    pub(super) fn alone(path: &Path) -> Result<Locked, ChangeError> {
        locked(path, File::try_lock)
    }

    /// Holds the index with others who read it.
    ///
    /// # Errors
    /// [`ChangeError::Busy`] if another process changes it.
    pub(super) fn shared(path: &Path) -> Result<Locked, ChangeError> {
        locked(path, File::try_lock_shared)
    }
}

fn locked(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Locked, ChangeError> {
    let unreadable = |source| ChangeError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let folder = File::open(path).map_err(unreadable)?;
    match lock(&folder) {
        Ok(()) if is_there(&folder, path).map_err(unreadable)? => Ok(Locked { _folder: folder }),
        Ok(()) | Err(TryLockError::WouldBlock) => Err(ChangeError::Busy(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(unreadable(source)),
    }
}

/// Whether an open folder is the one at `path`.
fn is_there(folder: &File, path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (held, there) = (folder.metadata()?, std::fs::metadata(path)?);
        Ok(held.dev() == there.dev() && held.ino() == there.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (folder, path);
        Ok(true)
    }
}
