//! What can keep two streams of elements from being compared.

use crate::error::TensorError;

/// Why two streams of elements could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClosenessError {
    /// The two chunks do not have as many elements as each other.
    #[error("chunks of {a} and {b} elements cannot be compared")]
    LengthsDiffer {
        /// The number in the first tensor's chunk.
        a: usize,
        /// The number in the second's.
        b: usize,
    },
    /// The chunks do not make up tensors of the shape announced.
    #[error("tensors of shape {shape:?} were announced, and {elements} elements given")]
    WrongCount {
        shape: Vec<usize>,
        /// The number of elements given.
        elements: usize,
    },
    /// A chunk has another dtype than was announced.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
