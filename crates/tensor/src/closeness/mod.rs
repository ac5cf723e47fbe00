//! How far apart two tensors are.
//!
//! Bits come first: two tensors are the same or they are not. Where they are not, the report says
//! how many elements differ, by how much (absolutely, relatively, and in units of the last place)
//! and where, and only last whether the difference is within a tolerance.

mod allclose;
pub(crate) mod error;
mod report;
mod scalar;
mod ulps;

pub use allclose::Tolerance;
pub use error::ClosenessError;
pub use report::{
    ClosenessReport, Comparison, NanCounts, Peak, Place, UlpBucket, UlpPeak, UlpReport,
};

use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::TensorError;
use crate::file_error::{FileError, FileProblem};
use crate::source::TensorSource;
use crate::tensor::Tensor;
use scalar::Scalar;
use ulps::UlpHistogram;

/// Elements compared at once by their bytes before they are looked at one by one.
const BLOCK: usize = 4096;

/// How far apart two tensors in memory are; of whichever dtypes, as [`Closeness::between`] casts them.
pub fn compare(a: &Tensor, b: &Tensor, tolerance: Tolerance) -> Comparison {
    if a.shape() != b.shape() {
        return Comparison::ShapesDiffer {
            a: a.shape().to_vec(),
            b: b.shape().to_vec(),
        };
    }
    let mut closeness = Closeness::between(tolerance, a.dtype(), b.dtype(), a.shape());
    // Every dtype can be cast to the common one, and the shapes agree.
    match closeness.update(a, b).and_then(|()| closeness.finish()) {
        Ok(report) => Comparison::Compared(Box::new(report)),
        Err(error) => unreachable!("tensors of one shape do not compare: {error}"),
    }
}

/// Compares two tensors in files, reading at most `max_bytes` of either at a time.
///
/// # Errors
/// [`FileError`] if one of them cannot be read.
pub fn compare_sources(
    a: &TensorSource,
    b: &TensorSource,
    tolerance: Tolerance,
    max_bytes: usize,
) -> Result<Comparison, FileError> {
    if a.shape() != b.shape() {
        return Ok(Comparison::ShapesDiffer {
            a: a.shape().to_vec(),
            b: b.shape().to_vec(),
        });
    }
    let mut closeness = Closeness::between(tolerance, a.dtype(), b.dtype(), a.shape());
    let failed = |error| FileError {
        path: a.path().to_owned(),
        problem: FileProblem::Comparison(error),
    };
    // Elements, not bytes, must be cut alike: the dtypes may differ in size.
    let step = (max_bytes / a.dtype().size().max(b.dtype().size())).max(1);
    let mut start = 0;
    while start < a.len() {
        let end = start.saturating_add(step).min(a.len());
        let (left, right) = (a.read_range(start..end)?, b.read_range(start..end)?);
        closeness.update(&left, &right).map_err(failed)?;
        start = end;
    }
    let report = closeness.finish().map_err(failed)?;
    Ok(Comparison::Compared(Box::new(report)))
}

/// Compares two tensors of the same shape whose elements arrive in chunks.
///
/// The report does not depend on where the chunks are cut.
#[derive(Clone, Debug)]
pub struct Closeness {
    dtypes: (DType, DType),
    /// What both are cast to before they are compared.
    common: DType,
    tolerance: Tolerance,
    shape: Vec<usize>,
    /// The number of elements compared.
    elements: usize,
    differing: usize,
    first_difference: Option<usize>,
    not_close: usize,
    nans: NanCounts,
    infinite: usize,
    max_abs: Option<(f64, usize)>,
    max_rel: Option<(f64, usize)>,
    sum_abs: f64,
    ulps: UlpHistogram,
}

impl Closeness {
    /// Begins the comparison of two tensors of this dtype and shape.
    pub fn new(tolerance: Tolerance, dtype: DType, shape: &[usize]) -> Closeness {
        Closeness::between(tolerance, dtype, dtype, shape)
    }

    /// Begins the comparison of two tensors of this shape whose dtypes may differ.
    ///
    /// Both are then cast to a dtype that holds the values of either: the wider of two floats
    /// (`f32` for `f16` and `bf16`), `i64` for two integers, `f64` for an integer and a float, the
    /// only case in which a value can be rounded (an integer beyond 2^53).
    pub fn between(tolerance: Tolerance, a: DType, b: DType, shape: &[usize]) -> Closeness {
        Closeness {
            dtypes: (a, b),
            common: common(a, b),
            tolerance,
            shape: shape.to_vec(),
            elements: 0,
            differing: 0,
            first_difference: None,
            not_close: 0,
            nans: NanCounts::default(),
            infinite: 0,
            max_abs: None,
            max_rel: None,
            sum_abs: 0.0,
            ulps: UlpHistogram::default(),
        }
    }

