//! Where the inputs of an index lay.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, absolute};

/// Where the inputs of a build lay, for whoever searches the index later. Part of the log, not of the
/// index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The checkpoint: an absolute path or a hub id.
    pub checkpoint: String,
    /// The collection's absolute path.
    pub collection: String,
}

impl Origin {
    /// The inputs at these places: paths made absolute, the names of the embedded checkpoint and of the hub's as
    /// they are.
    pub fn of(checkpoint: &str, collection: &Path) -> Origin {
        Origin {
            checkpoint: checkpoint::location(checkpoint),
            collection: absolute(collection),
        }
    }
}
