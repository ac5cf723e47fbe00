//! The ids of passages and the hashes of their texts, and how they change.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use concord_tensor::{BitHash, ByteHasher};

/// What is known of one passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageRecord {
    /// The id by which the outside knows it.
    pub id: String,
    /// The SHA-256 hash of its text; `None` where that was never known.
    pub text: Option<BitHash>,
    /// It keeps its pid and has no embeddings and no metadata.
    pub deleted: bool,
    /// A JSON object in its compact form, the keys in the order of their bytes; `None` where it would have no entries.
    pub metadata: Option<Box<str>>,
}

impl PassageRecord {
    fn delete(&mut self) {
        self.deleted = true;
        self.metadata = None;
    }
}

/// What is known of all passages, by pid.
///
/// Ids are either the collections' own, or *plain*: each is the passage's pid. Plain ids become ids as any others as
/// soon as a passage with one of its own is added, or pids change because deleted passages are dropped: what an id
/// means never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassageTable {
    /// Whether ids are more than the pids.
    own_ids: bool,
    passages: Vec<PassageRecord>,
    /// The ids of deleted passages that have been dropped, as far as no passage has them again.
    dropped: BTreeSet<String>,
}

/// What becomes of passages with ids that a table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// They are refused, also where the passage of that id was deleted, on either side.
    Refused,
    /// They are refused if the passage is there. One with the id of a deleted passage is a new passage.
    RefusedIfThere,
    /// The passage that is there is deleted.
    Replaced,
}

/// Why passages cannot have the ids that they have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("the index has a passage `{0}` already")]
    Taken(String),
    #[error("`{0}` was deleted from the index")]
    Deleted(String),
    #[error("`{0}` comes twice among the passages to be added")]
    Repeated(String),
    #[error("the index has no passage `{0}`")]
    Unknown(String),
    #[error("`{0}` was deleted before")]
    DeletedBefore(String),
    #[error("there is no number left to name passages by that bring no ids")]
    NoNumberLeft,
}

impl PassageTable {
    /// A table of these passages, plain or with ids of their own.
    pub fn new(own_ids: bool, passages: Vec<PassageRecord>) -> PassageTable {
        PassageTable {
            own_ids,
            passages,
            dropped: BTreeSet::new(),
        }
    }

    pub(super) fn with_dropped(self, dropped: BTreeSet<String>) -> PassageTable {
        PassageTable { dropped, ..self }
    }

    /// Of so many passages of which nothing is known.
    pub fn unknown(passages: usize) -> PassageTable {
        let record = |pid: usize| PassageRecord {
            id: pid.to_string(),
            text: None,
            deleted: false,
            metadata: None,
        };
        PassageTable::new(false, (0..passages).map(record).collect())
    }

    pub fn own_ids(&self) -> bool {
        self.own_ids
    }

    /// By pid.
    pub fn passages(&self) -> &[PassageRecord] {
        &self.passages
    }

    /// How many there are, deleted ones included.
    pub fn len(&self) -> usize {
        self.passages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.passages.is_empty()
    }

