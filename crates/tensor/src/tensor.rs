//! The tensor itself.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::dtype::DType;
use crate::element::Element;
use crate::element::Storage;
use crate::error::TensorError;
use crate::hash::{BitHash, TensorHasher};

/// Numbers of one dtype in a row-major box of any number of dimensions.
///
/// Immutable and cheap to clone: clones, row slices and reshaped tensors share one allocation.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    /// Where in the storage this tensor's elements begin, counted in elements.
    offset: usize,
    len: usize,
    shape: Vec<usize>,
}

impl Tensor {
    /// A tensor of the given shape over `data` in row-major order. Takes the vector as it is.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if the shape does not hold exactly `data.len()` elements,
    /// [`TensorError::ShapeTooLarge`] if it overflows.
    pub fn new<T: Element>(
        shape: impl Into<Vec<usize>>,
        data: Vec<T>,
    ) -> Result<Tensor, TensorError> {
        Tensor::over(shape.into(), T::store(data))
    }

    /// A zero-dimensional tensor.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor {
            storage: Arc::new(T::store(vec![value])),
            offset: 0,
            len: 1,
            shape: Vec::new(),
        }
    }

    /// A one-dimensional tensor.
    pub fn vector<T: Element>(data: Vec<T>) -> Tensor {
        let len = data.len();
        Tensor {
            storage: Arc::new(T::store(data)),
            offset: 0,
            len,
            shape: vec![len],
        }
    }

    /// A tensor from the little-endian bytes of its elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::ByteLengthMismatch`], [`TensorError::ShapeTooLarge`], or
    /// [`TensorError::InvalidBool`] for a bool that is neither 0 nor 1.
    pub fn from_le_bytes(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        bytes: &[u8],
    ) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let expected = element_count(dtype, &shape)? * dtype.size();
        if bytes.len() != expected {
            let actual = bytes.len();
            return Err(TensorError::ByteLengthMismatch {
                dtype,
                shape,
                expected,
                actual,
            });
        }
        let len = bytes.len() / dtype.size();
        let storage = infallible(Storage::filled(dtype, len, |out| {
            out.copy_from_slice(bytes);
            Ok(())
        }))?;
        Tensor::over(shape, storage)
    }

    /// A one-dimensional tensor of the whole storage.
    pub(crate) fn flat(storage: Storage) -> Tensor {
        let len = storage.bytes().len() / storage.dtype().size();
        Tensor {
            storage: Arc::new(storage),
            offset: 0,
            len,
            shape: vec![len],
        }
    }

    fn over(shape: Vec<usize>, storage: Storage) -> Result<Tensor, TensorError> {
        let dtype = storage.dtype();
        let expected = element_count(dtype, &shape)?;
        let actual = storage.bytes().len() / dtype.size();
        if actual != expected {
            return Err(TensorError::LengthMismatch {
                shape,
                expected,
                actual,
            });
        }
        Ok(Tensor {
            storage: Arc::new(storage),
            offset: 0,
            len: actual,
            shape,
        })
    }

    pub fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    /// The size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size of the outermost dimension; 1 for a zero-dimensional tensor.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The number of elements in one row: the product of all dimensions but the outermost.
    pub fn row_len(&self) -> usize {
        // Cannot overflow: `element_count` bounds the product even where a dimension is zero.
        self.shape.iter().skip(1).product()
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`TensorError::DTypeMismatch`] if they are not of type `T`.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        T::view(&self.storage)
            .map(|all| &all[self.offset..self.offset + self.len])
            .ok_or(TensorError::DTypeMismatch {
                requested: T::DTYPE,
                actual: self.dtype(),
            })
    }

    /// The elements in row-major order as little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        let size = self.dtype().size();
        &self.storage.bytes()[self.offset * size..(self.offset + self.len) * size]
    }

    /// The same elements in another shape. Shares the storage.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] or [`TensorError::ShapeTooLarge`].
    pub fn reshape(&self, shape: impl Into<Vec<usize>>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let expected = element_count(self.dtype(), &shape)?;
        if expected != self.len {
            return Err(TensorError::LengthMismatch {
                shape,
                expected,
                actual: self.len,
            });
        }
        Ok(Tensor {
            shape,
            ..self.clone()
        })
    }

    /// Whether the two are one: the same shape over the same place in memory.
    pub fn is_same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
            && self.offset == other.offset
            && self.shape == other.shape
    }

    /// The rows of a range, in a tensor of as many dimensions. Shares the storage.
    ///
    /// # Errors
    /// [`TensorError::NoRowAxis`] for a zero-dimensional tensor,
    /// [`TensorError::RowsOutOfRange`].
    pub fn slice_rows(&self, range: Range<usize>) -> Result<Tensor, TensorError> {
        let Some(&rows) = self.shape.first() else {
            return Err(TensorError::NoRowAxis);
        };
        let Range { start, end } = range;
        if start > end || end > rows {
            return Err(TensorError::RowsOutOfRange { start, end, rows });
        }
        let mut shape = self.shape.clone();
        shape[0] = end - start;
        let row_len = self.row_len();
        Ok(Tensor {
            storage: Arc::clone(&self.storage),
            offset: self.offset + start * row_len,
            len: (end - start) * row_len,
            shape,
        })
    }

    /// One tensor of all rows of the parts, in their order.
    ///
    /// # Errors
    /// [`TensorError::NothingToConcatenate`], [`TensorError::NoRowAxis`], and
    /// [`TensorError::RowsDiffer`] if a part has another dtype or row shape than the first.
    pub fn concat_rows(parts: &[Tensor]) -> Result<Tensor, TensorError> {
        let first = parts.first().ok_or(TensorError::NothingToConcatenate)?;
        let (_, row) = first.shape.split_first().ok_or(TensorError::NoRowAxis)?;
        let dtype = first.dtype();
        let mut rows = 0_usize;
        for (index, part) in parts.iter().enumerate() {
            if part.dtype() != dtype || part.shape.get(1..) != Some(row) {
                return Err(TensorError::RowsDiffer {
                    index,
                    dtype: part.dtype(),
                    shape: part.shape.clone(),
                    expected_dtype: dtype,
                    expected_row: row.to_vec(),
                });
            }
            rows = rows.saturating_add(part.shape[0]);
        }
        let mut shape = first.shape.clone();
        shape[0] = rows;
        let len = element_count(dtype, &shape)?;
        let storage = infallible(Storage::filled(dtype, len, |mut out| {
            for part in parts {
                let (head, rest) = out.split_at_mut(part.bytes().len());
                head.copy_from_slice(part.bytes());
                out = rest;
            }
            Ok(())
        }))?;
        Tensor::over(shape, storage)
    }

    /// The hash of dtype, shape and bits; [`BitHash`] says of what exactly.
    pub fn hash(&self) -> BitHash {
        let mut hasher = TensorHasher::new(self.dtype(), &self.shape);
        hasher.update(self.bytes());
        hasher.finish()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}, {:?})", self.dtype(), self.shape)
    }
}

/// Drops the error of a source that cannot fail.
fn infallible<T>(result: Result<Result<T, TensorError>, Infallible>) -> Result<T, TensorError> {
    match result {
        Ok(inner) => inner,
        Err(never) => match never {},
    }
}

/// The number of elements in a shape.
///
/// The product of the dimensions that are not zero must fit memory too. Then the length of a row
/// is computable for every tensor, and empty ones of absurd extent are refused, as PyTorch does.
///
/// # Errors
/// [`TensorError::ShapeTooLarge`].
pub(crate) fn element_count(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    let bytes = shape
        .iter()
        .filter(|&&size| size != 0)
        .try_fold(dtype.size(), |product, &size| product.checked_mul(size))
        .filter(|&bytes| isize::try_from(bytes).is_ok());
    match bytes {
        Some(_) if shape.contains(&0) => Ok(0),
        Some(bytes) => Ok(bytes / dtype.size()),
        None => Err(TensorError::ShapeTooLarge {
            dtype,
            shape: shape.to_vec(),
        }),
    }
}
