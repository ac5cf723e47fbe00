//! Modules that compute something else.

use concord_model::architecture::Operation;
use serde::{Deserialize, Serialize};

use super::referee::Errors;

/// A module that computes something else on the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    pub module: String,
    pub operation: Operation,
    /// The width of its output.
    pub width: usize,
    /// Passages for which its output differs.
    pub passages: usize,
    /// Of how many.
    pub of: usize,
    /// Elements that differ.
    pub elements: usize,
    /// Of how many.
    pub elements_of: usize,
    /// The largest absolute difference.
    pub max_abs: f64,
    /// The largest difference in units in the last place.
    pub worst_ulps: Option<u64>,
    /// Which sides give back what they read, as a module does that is cut out.
    pub cut_out: [bool; 2],
    /// How far each side is from the same module in double precision; `None` without a referee.
    pub errors: Option<Errors>,
}
