//! Rows of numbers, one below the other.

/// Numbers that are no whole number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} numbers are no whole number of rows of {width}")]
pub struct NotRows {
    /// How many numbers there are.
    pub values: usize,
    /// The width of a row.
    pub width: usize,
}

/// How many rows of `width` there are.
pub(crate) fn count(values: usize, width: usize) -> Result<usize, NotRows> {
    if width > 0 && values.is_multiple_of(width) {
        Ok(values / width)
    } else {
        Err(NotRows { values, width })
    }
}

/// The rows at those places.
pub(crate) fn gather<T: Copy>(rows: &[T], width: usize, places: &[u32]) -> Vec<T> {
    places
        .iter()
        .flat_map(|&row| &rows[row as usize * width..(row as usize + 1) * width])
        .copied()
        .collect()
}
