//! ColBERT's markers: the token after `[CLS]` that tells queries from documents.

use super::tokens::TokenIds;
use super::word_pieces::WordPieces;

/// The id of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) id: u32,
    /// Whether the vocabulary lacks it, so that it is the unknown token, as in the reference.
    pub(super) unknown: bool,
}

impl Marker {
    pub(super) fn new(pieces: &WordPieces, token: &str) -> Marker {
        match pieces.id_of(token) {
            Some(id) => Marker { id, unknown: false },
            None => Marker {
                id: pieces.special().unk,
                unknown: true,
            },
        }
    }

    /// Puts the marker after the first of `ids`.
    pub(super) fn insert(self, ids: &mut TokenIds) {
        ids.insert(1.min(ids.len()), self.id);
    }

    /// A notice for the user if the vocabulary lacks the marker `token`, the value of `setting`.
    pub(super) fn notice(self, setting: &str, token: &str) -> Option<String> {
        self.unknown.then(|| {
            format!(
                "the vocabulary lacks {token:?} ({setting}), so texts are marked with the unknown \
                 token, as ColBERT does"
            )
        })
    }
}