    /// The ids of deleted passages that have been dropped, ascending.
    pub fn dropped(&self) -> impl Iterator<Item = &str> {
        self.dropped.iter().map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn set_metadata(&mut self, pid: usize, object: &str) {
        self.passages[pid].metadata = Some(object.into());
    }

    /// Whether a passage has metadata.
    pub fn has_metadata(&self) -> bool {
        self.passages.iter().any(|p| p.metadata.is_some())
    }

    /// The pids of the deleted passages, ascending.
    pub fn deleted(&self) -> impl Iterator<Item = usize> {
        let passages = self.passages.iter().enumerate();
        passages.filter(|(_, p)| p.deleted).map(|(pid, _)| pid)
    }

    /// The passages that are not deleted, by their ids.
    pub fn by_id(&self) -> HashMap<&str, usize> {
        let passages = self.passages.iter().enumerate();
        let there = passages.filter(|(_, passage)| !passage.deleted);
        there.map(|(pid, p)| (p.id.as_str(), pid)).collect()
    }

    /// The ids that were deleted and that no passage has again.
    pub fn gone(&self) -> BTreeSet<&str> {
        let there = self.by_id();
        let deleted = self.passages.iter().filter(|passage| passage.deleted);
        let ids = deleted.map(|passage| passage.id.as_str());
        let ids = ids.chain(self.dropped());
        ids.filter(|id| !there.contains_key(id)).collect()
    }

    /// The hash of everything in the table: what says which passages an index is of. A table that came about by other
    /// steps and is equal has the same.
    ///
    /// It is the SHA-256 hash of: the line `passages 1`; a byte that says whether ids are their own; of each passage,
    /// in the order of pids, a byte that says whether it is deleted, the hash of its text (or 32 zero bytes), the
    /// length of its id as eight bytes, least significant first, and the id; then of each dropped id, ascending, its
    /// length and itself. Where a passage has metadata, the line is `passages 2`, and behind each passage's id come the
    /// length of its metadata and the metadata.
    pub fn hash(&self) -> BitHash {
        let mut hasher = ByteHasher::new();
        let has_metadata = self.has_metadata();
        hasher.update(match has_metadata {
            true => b"passages 2\n",
            false => b"passages 1\n",
        });
        hasher.update(&[u8::from(self.own_ids)]);
        let text = |hasher: &mut ByteHasher, text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for passage in &self.passages {
            hasher.update(&[u8::from(passage.deleted)]);
            hasher.update(
                passage
                    .text
                    .as_ref()
                    .map_or(&[0; 32][..], |hash| hash.as_bytes()),
            );
            text(&mut hasher, &passage.id);
            if has_metadata {
                text(&mut hasher, passage.metadata.as_deref().unwrap_or_default());
            }
        }
        for dropped in &self.dropped {
            text(&mut hasher, dropped);
        }
        hasher.finish()
    }

    /// Deletes the passages of these ids and returns their pids, ascending.
    ///
    /// # Errors
    /// The first id that no passage has.
    pub fn delete<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<usize>, IdError> {
        let (there, mut pids) = (self.by_id(), BTreeSet::new());
        for id in ids {
            let pid = there
                .get(id)
                .ok_or_else(|| match self.gone().contains(id) {
                    true => IdError::DeletedBefore(id.to_owned()),
                    false => IdError::Unknown(id.to_owned()),
                })?;
            pids.insert(*pid);
        }
        for &pid in &pids {
            self.passages[pid].delete();
        }
        Ok(pids.into_iter().collect())
    }

    /// Puts passages behind those that are there. Where they bring no ids of their own, they get numbers: their pids,
    /// as long as all ids are plain, and otherwise those that follow the largest number that is an id.
    ///
    /// `known` says what becomes of ids that are known; the pids of passages that were replaced are returned, ascending.
    ///
    /// # Errors
    /// [`IdError::Taken`], [`IdError::Deleted`] as `known` says; [`IdError::Repeated`]. The table is then as it was.
    pub fn append(&mut self, other: &PassageTable, known: Known) -> Result<Vec<usize>, IdError> {
        let offset = self.passages.len();
        let own_ids = match self.passages.is_empty() && self.dropped.is_empty() {
            true => other.own_ids,
            false => self.own_ids || other.own_ids,
        };
        let first = match (other.own_ids, own_ids) {
            (true, _) => None,
            (false, false) => Some(offset as u64),
            (false, true) => Some(self.next_number()?),
        };
        if let Some(first) = first
            && first.checked_add(other.passages.len() as u64).is_none()
        {
            return Err(IdError::NoNumberLeft);
        }
        let name = |passage: usize| match first {
            Some(first) => Cow::Owned((first + passage as u64).to_string()),
            None => Cow::Borrowed(other.passages[passage].id.as_str()),
        };
        let (there, gone) = (self.by_id(), self.gone());
        // What one of two tables knows as deleted must not come back from the other.
        if other.own_ids
            && known == Known::Refused
            && let Some(id) = other.gone().into_iter().find(|id| there.contains_key(id))
        {
            return Err(IdError::Deleted(id.to_owned()));
        }
        let (mut new, mut replaced) = (BTreeSet::new(), BTreeSet::new());
        for (at, _) in other
            .passages
            .iter()
            .enumerate()
            .filter(|(_, p)| !p.deleted)
        {
            let id = name(at);
            match there.get(id.as_ref()) {
                Some(_) if known != Known::Replaced => return Err(IdError::Taken(id.into_owned())),
                Some(&pid) => _ = replaced.insert(pid),
                None if known == Known::Refused && gone.contains(id.as_ref()) => {
                    return Err(IdError::Deleted(id.into_owned()));
                }
                None => {}
            }
            if let Some(id) = new.replace(id) {
                return Err(IdError::Repeated(id.into_owned()));
            }
        }
        let new: BTreeSet<String> = new.into_iter().map(Cow::into_owned).collect();
        let records = other.passages.iter().enumerate().map(|(at, passage)| {
            let id = name(at).into_owned();
            PassageRecord {
                id,
                metadata: passage.metadata.clone(),
                ..*passage
            }
        });
        self.passages.extend(records);
        for &pid in &replaced {
            self.passages[pid].delete();
        }
        self.dropped.extend(other.dropped.iter().cloned());
        self.dropped.retain(|id| !new.contains(id));
        self.own_ids = own_ids;
        Ok(replaced.into_iter().collect())
    }

    /// Drops the deleted passages and numbers the others anew. The ids of those that are dropped are remembered, unless
    /// they are to be forgotten. Returns how many were dropped.
    pub fn compact(&mut self, forget: bool) -> usize {
        let before = self.passages.len();
        let gone: BTreeSet<String> = self.gone().into_iter().map(str::to_owned).collect();
        self.passages.retain(|passage| !passage.deleted);
        self.dropped = if forget { BTreeSet::new() } else { gone };
        self.own_ids |= self.passages.len() != before;
        before - self.passages.len()
    }

    /// The number that follows the largest one that is or was an id, and no less than there are passages.
    fn next_number(&self) -> Result<u64, IdError> {
        let ids = self.passages.iter().map(|passage| passage.id.as_str());
        let numbers = ids.chain(self.dropped()).filter_map(|id| {
            let number = id.parse::<u64>().ok()?;
            (number.to_string() == id).then_some(number)
        });
        let next = numbers
            .max()
            .map_or(Some(0), |largest| largest.checked_add(1));
        let next = next.ok_or(IdError::NoNumberLeft)?;
        Ok(next.max(self.passages.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(ids: &[&str]) -> PassageTable {
        let record = |id: &&str| PassageRecord {
            id: (*id).to_owned(),
            text: Some(BitHash::of_bytes(id.as_bytes())),
            deleted: false,
            metadata: None,
        };
        PassageTable::new(true, ids.iter().map(record).collect())
    }

    fn ids(table: &PassageTable) -> Vec<&str> {
        let there = table.passages().iter().filter(|p| !p.deleted);
        there.map(|passage| passage.id.as_str()).collect()
    }

    #[test]
    fn plain_ids_stay_pids_while_passages_are_added() {
        let mut table = PassageTable::unknown(2);
        table
            .append(&PassageTable::unknown(3), Known::Refused)
            .unwrap();
        assert_eq!(table, PassageTable::unknown(5));
    }

    #[test]
    fn an_id_keeps_its_meaning_when_pids_change() {
        let mut table = PassageTable::unknown(4);
        table.delete(["1"]).unwrap();
        assert_eq!(table.compact(false), 1);
        assert_eq!(ids(&table), ["0", "2", "3"]);
        table
            .append(&PassageTable::unknown(2), Known::Refused)
            .unwrap();
        assert_eq!(ids(&table), ["0", "2", "3", "4", "5"]);
        assert_eq!(
            table.append(&own(&["1"]), Known::Refused),
            Err(IdError::Deleted("1".into()))
        );
        assert_eq!(table.append(&own(&["1"]), Known::Replaced), Ok(vec![]));
        assert!(table.gone().is_empty());
    }

    #[test]
    fn in_pieces_is_as_at_once() {
        for (first, second, third) in [
            (
                own(&["a", "7"]),
                PassageTable::unknown(2),
                PassageTable::unknown(3),
            ),
            (PassageTable::unknown(3), own(&["x"]), own(&["y", "90"])),
        ] {
            let mut pieces = first.clone();
            pieces.append(&second, Known::Refused).unwrap();
            pieces.append(&third, Known::Refused).unwrap();
            let mut both = second.clone();
            both.append(&third, Known::Refused).unwrap();
            let mut once = first;
            once.append(&both, Known::Refused).unwrap();
            assert_eq!(pieces, once);
            assert_eq!(pieces.hash(), once.hash());
        }
    }

    #[test]
    fn what_is_there_or_was_deleted_is_refused_unless_it_is_replaced() {
        let mut table = own(&["a", "b"]);
        assert_eq!(
            table.append(&own(&["b"]), Known::Refused),
            Err(IdError::Taken("b".into()))
        );
        let twice = table.append(&own(&["c", "c"]), Known::Replaced);
        assert_eq!(twice, Err(IdError::Repeated("c".into())));
        assert_eq!(table, own(&["a", "b"]));
        assert_eq!(table.append(&own(&["b"]), Known::Replaced), Ok(vec![1]));
        assert_eq!(ids(&table), ["a", "b"]);
        assert_eq!(table.delete(["b"]), Ok(vec![2]));
        assert_eq!(table.delete(["b"]), Err(IdError::DeletedBefore("b".into())));
        assert_eq!(table.delete(["z"]), Err(IdError::Unknown("z".into())));
        let again = table.clone().append(&own(&["b"]), Known::RefusedIfThere);
        assert_eq!(again, Ok(vec![]));
        assert_eq!(table.compact(false), 2);
        assert_eq!(table.dropped().collect::<Vec<_>>(), ["b"]);
        assert_eq!(table.compact(true), 0);
        assert_eq!(table, own(&["a"]));
    }
}
