//! Subjects that can be run, whatever they are.

use std::path::Path;

use concord_pipeline::{Capture, Progress};

use crate::native::Native;
use crate::record::{self, RecordError};
use crate::torch::Torch;

/// A subject that can be run, on a checkpoint and a collection.
pub enum Live {
    /// The native engine.
    Native(Box<Native>),
    /// A version of PyTorch.
    Torch(Box<Torch>),
}

impl Live {
    /// The subject in one word.
    pub fn word(&self) -> String {
        match self {
            Live::Native(native) => native.word(),
            Live::Torch(torch) => torch.word(),
        }
    }

    /// The number of passages.
    pub fn passages(&self) -> usize {
        match self {
            Live::Native(native) => native.grid().passages(),
            Live::Torch(torch) => torch.passages(),
        }
    }

    /// Runs the subject from the beginning and records it at `out`. Returns remarks for the user.
    ///
    /// # Errors
    /// When a tap names no module, or the run cannot be computed or written; nothing is then left at `out`.
    pub fn record(
        &self,
        capture: Capture,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RecordError> {
        match self {
            Live::Native(native) => record::record(native, capture, out, progress),
            Live::Torch(torch) => torch.record(capture, out, progress),
        }
    }
}
