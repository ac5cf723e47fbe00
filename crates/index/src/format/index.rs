//! An index that can be searched.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use super::chunks::Chunks;
use super::mapped::Values;
use super::tensors::value_at;

/// An index, ready to be searched. What grows with its embeddings lies in mapped files, of which every byte was checked.
pub struct Index {
    pub(crate) dim: usize,
    pub(crate) nbits: usize,
    /// `(C, d)`, widened from f16.
    pub(crate) centroids: Vec<f32>,
    pub(crate) bucket_weights: Vec<f32>,
    pub(crate) chunks: Arc<Chunks>,
    /// The first embedding of each passage, and behind the last passage the number of embeddings.
    pub(crate) offsets: Arc<Vec<usize>>,
    pub(crate) ivf: Values<i32>,
    /// The first entry of `ivf` of each centroid, and behind the last the number of entries.
    pub(crate) ivf_offsets: Vec<usize>,
    pub(super) metadata: Json,
}

impl Index {
    pub fn embeddings(&self) -> usize {
        self.offsets[self.passages()]
    }

    pub fn passages(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn centroids(&self) -> usize {
        self.ivf_offsets.len() - 1
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A setting of `metadata.json`, `config.` before those of the configuration.
    pub fn setting(&self, key: &str) -> Option<&Json> {
        value_at(&self.metadata, key)
    }

    /// The places of a passage's embeddings.
    pub(crate) fn places(&self, pid: u32) -> Range<usize> {
        self.offsets[pid as usize]..self.offsets[pid as usize + 1]
    }

    /// The bytes of a residual.
    pub(crate) fn residual_bytes(&self) -> usize {
        self.dim / 8 * self.nbits
    }

    /// The codes and residuals of a passage's embeddings.
    pub(crate) fn coded(&self, pid: u32) -> (&[i32], &[u8]) {
        self.chunks.of(pid, self.places(pid), self.residual_bytes())
    }

    /// The codes of a passage's embeddings.
    pub(crate) fn codes(&self, pid: u32) -> &[i32] {
        self.chunks.codes(pid, self.places(pid))
    }
}