    /// Takes the next elements of both tensors in row-major order; the chunks' shapes do not
    /// matter.
    ///
    /// # Errors
    /// [`ClosenessError`] if the chunks have different lengths or other dtypes than announced.
    pub fn update(&mut self, a: &Tensor, b: &Tensor) -> Result<(), ClosenessError> {
        if a.len() != b.len() {
            return Err(ClosenessError::LengthsDiffer {
                a: a.len(),
                b: b.len(),
            });
        }
        for (tensor, requested) in [(a, self.dtypes.0), (b, self.dtypes.1)] {
            let actual = tensor.dtype();
            if actual != requested {
                return Err(TensorError::DTypeMismatch { requested, actual }.into());
            }
        }
        let (a, b) = (a.cast(self.common)?, b.cast(self.common)?);
        match self.common {
            DType::Bool => self.slices::<bool>(&a, &b),
            DType::U8 => self.slices::<u8>(&a, &b),
            DType::I8 => self.slices::<i8>(&a, &b),
            DType::I16 => self.slices::<i16>(&a, &b),
            DType::I32 => self.slices::<i32>(&a, &b),
            DType::I64 => self.slices::<i64>(&a, &b),
            DType::F16 => self.slices::<f16>(&a, &b),
            DType::BF16 => self.slices::<bf16>(&a, &b),
            DType::F32 => self.slices::<f32>(&a, &b),
            DType::F64 => self.slices::<f64>(&a, &b),
        }
    }

    fn slices<T: Scalar>(&mut self, a: &Tensor, b: &Tensor) -> Result<(), ClosenessError> {
        let bytes = BLOCK * T::DTYPE.size();
        let blocks = a
            .as_slice::<T>()?
            .chunks(BLOCK)
            .zip(b.as_slice::<T>()?.chunks(BLOCK));
        let raw = a.bytes().chunks(bytes).zip(b.bytes().chunks(bytes));
        for ((a, b), (raw_a, raw_b)) in blocks.zip(raw) {
            if raw_a == raw_b {
                self.equal(a);
            } else {
                for (index, (&a, &b)) in a.iter().zip(b).enumerate() {
                    self.pair(a, b, self.elements + index);
                }
            }
            self.elements += a.len();
        }
        Ok(())
    }

    /// Takes elements that both tensors have, bit for bit.
    fn equal<T: Scalar>(&mut self, elements: &[T]) {
        let nans = elements.iter().filter(|element| element.is_nan()).count();
        self.nans.a += nans;
        self.nans.b += nans;
        self.nans.both += nans;
        self.not_close += if self.tolerance.equal_nan { 0 } else { nans };
        if T::DTYPE.is_float() {
            self.ulps.add_equal(elements.len() - nans);
        }
    }

    fn pair<T: Scalar>(&mut self, a: T, b: T, at: usize) {
        if a.bits() == b.bits() {
            return self.equal(&[a]);
        }
        self.differing += 1;
        self.first_difference.get_or_insert(at);
        if !T::is_close(a, b, &self.tolerance) {
            self.not_close += 1;
        }
        if a.is_nan() || b.is_nan() {
            self.nans.a += usize::from(a.is_nan());
            self.nans.b += usize::from(b.is_nan());
            self.nans.both += usize::from(a.is_nan() && b.is_nan());
            return;
        }
        if let Some(ulps) = T::ulps(a, b) {
            self.ulps.add(ulps, at);
        }
        let (difference, scale) = T::difference_and_scale(a, b);
        if difference.is_infinite() {
            self.infinite += 1;
        } else if difference > 0.0 {
            self.sum_abs += difference;
            raise(&mut self.max_abs, difference, at);
            raise(&mut self.max_rel, difference / scale, at);
        }
    }

    /// The report on all elements taken.
    ///
    /// # Errors
    /// [`ClosenessError::WrongCount`] if they are not as many as the shape announced holds.
    pub fn finish(self) -> Result<ClosenessReport, ClosenessError> {
        let expected = self
            .shape
            .iter()
            .try_fold(1, |len: usize, &size| len.checked_mul(size));
        if expected != Some(self.elements) {
            let (shape, elements) = (self.shape, self.elements);
            return Err(ClosenessError::WrongCount { shape, elements });
        }
        let place = |flat| Place::new(flat, &self.shape);
        let peak = |found: Option<(f64, usize)>| {
            found.map(|(value, flat)| Peak {
                value,
                at: place(flat),
            })
        };
        let finite = self.elements - (self.nans.a + self.nans.b - self.nans.both) - self.infinite;
        let same_dtype = self.dtypes.0 == self.dtypes.1;
        Ok(ClosenessReport {
            dtype_a: self.dtypes.0,
            dtype_b: self.dtypes.1,
            elements: self.elements,
            bits_equal: same_dtype && self.differing == 0,
            differing: self.differing,
            first_difference: self.first_difference.map(place),
            tolerance: self.tolerance,
            allclose: self.not_close == 0,
            not_close: self.not_close,
            nans: self.nans,
            infinite: self.infinite,
            max_abs: peak(self.max_abs),
            mean_abs: if finite > 0 {
                self.sum_abs / finite as f64
            } else {
                0.0
            },
            max_rel: peak(self.max_rel),
            ulps: (same_dtype && self.common.is_float()).then(|| self.ulps.report(&self.shape)),
            shape: self.shape,
        })
    }
}

/// Keeps the larger value, and of equal ones the first.
fn raise(largest: &mut Option<(f64, usize)>, value: f64, at: usize) {
    if largest.is_none_or(|(known, _)| value > known) {
        *largest = Some((value, at));
    }
}

/// The dtype in which elements of two dtypes are compared.
fn common(a: DType, b: DType) -> DType {
    match (a.is_float(), b.is_float()) {
        _ if a == b => a,
        (true, true) if a == DType::F64 || b == DType::F64 => DType::F64,
        (true, true) => DType::F32,
        (false, false) => DType::I64,
        _ => DType::F64,
    }
}
