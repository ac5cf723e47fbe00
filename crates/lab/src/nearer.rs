//! Which of two errors is the smaller one.

use serde::{Deserialize, Serialize};

/// The part of the larger of two errors by which they may differ without either side being nearer: errors
/// that close say nothing for either.
const NO_DIFFERENCE: f64 = 0.02;

/// Which of two sides is nearer the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearer {
    A,
    B,
    /// Neither: their errors are the same, or differ by less than a fiftieth.
    Neither,
}

impl Nearer {
    /// The side with the smaller error.
    pub fn of(error_a: f64, error_b: f64) -> Nearer {
        if (error_a - error_b).abs() <= NO_DIFFERENCE * error_a.max(error_b) {
            Nearer::Neither
        } else if error_a < error_b {
            Nearer::A
        } else {
            Nearer::B
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_by_a_fiftieth_are_equal_whatever_their_size() {
        for size in [1.0, 1e-12, 1e300] {
            assert_eq!(Nearer::of(size, 1.01 * size), Nearer::Neither);
            assert_eq!(Nearer::of(size, 1.03 * size), Nearer::A);
            assert_eq!(Nearer::of(1.03 * size, size), Nearer::B);
        }
    }

    #[test]
    fn nothing_is_nearer_than_no_error() {
        assert_eq!(Nearer::of(0.0, 0.0), Nearer::Neither);
        assert_eq!(Nearer::of(0.0, f64::MIN_POSITIVE), Nearer::A);
        assert_eq!(Nearer::of(f64::MIN_POSITIVE, 0.0), Nearer::B);
    }
}
