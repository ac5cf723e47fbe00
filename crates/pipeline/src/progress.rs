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
    /// A call of `stage` took that many seconds, without those in which what it reads was computed or read; what it made
    /// was hashed and stored in them. Reading is told under the name [`READ`](crate::READ).
    fn took(&self, stage: &str, seconds: f64) {
        let _ = (stage, seconds);
    }
    /// `stage` measured something: `sum` in all of `count` things, of which the mean is of interest.
    fn measured(&self, stage: &str, what: &str, sum: u64, count: u64) {
        let _ = (stage, what, sum, count);
    }
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
