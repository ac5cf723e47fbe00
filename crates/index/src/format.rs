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
//! | `passages.db` | Concord's own: ids of the passages and hashes of their texts |
//! | `concord.json` | Concord's manifest: the hash of every artifact, of every file, and its own |
//!
//! Tensors are written as PyTorch 1.13 writes them, whose payloads the reference's memory-mapped loader
//! expects at byte 320. They are read in the layout of any version.
//!
//! What is read of an index is bounded by its files: no tensor has more bytes than its file, no JSON file of settings
//! more than 1 MiB, the lengths of a chunk's passages no more than 16 MiB, the manifest no more than 256 MiB. Files are
//! regular ones inside of the folder.

mod assemble;
mod chunks;
mod error;
mod files;
mod finding;
mod finite;
mod index;
mod json;
mod manifest;
mod mapped;
mod names;
mod reader;
mod rows;
mod tensors;
mod writer;

pub use assemble::{AssembleError, Assembled, Assembly, Run};
pub use error::IndexError;
pub use files::IndexFiles;
pub(crate) use files::settled;
pub use finding::Finding;
pub(crate) use finite::first_not_finite;
pub use index::Index;
pub use manifest::{FileRecord, INDEX_MANIFEST, IndexManifest, ManifestError};
pub use names::{CODEC_FILES, PASSAGES_FILE, belongs_to_an_index};
pub use reader::OpenedIndex;
pub use rows::PassageRows;
pub use tensors::{IndexTensors, KEPT};
pub use writer::{WriteError, file_records, write_index, write_rows};
