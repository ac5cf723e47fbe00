//! The numbers that make a sum tell its order.

use concord_tensor::DType;

/// A huge number, a tiny one, and how many of the tiny ones a result counts exactly.
///
/// A sum of `big`, `-big` and units loses every unit that meets a partial sum in which one of the two is
/// still alone: the unit is less than a quarter of the distance between numbers there. What comes out is
/// the units that were added elsewhere, as a multiple of `unit` (FPRev, USENIX ATC'25, section 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masks {
    /// The huge number, a power of two.
    pub big: f64,
    /// The tiny number, a power of two.
    pub unit: f64,
    /// How many units a result counts exactly, and `big` swallows together.
    pub exact: usize,
}

/// Why no masks exist for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    #[error(
        "{0} sums have no order to find: the order of additions shows only where they are rounded"
    )]
    NotRounded(DType),
}

/// A binary floating-point format.
#[derive(Clone, Copy)]
struct Format {
    /// Bits of the significand, the leading one included.
    precision: i32,
    /// The exponent of the largest power of two.
    largest: i32,
    /// The exponent of the smallest number above zero.
    smallest: i32,
}

impl Format {
    fn of(dtype: DType) -> Result<Format, MaskError> {
        let (precision, largest, smallest) = match dtype {
            DType::F64 => (53, 1023, -1074),
            DType::F32 => (24, 127, -149),
            DType::BF16 => (8, 127, -133),
            DType::F16 => (11, 15, -24),
            DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
                return Err(MaskError::NotRounded(dtype));
            }
        };
        Ok(Format {
            precision,
            largest,
            smallest,
        })
    }
}

impl Masks {
    /// The masks for an operation on `operands` that keeps partial sums as `accumulator` and gives its
    /// result as `output`.
    ///
    /// `big` is the largest power of two of both operands and accumulator. A unit is 1 where the range
    /// is that of `f32`, and the smallest subnormal where it is that of `f16`. That is, for PyTorch's
    /// dtypes:
    ///
    /// | operands | accumulator | output | `big` | `unit` | `exact` |
    /// |---|---|---|---|---|---|
    /// | `f32` | `f32` | `f32` | 2^127 | 1 | 2^24 |
    /// | `bf16` | `f32` | `bf16` | 2^127 | 1 | 256 |
    /// | `f16` | `f32` | `f16` | 2^15 | 2^-24 | 2,048 |
    ///
    /// # Errors
    /// When one of the dtypes is not a floating-point one.
    pub fn new(operands: DType, accumulator: DType, output: DType) -> Result<Masks, MaskError> {
        let operands = Format::of(operands)?;
        let accumulator = Format::of(accumulator)?;
        let output = Format::of(output)?;
        let big = operands.largest.min(accumulator.largest);
        let narrow = big <= 15;
        let unit = if narrow {
            operands.smallest.max(-24).max(accumulator.smallest)
        } else {
            0
        };
        // Counts are integers of at most this many bits in a partial sum and in the result; and all
        // units together stay below a quarter of the distance between the numbers next to `big`, which
        // halves below a power of two: 2^(big - precision + 1) / 4.
        let counted = accumulator.precision.min(output.precision);
        let swallowed = big - accumulator.precision - 1 - unit;
        // A result in a format of less range must hold the count itself.
        let held = output.largest - unit;
        Ok(Masks {
            big: power_of_two(big),
            unit: power_of_two(unit),
            exact: 1 << counted.min(swallowed).min(held).clamp(0, 30),
        })
    }
}

fn power_of_two(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_paper() {
        let masks = |a, b, c| {
            let m = Masks::new(a, b, c).unwrap();
            (m.big.log2(), m.unit.log2(), m.exact)
        };
        assert_eq!(
            masks(DType::F32, DType::F32, DType::F32),
            (127.0, 0.0, 1 << 24)
        );
        assert_eq!(
            masks(DType::BF16, DType::F32, DType::BF16),
            (127.0, 0.0, 256)
        );
        assert_eq!(
            masks(DType::BF16, DType::F32, DType::F32),
            (127.0, 0.0, 1 << 24)
        );
        assert_eq!(
            masks(DType::F16, DType::F32, DType::F16),
            (15.0, -24.0, 2048)
        );
        assert_eq!(
            masks(DType::F16, DType::F32, DType::F32),
            (15.0, -24.0, 1 << 14)
        );
        assert_eq!(
            masks(DType::F16, DType::F16, DType::F16),
            (15.0, -24.0, 2048)
        );
    }

    #[test]
    fn integers_are_refused_with_the_reason() {
        let error = Masks::new(DType::I8, DType::I32, DType::I32).unwrap_err();
        assert!(error.to_string().contains("rounded"), "{error}");
    }
}
