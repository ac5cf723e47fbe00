//! Conversion of tensors from one dtype to another.

use half::{bf16, f16};

use crate::dtype::DType;
use crate::element::Element;
use crate::error::TensorError;
use crate::tensor::Tensor;

impl Tensor {
    /// The same values in another dtype.
    ///
    /// | from | to | result |
    /// |---|---|---|
    /// | any number | float | rounded once to nearest, ties to even; too large becomes infinite |
    /// | integer | integer | the same value, or an error if it does not fit |
    /// | float | integer | truncated toward zero; an error if that does not fit, or for NaN |
    /// | number | bool | whether it differs from zero (NaN does) |
    /// | bool | number | 0 or 1 |
    ///
    /// "Rounded once" holds for every pair, `f64` and `i64` to `f16` and `bf16` included, where
    /// going through `f32` would round twice. To the same dtype it is a clone.
    ///
    /// # Errors
    /// [`TensorError::CastOutOfRange`] with the first element that does not fit.
    pub fn cast(&self, dtype: DType) -> Result<Tensor, TensorError> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        match dtype {
            DType::Bool => self.cast_to::<bool>(),
            DType::U8 => self.cast_to::<u8>(),
            DType::I8 => self.cast_to::<i8>(),
            DType::I16 => self.cast_to::<i16>(),
            DType::I32 => self.cast_to::<i32>(),
            DType::I64 => self.cast_to::<i64>(),
            DType::F16 => self.cast_to::<f16>(),
            DType::BF16 => self.cast_to::<bf16>(),
            DType::F32 => self.cast_to::<f32>(),
            DType::F64 => self.cast_to::<f64>(),
        }
    }

    fn cast_to<T: Target>(&self) -> Result<Tensor, TensorError> {
        match self.dtype() {
            DType::Bool => self.cast_between::<bool, T>(),
            DType::U8 => self.cast_between::<u8, T>(),
            DType::I8 => self.cast_between::<i8, T>(),
            DType::I16 => self.cast_between::<i16, T>(),
            DType::I32 => self.cast_between::<i32, T>(),
            DType::I64 => self.cast_between::<i64, T>(),
            DType::F16 => self.cast_between::<f16, T>(),
            DType::BF16 => self.cast_between::<bf16, T>(),
            DType::F32 => self.cast_between::<f32, T>(),
            DType::F64 => self.cast_between::<f64, T>(),
        }
    }

    fn cast_between<S: Source, T: Target>(&self) -> Result<Tensor, TensorError> {
        let data = self
            .as_slice::<S>()?
            .iter()
            .enumerate()
            .map(|(index, &element)| {
                let number = element.number();
                T::from_number(number).ok_or_else(|| TensorError::CastOutOfRange {
                    index,
                    value: match number {
                        Number::Int(value) => value.to_string(),
                        Number::Float(value) => value.to_string(),
                    },
                    to: T::DTYPE,
                })
            })
            .collect::<Result<Vec<T>, TensorError>>()?;
        Tensor::new(self.shape().to_vec(), data)
    }
}

/// A number that holds the value of any element exactly.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

trait Source: Element {
    fn number(self) -> Number;
}

trait Target: Element {
    /// The number in this type, or nothing if it does not fit.
    fn from_number(number: Number) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Source for $type {
            fn number(self) -> Number {
                Number::Int(i64::from(self))
            }
        }

        impl Target for $type {
            fn from_number(number: Number) -> Option<$type> {
                match number {
                    Number::Int(value) => value.try_into().ok(),
                    Number::Float(value) => integer(value)?.try_into().ok(),
                }
            }
        }
    )*};
}

integers!(u8, i8, i16, i32, i64);

/// The integral part of a float, if it fits.
fn integer(value: f64) -> Option<i64> {
    // Both bounds are powers of two, so `f64` holds them exactly; the upper is exclusive.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    let truncated = value.trunc();
    (-BOUND..BOUND)
        .contains(&truncated)
        .then_some(truncated as i64)
}

impl Source for bool {
    fn number(self) -> Number {
        Number::Int(i64::from(self))
    }
}

impl Target for bool {
    fn from_number(number: Number) -> Option<bool> {
        Some(match number {
            Number::Int(value) => value != 0,
            Number::Float(value) => value != 0.0,
        })
    }
}

macro_rules! floats {
    ($($type:ty: $round:expr),*) => {$(
        impl Source for $type {
            fn number(self) -> Number {
                Number::Float(f64::from(self))
            }
        }

        impl Target for $type {
            fn from_number(number: Number) -> Option<$type> {
                let round: fn(Number) -> $type = $round;
                Some(round(number))
            }
        }
    )*};
}

floats! {
    f16: |number| f16::from_f32(sticky_f32(number)),
    bf16: |number| bf16::from_f32(sticky_f32(number)),
    f32: |number| match number {
        Number::Int(value) => value as f32,
        Number::Float(value) => value as f32,
    },
    f64: |number| match number {
        Number::Int(value) => value as f64,
        Number::Float(value) => value,
    }
}

/// The number in `f32`, rounded to odd: toward zero, with the last bit set if anything was lost.
///
/// Rounding that again to nearest in a format at least two bits shorter gives what rounding the
/// number itself would give (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums:
/// proved algorithms using rounding to odd", 2008). `f16` is 13 bits shorter, `bf16` 16.
fn sticky_f32(number: Number) -> f32 {
    match number {
        Number::Int(value) => {
            // 24 bits of the magnitude fit an `f32`; what lies below is folded into the last.
            let magnitude = value.unsigned_abs();
            let excess = (64 - magnitude.leading_zeros()).saturating_sub(24);
            let kept = magnitude >> excess;
            let lost = u64::from(kept << excess != magnitude);
            let odd = ((kept | lost) << excess) as f32;
            if value < 0 { -odd } else { odd }
        }
        Number::Float(value) => {
            let nearest = value as f32;
            let exact = f64::from(nearest) == value;
            if exact || nearest.is_nan() || nearest.to_bits() & 1 == 1 {
                return nearest;
            }
            // The two neighbours of an inexact value differ in the last bit; the odd one is
            // wanted and the even one was chosen, so step toward the value.
            let away_from_zero = value.abs() > f64::from(nearest).abs();
            let bits = nearest.to_bits();
            f32::from_bits(if away_from_zero { bits + 1 } else { bits - 1 })
        }
    }
}
