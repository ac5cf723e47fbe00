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

mod finding;
mod json;
mod manifest;
mod names;
mod reader;
mod writer;

pub use finding::Finding;
pub use manifest::{FileRecord, INDEX_MANIFEST, IndexManifest, ManifestError};
pub use reader::{Index, IndexError, IndexTensors, KEPT};
pub use writer::{WriteError, file_records, write_index};
