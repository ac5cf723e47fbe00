//! Tensors that still lie in their file.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::container::Container;
use crate::dtype::DType;
use crate::element::Storage;
use crate::error::TensorError;
use crate::file_error::{FileError, FileProblem};
use crate::hash::{BitHash, TensorHasher};
use crate::layout::Layout;
use crate::tensor::Tensor;
use crate::tensor::element_count;

/// Bytes of a tensor held in memory while it is hashed.
const HASHED_AT_ONCE: usize = 4 << 20;

/// A tensor in a file: its dtype and shape are known, its elements are read when asked for.
///
/// Reading gives row-major order whatever the order in the file. Elements stored in that order
/// are read straight from their position; others are gathered, and memory stays bounded by what
/// is asked for at a time.
#[derive(Clone, Debug)]
pub struct TensorSource {
    container: Container,
    entry: Arc<str>,
    dtype: DType,
    len: usize,
    layout: Layout,
}

impl TensorSource {
    /// A tensor whose elements lie in the container as `layout` says.
    ///
    /// The caller has checked that they lie within it.
    pub(crate) fn new(
        container: Container,
        entry: Arc<str>,
        dtype: DType,
        layout: Layout,
    ) -> Result<TensorSource, FileError> {
        let len = element_count(dtype, &layout.shape).map_err(|source| {
            container.error(FileProblem::Tensor {
                name: entry.to_string(),
                source,
            })
        })?;
        Ok(TensorSource {
            container,
            entry,
            dtype,
            len,
            layout,
        })
    }

    pub fn path(&self) -> &Path {
        self.container.path()
    }

    /// Where in the file: the name of the tensor in a `.safetensors` file, of the archive entry
    /// that holds it in a `.pt` file, nothing in an `.npy` file, which holds one tensor only.
    pub fn entry(&self) -> &str {
        &self.entry
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The size of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the file in which the elements lie one after another, in row-major order and little-endian; `None`
    /// where they lie in another way. What has the file in memory needs no copy of them.
    pub fn place(&self) -> Option<Range<u64>> {
        let start = self.container.start() + self.layout.row_major_start()?;
        Some(start..start + (self.len * self.dtype.size()) as u64)
    }

    /// The whole tensor.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read or a bool in it is neither 0 nor 1.
    pub fn read(&self) -> Result<Tensor, FileError> {
        let flat = self.read_range(0..self.len)?;
        flat.reshape(self.shape())
            .map_err(|source| self.invalid(source))
    }

    /// The elements of a range of flat row-major indices, as a one-dimensional tensor.
    ///
    /// # Errors
    /// [`FileProblem::ElementsOutOfRange`], and those of [`read`](TensorSource::read).
    pub fn read_range(&self, range: Range<usize>) -> Result<Tensor, FileError> {
        let Range { start, end } = range;
        if start > end || end > self.len {
            let problem = FileProblem::ElementsOutOfRange {
                start,
                end,
                len: self.len,
            };
            return Err(self.container.error(problem));
        }
        let storage = Storage::filled(self.dtype, range.len(), |bytes| {
            self.layout.read(&self.container, range, bytes)
        })?
        .map_err(|source| self.invalid(offset_bool(source, start)))?;
        Ok(Tensor::flat(storage))
    }

    /// The elements in row-major order, as one-dimensional tensors of at most `max_bytes` bytes
    /// (of one element if that is larger). All but the last are equally long.
    ///
    /// Sources of one dtype and number of elements are cut at the same places, however their
    /// elements lie in their files.
    pub fn chunks(&self, max_bytes: usize) -> Chunks<'_> {
        Chunks {
            source: self,
            step: (max_bytes / self.dtype.size()).max(1),
            next: 0,
        }
    }

    /// The hash the tensor would have if it were read, found in bounded memory.
    ///
    /// # Errors
    /// Those of [`read`](TensorSource::read).
    pub fn hash(&self) -> Result<BitHash, FileError> {
        let mut hasher = TensorHasher::new(self.dtype, self.shape());
        for chunk in self.chunks(HASHED_AT_ONCE) {
            hasher.update(chunk?.bytes());
        }
        Ok(hasher.finish())
    }

    fn invalid(&self, source: TensorError) -> FileError {
        self.container.error(FileProblem::Tensor {
            name: self.entry.to_string(),
            source,
        })
    }
}

/// Counts the index of a bad bool from the tensor's beginning instead of the range's.
fn offset_bool(error: TensorError, start: usize) -> TensorError {
    match error {
        TensorError::InvalidBool { index, byte } => TensorError::InvalidBool {
            index: start + index,
            byte,
        },
        other => other,
    }
}

/// The elements of a [`TensorSource`], piece by piece.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    source: &'a TensorSource,
    step: usize,
    next: usize,
}

impl Iterator for Chunks<'_> {
    type Item = Result<Tensor, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.source.len {
            return None;
        }
        let start = self.next;
        self.next = start.saturating_add(self.step).min(self.source.len);
        Some(self.source.read_range(start..self.next))
    }
}
