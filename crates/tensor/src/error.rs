//! The ways in which asking something of a tensor can be wrong.

use crate::dtype::DType;

/// Why a tensor could not be made, viewed or converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The number of elements given is not the product of the shape.
    #[error("{actual} elements do not fill shape {shape:?}, which holds {expected}")]
    LengthMismatch {
        shape: Vec<usize>,
        /// How many elements that shape holds.
        expected: usize,
        /// How many elements there were.
        actual: usize,
    },
    /// The number of bytes given is not what shape and dtype need.
    #[error(
        "{actual} bytes do not fill a {dtype} tensor of shape {shape:?}, which takes {expected}"
    )]
    ByteLengthMismatch {
        dtype: DType,
        shape: Vec<usize>,
        /// How many bytes that takes.
        expected: usize,
        /// How many bytes there were.
        actual: usize,
    },
    /// The shape names more bytes than memory can address.
    #[error("a {dtype} tensor of shape {shape:?} is larger than memory can address")]
    ShapeTooLarge { dtype: DType, shape: Vec<usize> },
    /// The elements were asked for as another type than they have.
    #[error("the tensor holds {actual}, not {requested}")]
    DTypeMismatch {
        requested: DType,
        /// The dtype the tensor has.
        actual: DType,
    },
    /// A byte of a bool tensor is neither 0 nor 1.
    #[error("element {index} of a bool tensor is the byte {byte:#04x}, which is neither 0 nor 1")]
    InvalidBool {
        /// Flat index of the element.
        index: usize,
        byte: u8,
    },
    /// A value has no counterpart in the integer type it was to be cast to.
    #[error("element {index} is {value}, which does not fit {to}")]
    CastOutOfRange {
        /// Flat index of the element.
        index: usize,
        value: String,
        /// The dtype it was to be cast to.
        to: DType,
    },
    /// A range of rows ends past the last row or before it begins.
    #[error("rows {start}..{end} are not within a tensor of {rows} rows")]
    RowsOutOfRange {
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// How many rows the tensor has.
        rows: usize,
    },
    /// A zero-dimensional tensor has no row axis to slice or join along.
    #[error("a zero-dimensional tensor has no rows; reshape it to [1] first")]
    NoRowAxis,
    /// Nothing was given to concatenate, so neither dtype nor row shape is known.
    #[error("no tensors were given to concatenate")]
    NothingToConcatenate,
    /// The tensors to concatenate do not agree on dtype or on the shape of a row.
    #[error(
        "part {index} has dtype {dtype} and shape {shape:?}, which cannot follow rows of \
         dtype {expected_dtype} and shape {expected_row:?}"
    )]
    RowsDiffer {
        /// Position of the part that does not fit.
        index: usize,
        dtype: DType,
        shape: Vec<usize>,
        /// The dtype of the first part.
        expected_dtype: DType,
        /// The shape of one row of the first part.
        expected_row: Vec<usize>,
    },
}
