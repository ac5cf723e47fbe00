//! Tensors that lie under their hashes, checked while they are read.

use std::ops::Range;
use std::path::Path;

use concord_tensor::{
    BitHash, DType, FileError, RowsHash, Tensor, TensorHasher, TensorSource, safetensors,
};

use crate::store_error::StoreError;

/// The name of the tensor inside a blob.
pub(crate) const BLOB_TENSOR: &str = "tensor";

/// A tensor that a run or a store keeps under its hash.
///
/// Opened, its dtype and shape are what its file says. Its elements are handed out only with a check against a
/// hash: the whole of them, or rows that have a hash of their own.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    source: TensorSource,
    hash: BitHash,
}

impl StoredTensor {
    /// Opens the blob at `path`, which is named for `hash`.
    pub(crate) fn open(path: &Path, hash: BitHash) -> Result<StoredTensor, FileError> {
        let source = safetensors::open_written(path, BLOB_TENSOR)?;
        Ok(StoredTensor { source, hash })
    }

    pub fn path(&self) -> &Path {
        self.source.path()
    }

    pub fn dtype(&self) -> DType {
        self.source.dtype()
    }

    /// The size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        self.source.shape()
    }

    /// The whole tensor.
    ///
    /// # Errors
    /// When it cannot be read, or is not what its hash stands for.
    pub fn read(&self) -> Result<Tensor, StoreError> {
        let tensor = self.source.read()?;
        if tensor.hash() == self.hash {
            Ok(tensor)
        } else {
            Err(self.damaged())
        }
    }

    /// Its rows `range`, as a tensor `(rows, width)` whose hash was recorded by itself.
    ///
    /// # Errors
    /// When there are no such rows, they cannot be read, or are not what `hash` stands for.
    pub fn rows(
        &self,
        range: Range<usize>,
        width: usize,
        hash: RowsHash,
    ) -> Result<Tensor, StoreError> {
        let [start, end] = [range.start, range.end].map(|row| row.saturating_mul(width));
        let rows = self.source.read_range(start..end)?;
        let rows = rows.reshape([range.len(), width]).ok();
        let shape = [range.len(), width];
        rows.filter(|rows| RowsHash::by(hash.rule(), rows.dtype(), shape, rows.bytes()) == hash)
            .ok_or_else(|| self.damaged())
    }

    /// Its elements in order, piece by piece.
    pub fn pieces(&self) -> Pieces {
        let hasher = TensorHasher::new(self.dtype(), self.shape());
        Pieces {
            tensor: self.clone(),
            hasher: Some(hasher),
            next: 0,
        }
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged {
            path: self.path().to_owned(),
            recorded: self.hash,
        }
    }
}

/// The elements of a [`StoredTensor`], hashed as they are read: whoever reads to the end has read what the hash
/// stands for, or is told that it is not, and nothing is read twice.
pub struct Pieces {
    tensor: StoredTensor,
    /// There until the last element was read.
    hasher: Option<TensorHasher>,
    next: usize,
}

impl Pieces {
    /// How many elements have not been read.
    pub fn left(&self) -> usize {
        self.tensor.source.len() - self.next
    }

    /// The next elements, at most `at_most`, as a one-dimensional tensor; nothing is in it at the end.
    ///
    /// # Errors
    /// When they cannot be read; and, with the last of them, when all together are not what the hash stands for.
    pub fn next(&mut self, at_most: usize) -> Result<Tensor, StoreError> {
        let end = self.next + self.left().min(at_most);
        let piece = self.tensor.source.read_range(self.next..end)?;
        self.next = end;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece.bytes());
        }
        if self.left() == 0
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.tensor.hash
        {
            return Err(self.tensor.damaged());
        }
        Ok(piece)
    }
}
