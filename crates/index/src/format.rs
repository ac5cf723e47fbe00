//! ColBERT's index on disk.
//!
//! | file | content |
//! |---|---|
//! | `i.codes.pt` | i32 `(E_i,)` |
//! | `i.residuals.pt` | u8 `(E_i, d·b/8)` |
//! | `doclens.i.json`, `i.metadata.json` | lengths of the passages of chunk `i`; its place |
//! | `centroids.pt` | f16 `(C, d)` |
//! | `buckets.pt` | cutoffs f32 `(2^b − 1,)` and weights f32 `(2^b,)` |
//! | `avg_residual.pt` | f32 scalar |
//! | `ivf.pid.pt` | i32 `(S,)` and i64 `(C,)` |
//! | `plan.json`, `metadata.json` | sizes and settings |
//! | `concord.json` | Concord's manifest: the hash of every artifact and every file |
//!
//! Tensors are written as PyTorch 1.13 writes them, whose payloads the reference's memory-mapped loader
//! expects at byte 320. They are read in the layout of any version.

mod json;
mod manifest;
mod reader;
mod writer;

pub use manifest::{FileRecord, INDEX_MANIFEST, IndexManifest, ManifestError};
pub use reader::{Index, IndexError, IndexTensors};
pub use writer::{WriteError, file_records, write_index};

/// The name of a chunk's codes.
pub(crate) fn codes_file(chunk: usize) -> String {
    format!("{chunk}.codes.pt")
}

/// The name of a chunk's residuals.
pub(crate) fn residuals_file(chunk: usize) -> String {
    format!("{chunk}.residuals.pt")
}

/// The name of a chunk's passage lengths.
pub(crate) fn doclens_file(chunk: usize) -> String {
    format!("doclens.{chunk}.json")
}

/// The name of what is said of a chunk.
pub(crate) fn chunk_metadata_file(chunk: usize) -> String {
    format!("{chunk}.metadata.json")
}

pub(crate) const CENTROIDS_FILE: &str = "centroids.pt";
pub(crate) const BUCKETS_FILE: &str = "buckets.pt";
pub(crate) const AVG_RESIDUAL_FILE: &str = "avg_residual.pt";
pub(crate) const IVF_FILE: &str = "ivf.pid.pt";
pub(crate) const PLAN_FILE: &str = "plan.json";
pub(crate) const METADATA_FILE: &str = "metadata.json";
