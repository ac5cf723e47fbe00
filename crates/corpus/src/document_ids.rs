//! The names that documents have outside an index.

use std::borrow::Cow;

/// A one-to-one mapping between pids and the ids that files of the outside world use.
pub trait DocumentIds {
    /// The outside id of passage `pid`. A pid without one is written as a decimal number.
    fn external_id(&self, pid: u32) -> Cow<'_, str>;

    /// The pid of the passage with this outside id, if there is one.
    fn pid_of(&self, external_id: &str) -> Option<u32>;
}

/// Documents that are known by their pid alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlainPids;

impl DocumentIds for PlainPids {
    fn external_id(&self, pid: u32) -> Cow<'_, str> {
        Cow::Owned(pid.to_string())
    }

    /// `external_id` as a number, if it is written as [`PlainPids::external_id`] writes it:
    /// `007` is not passage 7.
    fn pid_of(&self, external_id: &str) -> Option<u32> {
        let pid = external_id.parse().ok()?;
        (self.external_id(pid) == external_id).then_some(pid)
    }
}
