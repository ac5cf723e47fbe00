//! The passages of a collection in memory.

use std::borrow::Cow;
use std::ops::Range;

use crate::document_ids::{DocumentIds, PlainPids};
use crate::error::LineProblem;
use crate::metadata::Metadata;
use crate::packed_strings::PackedStrings;

/// The largest number of passages: an index numbers them with `i32`.
pub const MAX_PASSAGES: u64 = i32::MAX as u64;

/// What stands between a title and its passage, as in the reference.
pub(super) const TITLE_SEPARATOR: &str = " | ";

/// Passages with the pids 0 to N−1, all texts in one allocation.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    pub(super) texts: PackedStrings,
    pub(super) external_ids: Option<ExternalIds>,
    pub(super) metadata: Metadata,
    pub(super) notices: Vec<String>,
}

/// The ids of a collection that brought its own.
#[derive(Debug, Clone)]
pub(super) struct ExternalIds {
    by_pid: PackedStrings,
    /// All pids, in the order of their ids: a lookup is a binary search.
    sorted: Vec<u32>,
}

impl Collection {
    /// A collection of the passages given, in that order. It may be empty.
    ///
    /// # Panics
    /// Beyond [`MAX_PASSAGES`] passages.
    pub fn from_passages<S: AsRef<str>>(passages: impl IntoIterator<Item = S>) -> Collection {
        let mut collection = Collection::default();
        for passage in passages {
            assert!(
                (collection.len() as u64) < MAX_PASSAGES,
                "more than {MAX_PASSAGES} passages"
            );
            collection.texts.push(&[passage.as_ref()]);
        }
        collection
    }

    /// The same passages under ids of their own, in the order of their pids.
    ///
    /// # Errors
    /// An id that is used twice.
    ///
    /// # Panics
    /// When there are not as many ids as passages.
    pub fn named<S: AsRef<str>>(
        self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<Collection, String> {
        let mut by_pid = PackedStrings::default();
        ids.into_iter().for_each(|id| by_pid.push(&[id.as_ref()]));
        assert_eq!(by_pid.len(), self.len(), "there is an id for each passage");
        let ids = ExternalIds::new(by_pid).map_err(|repeated| repeated.id)?;
        Ok(Collection {
            external_ids: Some(ids),
            ..self
        })
    }

    /// The number of passages, N.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of passage `pid`, with its title if it has one, or `None` beyond the last.
    pub fn text(&self, pid: u32) -> Option<&str> {
        self.texts.get(pid as usize)
    }

    /// The texts of the passages in `range`, in order; what lies beyond the last is left out.
    pub fn texts(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = &str> {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        range.map(|index| self.texts.get(index).unwrap_or_default())
    }

    /// All texts, in the order of their pids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts(0..self.len())
    }

    /// Whether the file brought ids of its own, so that [`DocumentIds::external_id`] is more
    /// than the pid.
    pub fn has_external_ids(&self) -> bool {
        self.external_ids.is_some()
    }

    /// What is known of the passages beside their texts.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Gives the passages other metadata than they had, if they had any.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Collection {
        if !self.metadata.is_empty() {
            self.notices.push(
                "the fields of the collection beside its texts are left out, since a file with metadata is given"
                    .to_owned(),
            );
        }
        self.metadata = metadata;
        self
    }

    /// Notices for the user about what was read: a header that became a passage, columns that
    /// were ignored.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Makes room for one more passage.
    pub(super) fn check_room(&self) -> Result<(), LineProblem> {
        if self.len() as u64 >= MAX_PASSAGES {
            return Err(LineProblem::TooManyPassages {
                limit: MAX_PASSAGES,
            });
        }
        Ok(())
    }
}

impl DocumentIds for Collection {
    fn external_id(&self, pid: u32) -> Cow<'_, str> {
        let own = self.external_ids.as_ref();
        match own.and_then(|ids| ids.by_pid.get(pid as usize)) {
            Some(id) => Cow::Borrowed(id),
            None => PlainPids.external_id(pid),
        }
    }

    fn pid_of(&self, external_id: &str) -> Option<u32> {
        match &self.external_ids {
            Some(ids) => ids.pid_of(external_id),
            None => PlainPids
                .pid_of(external_id)
                .filter(|&pid| (pid as usize) < self.len()),
        }
    }
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

    fn pid_of(&self, external_id: &str) -> Option<u32> {
        let id = |pid: u32| self.by_pid.get(pid as usize).unwrap_or_default();
        let found = self
            .sorted
            .binary_search_by(|&pid| id(pid).cmp(external_id));
        found.ok().map(|place| self.sorted[place])
    }
}
