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

    /// The checkpoint as an index names it: the last part of a path, a hub id whole.
    pub fn checkpoint_name(&self) -> String {
        last_component(&self.checkpoint)
    }

    /// The collection as an index names it.
    pub fn collection_name(&self) -> String {
        last_component(&self.collection)
    }
}

/// The file name of a path; a hub id stays whole.
fn last_component(location: &str) -> String {
    let path = Path::new(location);
    let name = path.file_name().filter(|_| path.is_absolute());
    name.map_or_else(
        || location.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
