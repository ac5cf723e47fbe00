//! What the comparison asks of two elements.

use half::{bf16, f16};

use super::allclose::Tolerance;
use super::ulps::distance;
use crate::element::Element;

/// An element that can be compared.
pub(super) trait Scalar: Element {
    /// Its bits, equal exactly if the elements are the same.
    fn bits(self) -> u64;

    fn is_nan(self) -> bool;

    /// |a − b|, rounded once to `f64`, and max(|a|, |b|), rounded likewise. The difference of equal
    /// infinities is 0. Neither is a NaN.
    fn difference_and_scale(a: Self, b: Self) -> (f64, f64);

    /// How many floats of this type lie between the two, one of them counted. Nothing for
    /// integers. Neither is a NaN.
    fn ulps(a: Self, b: Self) -> Option<u64>;

    fn is_close(a: Self, b: Self, tolerance: &Tolerance) -> bool;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Scalar for $type {
            fn bits(self) -> u64 {
                self as u64
            }

            fn is_nan(self) -> bool {
                false
            }

            fn difference_and_scale(a: $type, b: $type) -> (f64, f64) {
                let (a, b) = (a as i64, b as i64);
                (a.abs_diff(b) as f64, a.unsigned_abs().max(b.unsigned_abs()) as f64)
            }

            fn ulps(_: $type, _: $type) -> Option<u64> {
                None
            }

            fn is_close(a: $type, b: $type, tolerance: &Tolerance) -> bool {
                a == b || tolerance.allows_f32(a as i64 as f32, b as i64 as f32)
            }
        }
    )*};
}

integers!(bool, u8, i8, i16, i32, i64);

macro_rules! floats {
    ($($type:ty: $allows:ident, $sign:expr),*) => {$(
        impl Scalar for $type {
            fn bits(self) -> u64 {
                self.to_bits().into()
            }

            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }

            fn difference_and_scale(a: $type, b: $type) -> (f64, f64) {
                let (a, b) = (f64::from(a), f64::from(b));
                let difference = if a == b { 0.0 } else { (a - b).abs() };
                (difference, a.abs().max(b.abs()))
            }

            fn ulps(a: $type, b: $type) -> Option<u64> {
                Some(distance(a.bits(), b.bits(), $sign))
            }

            fn is_close(a: $type, b: $type, tolerance: &Tolerance) -> bool {
                if <$type>::is_nan(a) || <$type>::is_nan(b) {
                    return tolerance.equal_nan && <$type>::is_nan(a) && <$type>::is_nan(b);
                }
                a == b || tolerance.$allows(a, b)
            }
        }
    )*};
}

floats! {
    f16: allows_f16, 1 << 15,
    bf16: allows_bf16, 1 << 15,
    f32: allows_f32, 1 << 31,
    f64: allows_f64, 1 << 63
}
