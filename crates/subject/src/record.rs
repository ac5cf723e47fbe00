//! Recording a native run.

use std::collections::BTreeMap;
use std::path::Path;

use concord_engine::native::Native;
use concord_kernels::CONTRACT_VERSION;
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::{Capture, DiskStore, Progress, RunManifest, RunWriter};
use concord_tensor::BitHash;

use crate::error::RecordError;

/// What a manifest has beside the hash of a checkpoint's content, so that a run can be held against one of the agent's,
/// which may know the checkpoint by its files alone.
pub(crate) fn checkpoint_files(checkpoint: &Checkpoint) -> Option<(String, BitHash)> {
    Some(("checkpoint_files".to_owned(), checkpoint.files_hash()?))
}

/// What a manifest has of the inputs of a native run.
pub(crate) fn inputs(native: &Native) -> BTreeMap<String, BitHash> {
    let mut inputs = native.inputs();
    inputs.extend(checkpoint_files(native.checkpoint()));
    inputs
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
    let store = DiskStore::scratch(writer.scratch())?;
    let notices = native.evaluate(&store, Some(&writer), progress, |evaluator| {
        Ok::<_, RecordError>(native.notices(Some(evaluator))?)
    })?;
    let manifest = RunManifest::new(
        native.specification(),
        Some(CONTRACT_VERSION),
        inputs(native),
        native.options(),
    );
    writer.finish(&manifest)?;
    Ok(notices)
}
