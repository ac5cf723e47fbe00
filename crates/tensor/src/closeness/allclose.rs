//! Whether two numbers are close, as `torch.allclose` decides it.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// The tolerance of `torch.allclose`: `a` and `b` are close if they are equal, or if their
/// difference is finite and |a − b| ≤ atol + |rtol · b|.
///
/// Equal infinities are close. A NaN is close to nothing, or to a NaN if `equal_nan` is set.
///
/// Every operation is rounded as PyTorch 2.15 rounds it on a CPU, so that verdicts agree on the
/// boundary too: in `f64` for `f64`; in `f32` for `f32`, integers and bools; for `f16` and `bf16`
/// each result is rounded to the dtype, and so is atol beforehand, but not rtol. (PyTorch 1.13
/// rounds rtol too, and decides a few pairs in ten thousand differently for these two.)
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// The tolerance relative to `b`.
    pub rtol: f64,
    pub atol: f64,
    /// Whether two NaNs are close.
    pub equal_nan: bool,
}

impl Default for Tolerance {
    /// PyTorch's defaults: rtol 1e-5, atol 1e-8, NaNs not equal.
    fn default() -> Tolerance {
        Tolerance {
            rtol: 1e-5,
            atol: 1e-8,
            equal_nan: false,
        }
    }
}

impl Tolerance {
    /// The rule for numbers that differ, neither of them a NaN.
    pub(super) fn allows_f64(&self, a: f64, b: f64) -> bool {
        if self.is_zero() {
            return false;
        }
        let actual = (a - b).abs();
        actual.is_finite() && actual <= (self.rtol * b).abs() + self.atol
    }

    /// The same in `f32`.
    pub(super) fn allows_f32(&self, a: f32, b: f32) -> bool {
        self.allows_rounded(a, b, |number| number)
    }

    /// The same in `f16`: PyTorch computes each operation in `f32` and rounds its result.
    pub(super) fn allows_f16(&self, a: f16, b: f16) -> bool {
        let round = |number| f16::from_f32(number).to_f32();
        self.allows_rounded(a.to_f32(), b.to_f32(), round)
    }

    /// The same in `bf16`.
    pub(super) fn allows_bf16(&self, a: bf16, b: bf16) -> bool {
        let round = |number| bf16::from_f32(number).to_f32();
        self.allows_rounded(a.to_f32(), b.to_f32(), round)
    }

    fn allows_rounded(&self, a: f32, b: f32, round: impl Fn(f32) -> f32) -> bool {
        if self.is_zero() {
            return false;
        }
        let actual = round(a - b).abs();
        let relative = round(self.rtol as f32 * b).abs();
        actual.is_finite() && actual <= round(relative + round(self.atol as f32))
    }

    /// Without tolerance PyTorch compares for equality alone.
    fn is_zero(&self) -> bool {
        self.rtol == 0.0 && self.atol == 0.0
    }
}
