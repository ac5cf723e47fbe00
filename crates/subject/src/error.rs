//! Why a subject cannot be run, recorded or probed.

use std::io;

use concord_engine::native::NativeError;
use concord_engine::settings::DEFAULT_SEED;
use concord_engine::swap::SwapError;
use concord_model::encoder::BuildError;
use concord_model::tokenizer::TokenizerError;
use concord_pipeline::{EvaluateError, ForcingError, RunError, StageError, StoreError};

use crate::agent::AgentError;
use crate::python::TransformersError;

/// Why a run could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Run(#[from] RunError),
    /// Taps are asked for at a module that does not exist.
    #[error(transparent)]
    Module(#[from] BuildError),
    /// The working store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Torch(#[from] TorchError),
    #[error(transparent)]
    Native(#[from] NativeError),
    /// PyTorch's embeddings cannot be gone on with.
    #[error(transparent)]
    Swap(#[from] SwapError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// Why a probe cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A passage that the collection does not have.
    #[error("batch {batch} asks for passage {pid}, and the collection has {passages} passages")]
    NoSuchPassage {
        batch: usize,
        pid: usize,
        passages: usize,
    },
    #[error("batch {0} has no passages")]
    EmptyBatch(usize),
    #[error("passage {pid}: {source}")]
    Tokenizer { pid: usize, source: TokenizerError },
    /// A module cannot be given what the other run computed.
    #[error(transparent)]
    Forcing(#[from] ForcingError),
    #[error("recording the probe: {0}")]
    Recording(StageError),
}

impl From<StageError> for ProbeError {
    fn from(error: StageError) -> ProbeError {
        match error.downcast::<ForcingError>() {
            Ok(error) => ProbeError::Forcing(*error),
            Err(error) => ProbeError::Recording(error),
        }
    }
}

/// Why a PyTorch subject cannot run.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    #[error("the collection has no passages")]
    Empty,
    /// `colbert-ai` runs from end to end.
    #[error(
        "engine=colbert runs colbert-ai's own indexer from end to end, which takes no --swap: swap into \
         `native` or engine=bert"
    )]
    Swap,
    /// `colbert-ai` has its seed in its code.
    #[error(
        "engine=colbert has the seed {DEFAULT_SEED} in its code: --seed is for `native` and engine=bert"
    )]
    Seed,
    /// `colbert-ai` pads in its own way.
    #[error("engine=colbert pads as colbert-ai does: pad= is for engine=bert")]
    Pad,
    /// `colbert-ai` loads its model in evaluation mode.
    #[error("engine=colbert has no dropout=on: it is for engine=bert")]
    Dropout,
    /// No environment has these versions and options together.
    #[error(transparent)]
    Transformers(#[from] TransformersError),
    /// The agent read something else than it was given.
    #[error("PyTorch's process has another {0} than it was given, which is a fault of Concord's")]
    OtherInput(String),
    /// A file for the agent cannot be written.
    #[error("cannot write the passages for PyTorch's process: {0}")]
    Inputs(#[from] io::Error),
}
