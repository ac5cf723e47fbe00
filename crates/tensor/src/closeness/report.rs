//! What a comparison finds.

use serde::{Deserialize, Serialize};

use super::allclose::Tolerance;
use crate::dtype::DType;

/// The outcome of comparing two tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// They have different shapes, so no element has a counterpart.
    ShapesDiffer {
        /// The first tensor's shape.
        a: Vec<usize>,
        /// The second tensor's shape.
        b: Vec<usize>,
    },
    /// They were compared element by element.
    Compared(Box<ClosenessReport>),
}

impl Comparison {
    /// Whether the tensors agree in dtype, shape and bits.
    pub fn bits_equal(&self) -> bool {
        matches!(self, Comparison::Compared(report) if report.bits_equal)
    }
}

/// How far apart two tensors of one shape are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosenessReport {
    /// The dtype of the first tensor.
    pub dtype_a: DType,
    /// The dtype of the second. If it is another, everything below is about the values cast to a
    /// dtype that holds both.
    pub dtype_b: DType,
    /// The shape of both.
    pub shape: Vec<usize>,
    /// The number of elements of either.
    pub elements: usize,
    /// Whether dtype and bits are the same.
    pub bits_equal: bool,
    /// The number of elements whose bits differ.
    pub differing: usize,
    /// The first of them.
    pub first_difference: Option<Place>,
    /// What `allclose` and `not_close` are about.
    pub tolerance: Tolerance,
    /// Whether every element is within the tolerance of its counterpart.
    pub allclose: bool,
    /// The number of elements that are not.
    pub not_close: usize,
    /// How many NaNs there are.
    pub nans: NanCounts,
    /// The number of elements whose absolute difference is infinite: one is an infinity and the
    /// other is not the same one, or they are doubles too far apart for a double.
    pub infinite: usize,
    /// The largest finite absolute difference, in `f64`, at its first place; nothing if all are 0.
    pub max_abs: Option<Peak>,
    /// The mean of the finite absolute differences, summed in `f64` in row-major order.
    pub mean_abs: f64,
    /// The largest |a − b| / max(|a|, |b|) where the difference is finite, at its first place;
    /// nothing if all differences are 0.
    pub max_rel: Option<Peak>,
    /// Distances in units of the last place, if both tensors have the same float dtype.
    pub ulps: Option<UlpReport>,
}

/// How many elements are NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NanCounts {
    /// In the first tensor.
    pub a: usize,
    /// In the second.
    pub b: usize,
    /// In both at the same place.
    pub both: usize,
}

/// The position of an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Counted in row-major order.
    pub flat: usize,
    /// One index for each dimension.
    pub index: Vec<usize>,
}

impl Place {
    /// The position of the element with this row-major number in a tensor of this shape, which
    /// has at least one element.
    pub fn new(flat: usize, shape: &[usize]) -> Place {
        let mut rest = flat;
        let mut index = vec![0; shape.len()];
        for (axis, &size) in shape.iter().enumerate().rev() {
            let size = size.max(1);
            index[axis] = rest % size;
            rest /= size;
        }
        Place { flat, index }
    }
}

/// The largest of some numbers and where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    pub value: f64,
    pub at: Place,
}

/// Distances in units of the last place of the tensors' dtype: how many steps, from one float to
/// the next, lead from one value to the other.
///
/// The two zeros are no step apart, though their bits differ. Pairs with a NaN are not counted
/// here but in [`NanCounts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlpReport {
    /// The largest distance at its first place; nothing if all are 0.
    pub worst: Option<UlpPeak>,
    /// How many pairs are how far apart, without the buckets that are empty.
    pub histogram: Vec<UlpBucket>,
}

/// The largest distance and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlpPeak {
    pub ulps: u64,
    pub at: Place,
}

/// A range of distances. The ranges are 0, 1, 2, 3 to 4, 5 to 8, and on doubling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlpBucket {
    /// The least distance in it.
    pub low: u64,
    /// The greatest.
    pub high: u64,
    /// How many pairs are as far apart.
    pub count: usize,
}
