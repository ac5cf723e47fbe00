//! How far a build is.

use std::path::Path;

/// Told how far a stage has come.
pub trait Progress: Send + Sync {
    /// `stage` has done `done` of `total` units (passages, iterations, …) so far.
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str);
    /// A chunk of `stage` was found in the store and not computed again.
    fn reused(&self, stage: &str, chunk: usize);
    /// A chunk of `stage` was computed.
    fn computed(&self, stage: &str, chunk: usize);
    /// A file of the store was not what was stored there: it is gone, and what it held is computed again.
    fn damaged(&self, path: &Path) {
        let _ = path;
    }
}

/// Progress that nobody watches.
pub struct NoProgress;

impl Progress for NoProgress {
    fn advanced(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn reused(&self, _: &str, _: usize) {}
    fn computed(&self, _: &str, _: usize) {}
}
