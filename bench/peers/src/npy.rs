//! Arrays in NumPy's files, of the two kinds that the measurement of indexes needs.

use std::fs;
use std::path::Path;

use bytemuck::Pod;

/// An array in row-major order.
pub struct Array<T> {
    pub shape: Vec<usize>,
    pub values: Vec<T>,
}

/// A type of numbers, as NumPy names it.
pub trait Element: Pod {
    const NAME: &'static str;
}

impl Element for f32 {
    const NAME: &'static str = "<f4";
}

impl Element for i64 {
    const NAME: &'static str = "<i8";
}

impl<T: Element> Array<T> {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or holds another type, Fortran's order, or less than its shape says.
    pub fn read(file: &Path) -> Result<Array<T>, String> {
        let bytes = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        Array::parse(&bytes).ok_or_else(|| {
            format!(
                "{} is no array of {} as is expected here",
                file.display(),
                T::NAME
            )
        })
    }

    fn parse(bytes: &[u8]) -> Option<Array<T>> {
        let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (header, values) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let header = std::str::from_utf8(header).ok()?;
        let expected = format!("'descr': '{}', 'fortran_order': False", T::NAME);
        if !header.contains(&expected) {
            return None;
        }
        let shape = header.split_once("'shape': (")?.1.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape: Vec<usize> = numbers.map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let each = values.chunks(size_of::<T>());
        let whole = values.len().is_multiple_of(size_of::<T>());
        let values: Vec<T> = whole.then(|| each.map(bytemuck::pod_read_unaligned).collect())?;
        (values.len() == shape.iter().product::<usize>()).then_some(Array { shape, values })
    }

    /// Writes a file that [`Array::read`] and NumPy read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let sizes: String = self.shape.iter().map(|size| format!("{size}, ")).collect();
        let header = format!(
            "{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes}), }}",
            T::NAME
        );
        // The format wants the values to begin at a multiple of 64 bytes, and the header to end a line.
        let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((padded as u16).to_le_bytes());
        bytes.extend(format!("{header:<width$}\n", width = padded - 1).bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(&self.values));
        fs::write(file, bytes).map_err(|e| format!("{}: {e}", file.display()))
    }
}
