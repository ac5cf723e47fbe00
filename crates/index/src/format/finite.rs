//! Whether the numbers that everything is computed with are numbers.

use concord_tensor::{DType, FileError, TensorSource};

/// Bytes of a tensor that are looked at at a time.
const PIECE: usize = 1 << 20;

/// A value that is infinite or NaN.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotFinite {
    pub(crate) value: f32,
    /// Its index in each dimension.
    pub(crate) at: Vec<usize>,
}

/// The first value of a tensor that is infinite or NaN; integers have none.
pub(crate) fn first_not_finite(source: &TensorSource) -> Result<Option<NotFinite>, FileError> {
    let mut before = 0;
    for piece in source.chunks(PIECE) {
        let Ok(piece) = piece?.cast(DType::F32) else {
            return Ok(None);
        };
        let values = piece.as_slice::<f32>().unwrap_or_default();
        if let Some(found) = not_finite_in(values, source.shape(), before) {
            return Ok(Some(found));
        }
        before += values.len();
    }
    Ok(None)
}

/// The first of `values` that is infinite or NaN, where they are those of a tensor of that shape from the
/// `before`-th on.
pub(crate) fn not_finite_in(values: &[f32], shape: &[usize], before: usize) -> Option<NotFinite> {
    let place = values.iter().position(|value| !value.is_finite())?;
    let mut rest = before + place;
    let mut at: Vec<usize> = Vec::with_capacity(shape.len());
    for &size in shape.iter().rev() {
        at.push(rest % size.max(1));
        rest /= size.max(1);
    }
    at.reverse();
    Some(NotFinite {
        value: values[place],
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_in_each_dimension() {
        let mut values = vec![0.0; 6];
        assert_eq!(not_finite_in(&values, &[2, 3], 0), None);
        values[4] = f32::NEG_INFINITY;
        let found = not_finite_in(&values, &[2, 3], 0).unwrap();
        assert_eq!((found.value, found.at), (f32::NEG_INFINITY, vec![1, 1]));
        let found = not_finite_in(&values, &[4, 3], 6).unwrap();
        assert_eq!(found.at, [3, 1]);
        assert!(not_finite_in(&[f32::NAN], &[], 0).unwrap().at.is_empty());
    }
}
