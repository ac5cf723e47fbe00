//! Where the elements of a tensor lie.

use concord_pipeline::RecordedRun;
use concord_tensor::{BitHash, Tensor, TensorSource};

use super::form::Form;

/// A stretch of the elements of a tensor, in row-major order.
#[derive(Clone)]
pub(crate) enum Part<'a> {
    /// The first `len` elements of a tensor in a file.
    File {
        source: TensorSource,
        len: usize,
    },
    /// A tensor that a run keeps, opened when it is its turn: a run may have more of them than a
    /// process may have open files.
    Blob {
        run: &'a RecordedRun,
        hash: BitHash,
        form: Form,
    },
    Memory(Tensor),
}

impl Part<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Part::File { len, .. } => *len,
            // The product was checked when the forms of the chunks were joined.
            Part::Blob { form, .. } => form.shape.iter().product(),
            Part::Memory(tensor) => tensor.len(),
        }
    }
}
