//! Why there is no answer.

use std::path::PathBuf;

use concord_engine::swap::SwapError;
use concord_pipeline::{EvaluateError, ForcingError, RunError, StoreError};
use concord_subject::agent::AgentError;
use concord_subject::error::RecordError;
use concord_subject::operations::OperationError;
use concord_tensor::{FileError, TensorError};

use crate::diff::DiffError;
use crate::formula::FormulaError;
use crate::reveal::RevealError;
use crate::side::SideError;

/// Why two builds cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A side is an index or a file.
    #[error("{path} is no recorded run", path = .0.display())]
    NotARun(PathBuf),
    #[error(transparent)]
    Side(#[from] SideError),
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An artifact cannot be put into a graph.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// A stage fails on the other side's inputs.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The values of a probe cannot be read.
    #[error(transparent)]
    Forcing(#[from] ForcingError),
    /// A blob of a run cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The order of additions cannot be told.
    #[error(transparent)]
    Reveal(#[from] RevealError),
    /// The formula of an operation cannot be told.
    #[error(transparent)]
    Formula(#[from] FormulaError),
    /// They are not what a probe has.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
