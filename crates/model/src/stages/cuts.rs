//! How many passages are longer than the encoder gets them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was tokenized of a collection, and how much of it was cut off.
#[derive(Debug, Default)]
pub struct Cuts(Mutex<BTreeMap<usize, CutPassages>>);

/// Passages that were tokenized, and those of them that were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutPassages {
    pub passages: usize,
    /// Those that are longer than `doc_maxlen`.
    pub cut: usize,
    /// Tokens that there was no room for: at least so many.
    pub lost: usize,
}

impl Cuts {
    /// Of all chunks that were tokenized in this process. What an earlier process remembered is not among them.
    pub fn total(&self) -> CutPassages {
        let chunks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = CutPassages::default();
        for chunk in chunks.values() {
            total.passages += chunk.passages;
            total.cut += chunk.cut;
            total.lost = total.lost.saturating_add(chunk.lost);
        }
        total
    }

    /// Notes what a chunk came to, however often it is tokenized.
    pub(super) fn note(&self, chunk: usize, came_to: CutPassages) {
        let mut chunks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.insert(chunk, came_to);
    }
}
