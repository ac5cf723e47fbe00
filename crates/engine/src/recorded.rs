//! What the manifest of an index says of how the engine computed that built it.

use std::num::NonZeroUsize;

use concord_index::format::IndexManifest;
use concord_pipeline::artifact::{AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS};
use serde_json::Value as Json;

use crate::options::{self, NativeOptions, OptionError};

/// The input of an index that was changed after it was built: the hash of its table of passages, in place of that of a
/// collection.
pub(crate) const PASSAGES_INPUT: &str = "passages";

/// The input of an index whose passages have ids of their own: the hash of these.
pub(crate) const IDS_INPUT: &str = "ids";

/// The input of an index whose passages have metadata: the hash of it.
pub(crate) const METADATA_INPUT: &str = "metadata";

/// What a codec is made of.
pub(crate) const CODEC: [&str; 4] = [CENTROIDS, BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL];

/// The option that says how many centroids were asked for, where they were.
pub(crate) const PARTITIONS: &str = "partitions";

/// How many centroids were asked for; `None` where it was left to the rule.
///
/// # Errors
/// When it is not a number of which there is at least one.
pub(crate) fn recorded_partitions(
    manifest: &IndexManifest,
) -> Result<Option<NonZeroUsize>, RecordedError> {
    let number = |value: &Json| {
        let number = value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok());
        let number = number.and_then(NonZeroUsize::new);
        number.ok_or_else(|| RecordedError::Unknown(PARTITIONS.to_owned()))
    };
    manifest.options.get(PARTITIONS).map(number).transpose()
}

/// Whether an index was changed after it was built, so that it is no collection's.
pub fn is_changed(manifest: &IndexManifest) -> bool {
    manifest.inputs.contains_key(PASSAGES_INPUT)
}

/// Whether an index was built from embeddings instead of texts, so that no checkpoint belongs to it.
pub fn is_of_embeddings(manifest: &IndexManifest) -> bool {
    !manifest.inputs.contains_key("checkpoint")
}

/// Whether the codec of an index was not trained on its passages: it was changed after it was built, or built with a codec
/// that was given. Those are built again by [`rebuild_changed`](crate::change::rebuild_changed).
pub fn has_given_codec(manifest: &IndexManifest) -> bool {
    let mut swaps = manifest
        .inputs
        .keys()
        .filter_map(|input| input.strip_prefix("swap "))
        .peekable();
    is_changed(manifest) || swaps.peek().is_some() && swaps.all(|name| CODEC.contains(&name))
}

/// Why the manifest does not say how the engine computed.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("the manifest's option `{0}` is missing, or not a value that this program knows")]
    Unknown(String),
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// The precision and the arithmetic that the index was built with, and the batch size where its bits depend on it.
///
/// # Errors
/// When one of these is missing, which it is in no manifest that Concord wrote, or none that this program knows.
pub fn recorded_options(manifest: &IndexManifest) -> Result<NativeOptions, RecordedError> {
    let unknown = |name: &str| RecordedError::Unknown(name.to_owned());
    let precision = manifest.options.get("precision").and_then(Json::as_str);
    let precision = precision.ok_or_else(|| unknown("precision"))?;
    let precision = format!("precision={precision}");
    let numerics = manifest.options.get("numerics").and_then(Json::as_array);
    let numerics = numerics.ok_or_else(|| unknown("numerics"))?.iter();
    let numerics: Option<Vec<&str>> = numerics.map(Json::as_str).collect();
    let numerics = numerics.ok_or_else(|| unknown("numerics"))?;
    let mut recorded = NativeOptions::parse(numerics.into_iter().chain([precision.as_str()]))?;
    if let Some(batch) = manifest.options.get("batch") {
        recorded.batch = Some(options::number("batch", &batch.to_string())?);
    }
    Ok(recorded)
}
