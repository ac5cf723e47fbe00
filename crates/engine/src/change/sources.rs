//! The passages of an index in what it was made from: an index keeps neither texts nor embeddings.

use std::collections::HashMap;

use concord_corpus::{Collection, Metadata};
use concord_index::format::PassageRows;
use concord_index::passages::{IdError, PassageRecord, PassageTable};
use concord_tensor::BitHash;

use super::error::ChangeError;
use crate::embeddings::GivenPassages;

/// The texts of the passages that are not deleted, in the order of the index, under its ids and with its metadata. They are looked up by
/// the hashes that the index has of them, so it does not matter in which order and under which ids `given` has them, nor
/// what else it has.
///
/// # Errors
/// [`ChangeError::NoText`] for the first passage that has none there.
pub(super) fn texts_of(
    table: &PassageTable,
    given: &Collection,
) -> Result<Collection, ChangeError> {
    let by_hash: HashMap<BitHash, &str> = given
        .iter()
        .map(|text| (BitHash::of_bytes(text.as_bytes()), text))
        .collect();
    let there = || there(table);
    let texts = there().map(|passage| {
        let text = passage.text.and_then(|hash| by_hash.get(&hash).copied());
        text.ok_or_else(|| ChangeError::NoText {
            id: passage.id.clone(),
        })
    });
    let texts = Collection::from_passages(texts.collect::<Result<Vec<_>, _>>()?);
    let texts = texts.with_metadata(metadata_of(table));
    match table.own_ids() {
        false => Ok(texts),
        true => {
            let named = texts.named(there().map(|passage| &passage.id));
            named.map_err(|id| IdError::Repeated(id).into())
        }
    }
}

fn there(table: &PassageTable) -> impl Iterator<Item = &PassageRecord> {
    table.passages().iter().filter(|passage| !passage.deleted)
}

/// The metadata of the passages that are not deleted.
fn metadata_of(table: &PassageTable) -> Metadata {
    there(table)
        .map(|passage| passage.metadata.as_deref())
        .collect()
}

/// The embeddings of the passages that are not deleted, in the order of the index, under its ids, by which they are
/// looked up, and with its metadata; or without ids, where these are not their own. An index has no hash of the embeddings of each passage: that
/// there are as many of each is what is compared.
///
/// # Errors
/// For the first passage that is not there, or has more or fewer embeddings than in the index.
pub(super) fn embeddings_of(
    table: &PassageTable,
    rows: &PassageRows,
    given: GivenPassages,
    own_ids: bool,
) -> Result<GivenPassages, ChangeError> {
    let known = given.table();
    let by_id = known.by_id();
    let all = table.passages().iter().zip(rows.doclens());
    let (mut pids, mut ids) = (Vec::new(), Vec::new());
    for (passage, &expected) in all.filter(|(passage, _)| !passage.deleted) {
        let id = || passage.id.clone();
        let pid = by_id.get(passage.id.as_str()).copied();
        let pid = pid.ok_or_else(|| ChangeError::NoEmbeddings { id: id() })?;
        let found = given.doclen(pid);
        if i64::try_from(found) != Ok(expected) {
            return Err(ChangeError::OtherLength {
                id: id(),
                found,
                expected,
            });
        }
        pids.push(pid);
        ids.push(id());
    }
    let ids = own_ids.then_some(ids);
    Ok(given.selected(&pids, ids, metadata_of(table)))
}
