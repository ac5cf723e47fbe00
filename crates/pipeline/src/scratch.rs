//! Temporary folders.

use std::io;
use std::path::Path;

use concord_tensor::unfinished::Unfinished;
use tempfile::TempDir;

/// A temporary folder of this process. It is gone when it is dropped, and when the process is told to stop.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _unfinished: Unfinished,
}

impl Scratch {
    /// A new, empty one, where the system has such folders.
    ///
    /// # Errors
    /// When it cannot be made; the error names the place.
    pub fn new() -> io::Result<Scratch> {
        let (folder, _unfinished) = Unfinished::new_folder(tempfile::tempdir)?;
        Ok(Scratch {
            folder,
            _unfinished,
        })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
