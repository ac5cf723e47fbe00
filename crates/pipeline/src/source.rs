//! What a graph begins with.

use crate::manifest::ChunkRecord;
use crate::stage_error::StageError;
use crate::value::Value;

/// An artifact that no stage makes: an input of the graph.
pub trait Source: Send + Sync {
    fn name(&self) -> &'static str;
    /// How many chunks it has.
    fn chunks(&self) -> usize;
    /// One of them.
    ///
    /// # Errors
    /// When it cannot be read.
    fn value(&self, chunk: usize) -> Result<Value, StageError>;

    /// What one of them is, if that is known without its value.
    fn record(&self, _chunk: usize) -> Option<ChunkRecord> {
        None
    }
}
