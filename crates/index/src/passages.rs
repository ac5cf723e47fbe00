//! What is known of the passages of an index beside their embeddings: their ids, and the hashes of their texts.
//!
//! [`PassageTable`] is the whole of it in memory, and what changes an index works on that. [`PassageDb`] is the file
//! that it lies in, from which a search reads the rows of what it found.

mod database;
mod table;

pub use database::{PassageDb, PassageDbError};
pub use table::{IdError, Known, PassageRecord, PassageTable};
