//! The JSON files of an index, and how the reference lays them out.

use std::io::Write;
use std::path::Path;

use concord_pipeline::publish::{PublishError, write_file};
use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};

/// `metadata.json`.
#[derive(Serialize)]
pub(super) struct Metadata<'a, C> {
    pub(super) config: &'a C,
    pub(super) num_chunks: usize,
    pub(super) num_partitions: usize,
    pub(super) num_embeddings: usize,
    pub(super) avg_doclen: f64,
}

/// `plan.json`.
#[derive(Serialize)]
pub(super) struct PlanJson<'a, C> {
    pub(super) config: &'a C,
    pub(super) num_chunks: usize,
    pub(super) num_partitions: usize,
    pub(super) num_embeddings_est: f64,
    pub(super) avg_doclen_est: f64,
}

/// `i.metadata.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct ChunkMetadata {
    pub(super) passage_offset: usize,
    pub(super) num_passages: usize,
    pub(super) num_embeddings: usize,
    pub(super) embedding_offset: usize,
}

/// Writes JSON with an indent of four and a newline at the end.
pub(super) fn write_indented(path: &Path, value: &impl Serialize) -> Result<(), PublishError> {
    write_file(path, |file| {
        value.serialize(&mut Serializer::with_formatter(
            &mut *file,
            PrettyFormatter::with_indent(b"    "),
        ))?;
        file.write_all(b"\n")
    })
}

/// Writes JSON without spaces or newlines.
pub(super) fn write_compact(path: &Path, value: &impl Serialize) -> Result<(), PublishError> {
    write_file(path, |file| Ok(serde_json::to_writer(file, value)?))
}
