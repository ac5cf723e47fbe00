//! Where a tensor's elements lie in a file, and how they are brought into row-major order.

use std::ops::Range;

use crate::container::Container;
use crate::file_error::FileError;

/// Bytes read at once when elements are picked one by one.
const WINDOW: usize = 64 << 10;

/// The positions of a tensor's elements in a container.
///
/// Whoever makes one has checked that every element lies within the container and that the number
/// of elements, in bytes, fits `usize`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Byte at which the element of index (0, …, 0) begins.
    pub(crate) start: u64,
    /// The size of an element in bytes.
    pub(crate) element: usize,
    pub(crate) shape: Box<[usize]>,
    /// For each dimension, by how many elements positions grow with the index; nothing where that is row-major
    /// order, as it is for most of the many tensors that a file can have.
    strides: Option<Box<[usize]>>,
}

impl Layout {
    /// The layout of elements stored one after another in row-major order.
    pub(crate) fn row_major(start: u64, element: usize, shape: &[usize]) -> Layout {
        Layout {
            start,
            element,
            shape: shape.into(),
            strides: None,
        }
    }

    /// The layout of elements with these strides, in elements, one for each dimension.
    pub(crate) fn strided(
        start: u64,
        element: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Layout {
        let expected = row_major_strides(&shape);
        let is_row_major = shape
            .iter()
            .zip(strides.iter().zip(expected))
            .all(|(&size, (&stride, expected))| size <= 1 || stride == expected);
        Layout {
            start,
            element,
            shape: shape.into(),
            strides: (!is_row_major).then(|| strides.into()),
        }
    }

    /// Where the elements begin if they are stored one after another in row-major order.
    pub(crate) fn row_major_start(&self) -> Option<u64> {
        self.strides.is_none().then_some(self.start)
    }

    /// Reads the elements of a flat row-major range into `out`, which is as long as they are.
    pub(crate) fn read(
        &self,
        container: &Container,
        range: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), FileError> {
        debug_assert_eq!(out.len(), range.len() * self.element);
        if range.is_empty() {
            return Ok(());
        }
        let Some(strides) = &self.strides else {
            let offset = self.start + (range.start * self.element) as u64;
            return container.read_at(out, offset, "the tensor");
        };
        let mut gather = Gather {
            layout: self,
            strides,
            window: Window::new(container, self, strides),
            out,
        };
        gather.range(0, 0, range, 0)
    }
}

/// Strides of row-major order, in elements; PyTorch counts a dimension of size 0 as 1.
pub(crate) fn row_major_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

/// Collects elements whose order in the file is not row-major.
struct Gather<'a> {
    layout: &'a Layout,
    strides: &'a [usize],
    window: Window<'a>,
    out: &'a mut [u8],
}

/// One dimension of a box of elements: its size, and by how many elements the positions in the
/// file and in the output grow with the index.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    file: usize,
    out: usize,
}

impl Gather<'_> {
    /// Collects a flat range of the subtensor at `position` that spans the dimensions from `axis`
    /// on. A range that cuts through a row is a part of one row, whole rows, a part of another.
    fn range(
        &mut self,
        axis: usize,
        position: usize,
        range: Range<usize>,
        out: usize,
    ) -> Result<(), FileError> {
        let inner: usize = self.layout.shape.iter().skip(axis + 1).product();
        let Range { start, end } = range;
        let first_whole = start.div_ceil(inner);
        let end_whole = end / inner;
        if start == end {
            return Ok(());
        }
        let stride = self.strides[axis];
        if first_whole > end_whole {
            // Both ends cut the same row.
            let row = end_whole;
            let within = start - row * inner..end - row * inner;
            return self.range(axis + 1, position + row * stride, within, out);
        }
        let head = first_whole * inner - start;
        if head > 0 {
            let row = first_whole - 1;
            let within = inner - head..inner;
            self.range(axis + 1, position + row * stride, within, out)?;
        }
        if first_whole < end_whole {
            let rows = first_whole..end_whole;
            self.rows(axis, position, rows, out + head)?;
        }
        let tail = end - end_whole * inner;
        if tail > 0 {
            let position = position + end_whole * stride;
            self.range(
                axis + 1,
                position,
                0..tail,
                out + (end_whole * inner - start),
            )?;
        }
        Ok(())
    }

    /// Collects whole rows, in the order in which they lie in the file.
    fn rows(
        &mut self,
        axis: usize,
        position: usize,
        rows: Range<usize>,
        out: usize,
    ) -> Result<(), FileError> {
        let (shape, strides) = (&self.layout.shape, self.strides);
        let position = position + rows.start * strides[axis];
        let mut sizes = shape[axis..].to_vec();
        sizes[0] = rows.len();
        let mut axes: Vec<Axis> = sizes
            .iter()
            .zip(&strides[axis..])
            .zip(row_major_strides(&sizes))
            .map(|((&size, &file), out)| Axis { size, file, out })
            .collect();
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.file));
        self.collect(&axes, position, out)
    }

    fn collect(&mut self, axes: &[Axis], position: usize, out: usize) -> Result<(), FileError> {
        let Some((axis, inner)) = axes.split_first() else {
            let element = self.layout.element;
            let bytes = self.window.element(position)?;
            self.out[out * element..(out + 1) * element].copy_from_slice(bytes);
            return Ok(());
        };
        for index in 0..axis.size {
            self.collect(inner, position + index * axis.file, out + index * axis.out)?;
        }
        Ok(())
    }
}

/// A stretch of the file kept in memory while elements are picked from it.
struct Window<'a> {
    container: &'a Container,
    layout: &'a Layout,
    /// Byte of the file at which `bytes` begin.
    start: u64,
    bytes: Vec<u8>,
    /// Bytes to read when an element lies outside.
    reach: usize,
}

impl<'a> Window<'a> {
    fn new(container: &'a Container, layout: &'a Layout, strides: &[usize]) -> Window<'a> {
        // Reading ahead pays while the next element is likely within reach; for elements that
        // are pages apart it would read everything between them for nothing.
        let closest = strides.iter().copied().filter(|&stride| stride > 0).min();
        let sparse = closest.is_some_and(|stride| stride.saturating_mul(layout.element) > 4096);
        let reach = if sparse { layout.element } else { WINDOW };
        Window {
            container,
            layout,
            start: 0,
            bytes: Vec::new(),
            reach,
        }
    }

    /// The bytes of the element at a position, in elements from the layout's start.
    fn element(&mut self, position: usize) -> Result<&[u8], FileError> {
        let size = self.layout.element;
        let at = self.layout.start + (position * size) as u64;
        let held = self.start..self.start + self.bytes.len() as u64;
        if at < held.start || at + size as u64 > held.end {
            let left = self.container.len().saturating_sub(at);
            let len = (self.reach as u64).min(left).max(size as u64);
            self.bytes = self.container.bytes_at(at, len, "the tensor")?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(&self.bytes[from..from + size])
    }
}
