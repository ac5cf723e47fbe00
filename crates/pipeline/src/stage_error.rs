//! Why a stage, a source or an observer could not go on.

use std::error::Error;

/// Whatever the crate of the stage has to say. An error that only passes through a stage keeps its type, so
/// that whoever made it can find it again with `downcast`.
pub type StageError = Box<dyn Error + Send + Sync>;
