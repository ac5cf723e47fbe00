//! Taps: what the modules inside a stage compute.

use concord_tensor::{DType, RowsHash, Tensor};
use serde::{Deserialize, Serialize};

use crate::other_mask::OtherMask;
use crate::stage_error::StageError;

/// What one module inside a stage computed for one batch.
#[derive(Clone, Debug)]
pub struct Tap {
    /// The path of the module, `bert.encoder.layer.3.attention.self.query`.
    pub path: String,
    /// The number of the batch within the run of the stage.
    pub batch: usize,
    /// The dtype of the values.
    pub dtype: DType,
    /// Values per token.
    pub width: usize,
    /// The passages that are wanted, in the order of their rows.
    pub passages: Vec<TapRows>,
    /// Of attention: those of the passages whose masks are not the ordinary one, in the same order. `None` of any
    /// other module, and where the masks are not known.
    pub masks: Option<Vec<OtherMask>>,
    /// `(tokens of these passages, width)`, where the sink [wants](TapSink::wants_rows) them.
    pub rows: Option<Tensor>,
}

impl Tap {
    /// The tap of a module that computed `rows` `(tokens of the passages, width)`.
    ///
    /// # Errors
    /// When there are fewer rows than the passages have tokens.
    pub fn of(
        path: &str,
        batch: usize,
        passages: &[TappedPassage],
        rows: Tensor,
    ) -> Result<Tap, StageError> {
        let (dtype, width) = (rows.dtype(), rows.row_len());
        let mut first = 0;
        let mut of_passages = Vec::with_capacity(passages.len());
        for &TappedPassage { pid, tokens } in passages {
            let own = rows.slice_rows(first..first + tokens)?;
            let hash = RowsHash::of(dtype, [tokens, width], own.bytes());
            of_passages.push(TapRows { pid, tokens, hash });
            first += tokens;
        }
        Ok(Tap {
            path: path.to_owned(),
            batch,
            dtype,
            width,
            passages: of_passages,
            masks: None,
            rows: Some(rows),
        })
    }
}

/// The rows of one passage in a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapRows {
    pub pid: usize,
    /// How many rows.
    pub tokens: usize,
    /// The hash of the tensor `(tokens, width)`.
    pub hash: RowsHash,
}

/// A passage whose rows a module computes.
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
    /// Whether taps need their rows, which are then copied; otherwise they have their hashes alone.
    fn wants_rows(&self) -> bool;
    /// Takes one tap.
    ///
    /// # Errors
    /// What could not be done with it; the build stops.
    fn tap(&self, tap: Tap) -> Result<(), StageError>;
}
