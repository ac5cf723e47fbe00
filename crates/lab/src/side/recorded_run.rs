//! What a recorded run knows of an artifact.

use std::path::Path;

use concord_pipeline::RecordedRun;

use super::artifact::{Artifact, Field, Values, recorded_fields};
use super::error::SideError;

/// The artifact of that name, its values to be looked for under the hashes of its chunks.
pub(super) fn artifact<'a>(
    path: &Path,
    run: &'a RecordedRun,
    name: &str,
) -> Result<Option<Artifact<'a>>, SideError> {
    let Some(record) = run.artifacts().iter().find(|record| record.name == name) else {
        return Ok(None);
    };
    let fields = recorded_fields(path, record)?
        .into_iter()
        .map(|(name, recorded)| Field {
            name,
            recorded: Some(recorded),
            values: Values::Blobs(run),
        })
        .collect();
    Ok(Some(Artifact { fields }))
}
