//! What is recorded of the passages of an index: ids, the hashes of texts, and metadata.

use concord_corpus::{Collection, DocumentIds, Metadata};
use concord_index::passages::{PassageRecord, PassageTable};
use concord_tensor::{BitHash, ByteHasher};

/// What is known of the passages of a collection, in its order.
pub(crate) fn table_of(collection: &Collection) -> PassageTable {
    let texts = collection.iter().zip(0..);
    let record = |(text, pid): (&str, u32)| PassageRecord {
        id: collection.external_id(pid).into_owned(),
        text: Some(BitHash::of_bytes(text.as_bytes())),
        deleted: false,
        metadata: collection.metadata().get(pid as usize).map(Into::into),
    };
    PassageTable::new(collection.has_external_ids(), texts.map(record).collect())
}

/// The hash of the ids that a collection brings; `None` where it brings none.
pub(crate) fn ids_hash(collection: &Collection) -> Option<BitHash> {
    let ids = (0..collection.len() as u32).map(|pid| collection.external_id(pid));
    collection.has_external_ids().then(|| hash_of_texts(ids))
}

/// The hash of the metadata of passages, in their order; `None` where no passage has any.
pub(crate) fn metadata_hash(metadata: &Metadata) -> Option<BitHash> {
    let objects = (0..metadata.len()).map(|pid| metadata.get(pid).unwrap_or_default());
    (!metadata.is_empty()).then(|| hash_of_texts(objects))
}

/// The hash of texts in an order: of the length of each in eight bytes, and its bytes.
pub(crate) fn hash_of_texts(texts: impl IntoIterator<Item: AsRef<str>>) -> BitHash {
    let mut hasher = ByteHasher::new();
    for text in texts {
        let text = text.as_ref();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finish()
}
