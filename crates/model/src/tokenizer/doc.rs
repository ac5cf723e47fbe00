//! Documents to token ids.

use std::collections::BTreeSet;

use super::error::TokenizerError;
use super::markers::Marker;
use super::tokens::{Span, TokenIds};
use super::word_pieces::{Encoded, WordPieces};
use crate::config::ColbertConfig;

/// Python's `string.punctuation`.
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// Turns documents into `[CLS] [D] piece … piece [SEP]`.
#[derive(Debug, Clone)]
pub struct DocTokenizer {
    pieces: WordPieces,
    marker: Marker,
    doc_token_id: String,
    max_tokens: usize,
    skiplist: BTreeSet<u32>,
}

impl DocTokenizer {
    /// The document tokenizer of a checkpoint's word pieces under the settings `doc_maxlen`,
    /// `doc_token_id` and `mask_punctuation`.
    ///
    /// # Errors
    /// [`TokenizerError::TooShort`] if `doc_maxlen` is below the three special tokens.
    pub fn new(pieces: WordPieces, config: &ColbertConfig) -> Result<DocTokenizer, TokenizerError> {
        let special = pieces.added() + 1;
        if config.doc_maxlen < special {
            return Err(TokenizerError::TooShort {
                limit: config.doc_maxlen,
                special,
            });
        }
        let skiplist = match config.mask_punctuation {
            true => punctuation_ids(&pieces)?,
            false => BTreeSet::new(),
        };
        Ok(DocTokenizer {
            marker: Marker::new(&pieces, &config.doc_token_id),
            doc_token_id: config.doc_token_id.clone(),
            max_tokens: config.doc_maxlen,
            pieces,
            skiplist,
        })
    }

    /// The ids of one document: 3 to `doc_maxlen` of them.
    ///
    /// # Errors
    /// Those of [`WordPieces::encode_counted`].
    pub fn encode_one(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        Ok(self.encode_counted(text)?.ids)
    }

    /// [`DocTokenizer::encode_one`], and how many tokens `doc_maxlen` left no room for.
    ///
    /// # Errors
    /// As [`DocTokenizer::encode_one`].
    pub fn encode_counted(&self, text: &str) -> Result<Encoded, TokenizerError> {
        let mut encoded = self.pieces.encode_counted(text, self.max_tokens - 1)?;
        self.marker.insert(&mut encoded.ids);
        Ok(encoded)
    }

    /// For each token of [`DocTokenizer::encode_one`] whose embedding is kept, the bytes of `text` that
    /// it stands for; nothing for `[CLS]`, the marker and `[SEP]`.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn kept_spans(&self, text: &str) -> Result<Vec<Span>, TokenizerError> {
        let keep = self.keep_mask(&self.encode_one(text)?);
        let mut spans = self.pieces.spans(text, self.max_tokens - 1)?;
        spans.insert(1.min(spans.len()), None);
        let kept = spans.into_iter().zip(keep).filter(|(_, keep)| *keep);
        Ok(kept.map(|(span, _)| span).collect())
    }

    /// The ids of each of `texts`, without padding: [`DocTokenizer::encode_one`] of each, on the
    /// calling thread.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<TokenIds>, TokenizerError> {
        texts
            .iter()
            .map(|text| self.encode_one(text.as_ref()))
            .collect()
    }

    /// For each of `ids` whether its embedding is kept: it is neither padding nor, unless
    /// `mask_punctuation` is off, punctuation. A literal `[PAD]` in a text is dropped too, as in
    /// the reference.
    pub fn keep_mask(&self, ids: &[u32]) -> Vec<bool> {
        let pad = self.pieces.special().pad;
        ids.iter()
            .map(|id| *id != pad && !self.skiplist.contains(id))
            .collect()
    }

    /// The ids whose embeddings are dropped, beside padding: for each ASCII punctuation
    /// character the first of its word pieces. Empty if `mask_punctuation` is off.
    ///
    /// A character that the vocabulary lacks puts the unknown token on the list, as in the
    /// reference.
    pub fn skiplist(&self) -> &BTreeSet<u32> {
        &self.skiplist
    }

    /// The id of the document marker.
    pub fn marker_id(&self) -> u32 {
        self.marker.id
    }

    pub fn word_pieces(&self) -> &WordPieces {
        &self.pieces
    }

    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::from_iter(self.marker.notice("doc_token_id", &self.doc_token_id));
        if self.skiplist.contains(&self.pieces.special().unk) {
            notices.push(
                "the vocabulary lacks a punctuation character, so unknown words are dropped with \
                 the punctuation, as ColBERT does"
                    .into(),
            );
        }
        notices
    }
}

fn punctuation_ids(pieces: &WordPieces) -> Result<BTreeSet<u32>, TokenizerError> {
    let mut ids = BTreeSet::new();
    for character in PUNCTUATION.chars() {
        let encoded = pieces.raw(character.encode_utf8(&mut [0; 4]))?;
        ids.extend(encoded.first());
    }
    Ok(ids)
}
