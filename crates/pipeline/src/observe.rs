//! Listening to a build: progress, artifacts as they become known, and taps inside a stage.

use concord_tensor::{BitHash, Tensor};
use serde::{Deserialize, Serialize};

use crate::forcing::Replacements;
use crate::manifest::ChunkRecord;
use crate::stage::StageError;
use crate::value::Value;

/// Told how far a stage has come.
pub trait Progress: Send + Sync {
    /// `stage` has done `done` of `total` units (passages, iterations, …) so far.
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str);
    /// A chunk of `stage` was found in the store and not computed again.
    fn reused(&self, stage: &str, chunk: usize);
    /// A chunk of `stage` was computed.
    fn computed(&self, stage: &str, chunk: usize);
}

/// Progress that nobody watches.
pub struct NoProgress;

impl Progress for NoProgress {
    fn advanced(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn reused(&self, _: &str, _: usize) {}
    fn computed(&self, _: &str, _: usize) {}
}

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
    /// The artifact's name.
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

/// What one module inside a stage computed for one batch.
#[derive(Clone, Debug)]
pub struct Tap {
    /// The path of the module, `bert.encoder.layer.3.attention.self.query`.
    pub path: String,
    /// The number of the batch within the run of the stage.
    pub batch: usize,
    /// The passages whose rows `rows` holds, in order.
    pub passages: Vec<TappedPassage>,
    /// `(tokens of these passages, width)`.
    pub rows: Tensor,
}

/// The rows of one passage in a [`Tap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TappedPassage {
    /// The passage.
    pub pid: usize,
    /// How many rows are its own.
    pub tokens: usize,
}

/// Takes taps. Calls come in the order of batches, and within a batch in the order of computation.
pub trait TapSink: Send + Sync {
    /// Whether the rows of `pid` are wanted.
    fn wants_passage(&self, pid: usize) -> bool;
    /// Whether the module at `path` is wanted.
    fn wants_path(&self, path: &str) -> bool;
    /// Takes one tap.
    ///
    /// # Errors
    /// What could not be done with it; the build stops.
    fn tap(&self, tap: Tap) -> Result<(), StageError>;
    /// What modules give on instead of what they computed, which is recorded first: a tap is what its
    /// module made of inputs that may have been replaced. Not for the observer of an evaluation, in which a
    /// stage's outputs would no longer follow from its inputs.
    fn replacements(&self) -> Option<&dyn Replacements> {
        None
    }
}
