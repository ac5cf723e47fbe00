//! The elements of a tensor that lies in several places, in order and in bounded memory.

use std::path::PathBuf;
use std::vec;

use concord_pipeline::{Pieces, RecordedRun, StoreError, StoredTensor};
use concord_tensor::closeness::ClosenessError;
use concord_tensor::{BitHash, FileError, Tensor, TensorError, TensorSource};

use crate::side::form::Form;
use crate::side::part::Part;

/// The most bytes of one side that are in memory at a time.
///
/// So little because a piece should stay in the processor's second cache between being read and being
/// compared, and because allocators give back larger ones to the system and have every page of the next
/// one faulted in again: with pieces of 4 MiB, comparing equal files takes seven times as long.
pub(crate) const PIECE: usize = 128 << 10;

/// Why the elements of an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ElementsError {
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob of a run cannot be opened.
    #[error(transparent)]
    Blob(#[from] StoreError),
    /// A blob of a run that was there is not any more.
    #[error("the run no longer has the tensor {0}; was it changed meanwhile?")]
    Gone(String),
    /// A blob of a run is not the tensor that its hash stands for.
    #[error("{path} is damaged: it holds {found}, and was recorded as {recorded}", path = path.display())]
    Damaged {
        path: PathBuf,
        /// What it was when it was recorded.
        recorded: String,
        found: String,
    },
    /// Elements could not be cut or converted.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The elements do not make up the tensors that were announced.
    #[error(transparent)]
    Closeness(#[from] ClosenessError),
}

/// Opens a blob of a run and checks that it has the form that was recorded; `None` if the run did not keep it.
pub(crate) fn open_blob(
    run: &RecordedRun,
    hash: BitHash,
    form: &Form,
) -> Result<Option<StoredTensor>, ElementsError> {
    let Some(source) = run.tensor(hash)? else {
        return Ok(None);
    };
    if source.dtype() != form.dtype || source.shape() != form.shape {
        return Err(ElementsError::Damaged {
            path: source.path().to_owned(),
            recorded: format!("{} {:?}", form.dtype, form.shape),
            found: format!("{} {:?}", source.dtype(), source.shape()),
        });
    }
    Ok(Some(source))
}

/// Reads the elements of several parts, one part after another.
pub(crate) struct Elements<'a> {
    rest: vec::IntoIter<Part<'a>>,
    current: Option<Current>,
}

struct Current {
    origin: Origin,
    next: usize,
    end: usize,
}

enum Origin {
    File(TensorSource),
    /// Whose elements are checked against the hash when the last of them is read.
    Blob(Pieces),
    Memory(Tensor),
}

impl<'a> Elements<'a> {
    pub(crate) fn new(parts: Vec<Part<'a>>) -> Elements<'a> {
        Elements {
            rest: parts.into_iter(),
            current: None,
        }
    }

    /// How many elements can be read at once; 0 at the end.
    pub(crate) fn available(&mut self) -> Result<usize, ElementsError> {
        let current = self.current()?;
        Ok(current.map_or(0, |current| current.end - current.next))
    }

    /// The next elements as a one-dimensional tensor: at most as many as are
    /// [available](Elements::available) and as `at_most`; `None` where that is none.
    pub(crate) fn next(&mut self, at_most: usize) -> Result<Option<Tensor>, ElementsError> {
        let Some(current) = self.current()?.filter(|_| at_most > 0) else {
            return Ok(None);
        };
        let end = current.end.min(current.next.saturating_add(at_most));
        let range = std::mem::replace(&mut current.next, end)..end;
        Ok(Some(match &mut current.origin {
            Origin::File(source) => source.read_range(range)?,
            Origin::Blob(pieces) => pieces.next(range.len())?,
            Origin::Memory(tensor) => tensor.slice_rows(range)?,
        }))
    }

    /// The part whose turn it is, with elements left in it.
    fn current(&mut self) -> Result<Option<&mut Current>, ElementsError> {
        while self.current.as_ref().is_none_or(|c| c.next == c.end) {
            let Some(part) = self.rest.next() else {
                self.current = None;
                break;
            };
            let end = part.len();
            let origin = match part {
                Part::File { source, .. } => Origin::File(source),
                Part::Memory(tensor) => Origin::Memory(tensor.reshape(vec![end])?),
                Part::Blob { run, hash, form } => {
                    let opened = open_blob(run, hash, &form)?;
                    let mut pieces = opened
                        .ok_or_else(|| ElementsError::Gone(hash.to_string()))?
                        .pieces();
                    if end == 0 {
                        pieces.next(0)?;
                    }
                    Origin::Blob(pieces)
                }
            };
            let next = 0;
            self.current = Some(Current { origin, next, end });
        }
        Ok(self.current.as_mut())
    }
}
