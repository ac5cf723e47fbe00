//! Recording a native run.

use std::path::Path;

use concord_engine::native::Native;
use concord_kernels::CONTRACT_VERSION;
use concord_pipeline::{Capture, DiskStore, Progress, RunManifest, RunWriter};

use crate::error::RecordError;

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
        native.specification(),
        Some(CONTRACT_VERSION),
        native.inputs(),
        native.options(),
    );
    writer.finish(&manifest)?;
    Ok(notices)
}
