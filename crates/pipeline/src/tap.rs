//! Taps: what the modules inside a stage compute.

use concord_tensor::Tensor;

use crate::stage_error::StageError;

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
    pub pid: usize,
    /// How many rows are its own.
    pub tokens: usize,
}

/// Takes taps. Calls come in the order of batches, and within a batch in the order of computation.
///
/// A sink is no source: what modules are given instead of what they computed comes from
/// [`Replacements`](crate::replacements::Replacements).
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
}
