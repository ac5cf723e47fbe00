//! The ids that a collection brought with it.

use crate::packed_strings::PackedStrings;

/// The ids of a collection that brought its own.
#[derive(Debug, Clone)]
pub(super) struct ExternalIds {
    pub(super) by_pid: PackedStrings,
    /// All pids, in the order of their ids: a lookup is a binary search.
    sorted: Vec<u32>,
}

/// An id that two passages have.
#[derive(Debug)]
pub(super) struct RepeatedId {
    pub(super) id: String,
    pub(super) first: u32,
    pub(super) second: u32,
}

impl ExternalIds {
    /// The ids given, in the order of their pids.
    ///
    /// # Errors
    /// An id that is used twice; of several the one whose second use comes first.
    pub(super) fn new(by_pid: PackedStrings) -> Result<ExternalIds, RepeatedId> {
        let id = |pid: u32| by_pid.get(pid as usize).unwrap_or_default();
        let mut sorted: Vec<u32> = (0..by_pid.len() as u32).collect();
        // Stable: among equal ids the earlier passage stays first.
        sorted.sort_by(|&a, &b| id(a).cmp(id(b)));
        let equal = sorted.windows(2).filter(|pair| id(pair[0]) == id(pair[1]));
        match equal.map(|pair| (pair[1], pair[0])).min() {
            Some((second, first)) => Err(RepeatedId {
                id: id(first).to_owned(),
                first,
                second,
            }),
            None => Ok(ExternalIds { by_pid, sorted }),
        }
    }

    pub(super) fn pid_of(&self, external_id: &str) -> Option<u32> {
        let id = |pid: u32| self.by_pid.get(pid as usize).unwrap_or_default();
        let found = self
            .sorted
            .binary_search_by(|&pid| id(pid).cmp(external_id));
        found.ok().map(|place| self.sorted[place])
    }
}
