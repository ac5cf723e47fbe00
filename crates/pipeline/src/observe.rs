//! Listening to a build: artifacts as they become known.

use concord_tensor::BitHash;
use serde::{Deserialize, Serialize};

use crate::manifest::ChunkRecord;
use crate::stage_error::StageError;
use crate::tap::TapSink;
use crate::value::Value;

/// Told about every chunk of every artifact that is asked for, once each.
pub trait Observer: Send + Sync {
    /// Whether [`Observer::artifact`] needs the value of this artifact, not only its record.
    fn wants_value(&self, name: &str) -> bool;
    /// A chunk of an artifact is known.
    ///
    /// # Errors
    /// What the observer could not do with it; the build stops.
    fn artifact(&self, event: &ArtifactEvent, value: Option<&Value>) -> Result<(), StageError>;
    /// Where the taps of stages go, if this observer takes them.
    fn taps(&self) -> Option<&dyn TapSink>;
}

/// One chunk of one artifact, as it became known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactEvent {
    pub artifact: String,
    /// The number of the chunk.
    pub chunk: usize,
    /// The hash of what it was made from; absent for a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<BitHash>,
    /// Its hash and its tensors.
    #[serde(flatten)]
    pub record: ChunkRecord,
}
