//! What is recorded of the passages of an index: ids and the hashes of texts.

use concord_corpus::{Collection, DocumentIds};
use concord_index::passages::{PassageRecord, PassageTable};
use concord_tensor::{BitHash, ByteHasher};

/// What is known of the passages of a collection, in its order.
pub(crate) fn table_of(collection: &Collection) -> PassageTable {
    let texts = collection.iter().zip(0..);
    let record = |(text, pid): (&str, u32)| PassageRecord {
        id: collection.external_id(pid).into_owned(),
        text: Some(BitHash::of_bytes(text.as_bytes())),
        deleted: false,
    };
    PassageTable::new(collection.has_external_ids(), texts.map(record).collect())
}

/// The hash of the ids that a collection brings; `None` where it brings none.
pub(crate) fn ids_hash(collection: &Collection) -> Option<BitHash> {
    let ids = (0..collection.len() as u32).map(|pid| collection.external_id(pid));
    collection.has_external_ids().then(|| hash_of_ids(ids))
}

/// The hash of ids in an order: of the length of each in eight bytes, and its bytes.
pub(crate) fn hash_of_ids(ids: impl IntoIterator<Item: AsRef<str>>) -> BitHash {
    let mut hasher = ByteHasher::new();
    for id in ids {
        let id = id.as_ref();
        hasher.update(&(id.len() as u64).to_le_bytes());
        hasher.update(id.as_bytes());
    }
    hasher.finish()
}
