//! What a kind of operation makes of the difference.

use concord_model::architecture::Operation;
use serde::{Deserialize, Serialize};

/// What a kind of operation makes of the final difference alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub operation: Operation,
    /// The modules that do it and are culprits.
    pub modules: usize,
    /// The mean absolute difference of embeddings when the first side has the second's outputs at these
    /// modules, and is itself everywhere else.
    pub mean_abs: f64,
}
