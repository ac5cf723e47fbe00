//! What a change of an index came to.

use concord_index::passages::PassageTable;
use serde::Serialize;

use super::drift::Drift;

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeReport {
    /// The passages that are found.
    pub passages: usize,
    /// Passages that are deleted and keep their numbers.
    pub deleted: usize,
    pub embeddings: usize,
    /// Passages that were added.
    pub added: usize,
    /// Passages that were deleted now, because they were named or replaced.
    pub removed: usize,
    /// Deleted passages that were dropped for good.
    pub dropped: usize,
    /// Whether the codec was trained anew.
    pub retrained: bool,
    /// How far what was added lies from what the codec was made for.
    pub drift: Option<Drift>,
    pub notices: Vec<String>,
    pub seconds: f64,
}

impl ChangeReport {
    pub(super) fn of(table: &PassageTable) -> ChangeReport {
        let deleted = table.deleted().count();
        ChangeReport {
            passages: table.len() - deleted,
            deleted,
            embeddings: 0,
            added: 0,
            removed: 0,
            dropped: 0,
            retrained: false,
            drift: None,
            notices: Vec::new(),
            seconds: 0.0,
        }
    }
}
