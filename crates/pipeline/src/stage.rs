//! Stages: pure functions from artifacts to artifacts.

use concord_tensor::Tensor;

use crate::progress::Progress;
use crate::stage_error::StageError;
use crate::tap::TapSink;
use crate::value::Value;

/// What a stage reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The chunk of the artifact that has the number of the chunk being made.
    SameChunk(&'static str),
    /// All chunks of the artifact.
    Whole(&'static str),
}

impl Input {
    /// The artifact's name.
    pub fn name(&self) -> &'static str {
        match self {
            Input::SameChunk(name) | Input::Whole(name) => name,
        }
    }
}

/// Whether an output is worth disk space while building.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Goes into the store: dear to compute, or read by more than the next stage.
    Stored,
    /// Passed on in memory; its record is remembered, and it is computed again when asked for later.
    Transient,
}

/// What a stage makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The artifact's name.
    pub name: &'static str,
    /// Whether it goes into the store.
    pub keep: Keep,
}

impl Output {
    /// An output that goes into the store.
    pub const fn stored(name: &'static str) -> Output {
        Output {
            name,
            keep: Keep::Stored,
        }
    }

    /// An output that is passed on in memory.
    pub const fn transient(name: &'static str) -> Output {
        Output {
            name,
            keep: Keep::Transient,
        }
    }
}

/// Whether a stage makes one chunk at a time or a whole artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Called for every chunk of the grid.
    EachChunk,
    /// Called once; its outputs have a single chunk.
    Once,
}

/// A pure function from artifacts to artifacts.
///
/// Pure: the outputs depend on the inputs and on [`Stage::settings`], bit for bit, and on nothing else.
/// Batch size, threads and instruction set may decide how fast it is.
pub trait Stage: Send + Sync {
    /// The name, a verb: `encode`, `cluster`, …
    fn name(&self) -> &'static str;
    /// Everything beside the inputs that the outputs depend on, as text.
    fn settings(&self) -> String;
    /// What it reads.
    fn inputs(&self) -> &[Input];
    /// What it makes, in the order in which [`Stage::run`] returns the values.
    fn outputs(&self) -> &[Output];
    /// One chunk at a time, or all at once.
    fn scope(&self) -> Scope;
    /// Whether it reports taps while it runs.
    fn has_taps(&self) -> bool {
        false
    }
    /// Computes the outputs.
    ///
    /// # Errors
    /// Whatever makes the outputs impossible, in the words of the stage's own crate.
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError>;
}

/// One call of a stage: its inputs, and whom to tell.
pub struct Call<'a> {
    pub(crate) chunk: usize,
    pub(crate) first_pid: usize,
    pub(crate) passages: usize,
    pub(crate) inputs: &'a dyn Inputs,
    pub(crate) taps: Option<&'a dyn TapSink>,
    pub(crate) stage: &'static str,
    pub(crate) progress: &'a dyn Progress,
}

/// Where a call gets its inputs from.
pub(crate) trait Inputs {
    fn chunks(&self, name: &str) -> Result<usize, StageError>;
    fn load(&self, name: &str, chunk: usize) -> Result<Value, StageError>;
}

impl<'a> Call<'a> {
    /// The number of the chunk being made.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// The first passage of the chunk; for taps and messages, never for arithmetic.
    pub fn first_pid(&self) -> usize {
        self.first_pid
    }

    /// The number of passages of the collection; for messages and checks, never for arithmetic.
    pub fn passages(&self) -> usize {
        self.passages
    }

    /// The input named: its same chunk, or the only chunk of a whole artifact.
    ///
    /// # Errors
    /// When it cannot be computed or loaded.
    pub fn value(&self, name: &str) -> Result<Value, StageError> {
        let chunk = if self.inputs.chunks(name)? == 1 {
            0
        } else {
            self.chunk
        };
        self.inputs.load(name, chunk)
    }

    /// The single tensor of the input named.
    ///
    /// # Errors
    /// As [`Call::value`]; and when the input is made of several fields.
    pub fn tensor(&self, name: &str) -> Result<Tensor, StageError> {
        self.field(name, "")
    }

    /// One field of the input named.
    ///
    /// # Errors
    /// As [`Call::value`]; and when it has no such field.
    pub fn field(&self, name: &str, field: &str) -> Result<Tensor, StageError> {
        let value = self.value(name)?;
        let missing = || format!("artifact `{name}` has no field `{field}`");
        Ok(value.field(field).ok_or_else(missing)?.clone())
    }

    /// The chunks of a whole input, loaded one at a time.
    ///
    /// # Errors
    /// When the number of chunks cannot be found out; each item, when it cannot be loaded.
    pub fn chunks(
        &self,
        name: &'a str,
    ) -> Result<impl Iterator<Item = Result<Value, StageError>> + 'a, StageError> {
        let (count, inputs) = (self.inputs.chunks(name)?, self.inputs);
        Ok((0..count).map(move |chunk| inputs.load(name, chunk)))
    }

    /// Where taps go; `None` when nobody asked for any.
    pub fn taps(&self) -> Option<&'a dyn TapSink> {
        self.taps
    }

    /// Reports that `done` of `total` units are done.
    pub fn advanced(&self, done: u64, total: u64, unit: &str) {
        self.progress.advanced(self.stage, done, total, unit);
    }

    /// [`Call::advanced`] for the threads that a stage shares its work among.
    pub fn progress(&self) -> impl Fn(u64, u64, &str) + Send + Sync + 'a {
        let (stage, progress) = (self.stage, self.progress);
        move |done, total, unit| progress.advanced(stage, done, total, unit)
    }
}
