//! What is known of the passages of an index beside their embeddings: their ids, the hashes of their texts,
//! and their metadata, a JSON object each.
//!
//! [`PassageTable`] is the whole of it in memory, and what changes an index works on that. [`PassageDb`] is the file
//! that it lies in, from which a search reads the rows of what it found.

mod database;
mod fields;
mod metadata;
mod table;

pub use database::{PassageDb, PassageDbError};
pub use fields::{Comparable, Field, Kind};
pub use table::{IdError, Known, PassageRecord, PassageTable};
