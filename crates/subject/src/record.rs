//! Recording a native run.

use std::path::Path;

use concord_kernels::CONTRACT_VERSION;
use concord_model::encoder::BuildError;
use concord_pipeline::{
    Capture, DiskStore, EvaluateError, Progress, RunError, RunManifest, RunWriter, StoreError,
};

use crate::agent::AgentError;
use crate::native::{Native, NativeError};
use crate::probe::ProbeError;
use crate::swap::SwapError;
use crate::torch::TorchError;

/// Why a run could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The run could not be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Taps are asked for at a module that does not exist.
    #[error(transparent)]
    Module(#[from] BuildError),
    /// The working store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// PyTorch's process failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A PyTorch subject cannot run.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// What follows PyTorch's encoder cannot run.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// PyTorch's embeddings cannot be gone on with.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// A probe cannot be made.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// An artifact could not be computed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// Runs `native` from the beginning and records it at `out`. Returns remarks for the user.
///
/// # Errors
/// When a tap names no module, or the run cannot be computed or written; nothing is then left at `out`.
pub fn record(
    native: &Native,
    capture: Capture,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Vec<String>, RecordError> {
    native.check_modules(&capture.taps)?;
    let writer = RunWriter::create(out, capture)?;
    let store = DiskStore::open(writer.scratch())?;
    let notices = native.evaluate(&store, Some(&writer), progress, |evaluator| {
        Ok::<_, RecordError>(native.notices(Some(evaluator))?)
    })?;
    let manifest = RunManifest::new(
        native.word(),
        Some(CONTRACT_VERSION),
        native.inputs(),
        native.options(),
    );
    writer.finish(&manifest)?;
    Ok(notices)
}
