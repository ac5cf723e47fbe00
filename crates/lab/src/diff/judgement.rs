//! How near both sides of a row are to the referee's.

use std::fmt;

use concord_tensor::closeness::ClosenessReport;
use serde::{Deserialize, Serialize};

use crate::nearer::Nearer;

/// What is said of a tensor that differs between two sides: which is nearer the referee's.
///
/// In JSON it is `{"a": …, "b": …, "nearer": "a"}`, with `"b"` and `"neither"` as the other answers, or
/// `{"not_comparable": {"why": …}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Judgement {
    /// Both were held against it.
    Judged {
        /// How far the first side is from it.
        a: Distance,
        /// How far the second is.
        b: Distance,
        nearer: Nearer,
    },
    /// The elements of the three are not about the same things.
    NotComparable { not_comparable: NotComparable },
}

/// How far the tensor of one side is from the referee's.
///
/// The error of an element is |value − referee's value|, in `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The mean of the finite errors. `None` for integers and bools: they are names and counts, for which
    /// it is no matter how far a wrong one is from the right one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The largest finite error; `None` for integers and bools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The share of the elements that have the referee's bits, from 0 to 1.
    pub agree: f64,
    /// The elements without a finite error: NaN or infinite on this side or in the referee, and not the
    /// same in the other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_bound: usize,
}

pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Why no side of a row can be called nearer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum NotComparable {
    /// The referee has no tensor of that name.
    Absent,
    /// The referee's has another shape.
    Shape,
    /// The referee's has not the passages that both sides have.
    Passages,
    /// Which passage, sample or centroid a row belongs to is decided by another artifact, of which a side
    /// has not the referee's.
    Rows { by: String },
}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotComparable::Absent => f.write_str("the referee has none"),
            NotComparable::Shape => f.write_str("the referee's has another shape"),
            NotComparable::Passages => f.write_str("the referee's is of other passages"),
            NotComparable::Rows { by } => write!(
                f,
                "one side's `{by}` is not the referee's, so that its rows are about something else"
            ),
        }
    }
}

impl Judgement {
    /// The answer for two sides that are so far from the referee.
    ///
    /// Floats go by the mean error, since the largest is that of one element out of millions, and may lie
    /// at a place where a difference in the last bit has turned a decision; integers and bools by the
    /// share that is not the referee's. A side with fewer elements without a finite error goes before
    /// all that, for they are in no mean.
    pub(super) fn of(a: Distance, b: Distance) -> Judgement {
        let without_bound = Nearer::of(a.without_bound as f64, b.without_bound as f64);
        let nearer = match (without_bound, a.mean.zip(b.mean)) {
            (Nearer::Neither, Some((a, b))) => Nearer::of(a, b),
            (Nearer::Neither, None) => Nearer::of(1.0 - a.agree, 1.0 - b.agree),
            (nearer, _) => nearer,
        };
        Judgement::Judged { a, b, nearer }
    }
}

impl From<NotComparable> for Judgement {
    fn from(not_comparable: NotComparable) -> Judgement {
        Judgement::NotComparable { not_comparable }
    }
}

impl Distance {
    /// None at all.
    pub(super) const ZERO: Distance = Distance {
        mean: Some(0.0),
        max: Some(0.0),
        agree: 1.0,
        without_bound: 0,
    };

    /// What a comparison with the referee's tensor says.
    pub(super) fn of(report: &ClosenessReport) -> Distance {
        let are_floats = report.dtype_a.is_float() || report.dtype_b.is_float();
        let largest = report.max_abs.as_ref().map_or(0.0, |peak| peak.value);
        let nans = report.nans;
        let equal = report.elements - report.differing;
        Distance {
            mean: are_floats.then_some(report.mean_abs),
            max: are_floats.then_some(largest),
            agree: equal as f64 / report.elements.max(1) as f64,
            without_bound: nans.a + nans.b - 2 * nans.both + report.infinite,
        }
    }
}
