//! Queries to token ids.

use super::error::TokenizerError;
use super::markers::Marker;
use super::tokens::{Span, TokenIds};
use super::word_pieces::WordPieces;
use crate::config::ColbertConfig;

/// The most tokens of a query whose full length is searched (a constant of the reference).
const FULL_LENGTH_LIMIT: usize = 500;

/// The reference reckons with this many positions when it limits a context, whatever the encoder
/// has.
const REFERENCE_POSITIONS: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryTokens {
    /// `[CLS] [Q] piece … piece [SEP] [MASK] … [MASK]`, then the context's pieces, if any.
    pub ids: TokenIds,
    /// For each id whether the encoder attends to it.
    pub attention_mask: Vec<bool>,
}

/// Turns queries into `[CLS] [Q] piece … piece [SEP] [MASK] … [MASK]`.
#[derive(Debug, Clone)]
pub struct QueryTokenizer {
    pieces: WordPieces,
    marker: Marker,
    query_token_id: String,
    max_tokens: usize,
    attend_to_mask_tokens: bool,
    positions: usize,
}

impl QueryTokenizer {
    /// The query tokenizer of a checkpoint's word pieces under the settings `query_maxlen`,
    /// `query_token_id` and `attend_to_mask_tokens`; `positions` is the encoder's
    /// `max_position_embeddings`.
    ///
    /// # Errors
    /// [`TokenizerError::TooShort`] if `query_maxlen` is below the three special tokens,
    /// [`TokenizerError::TooLong`] if it is above `positions`.
    pub fn new(
        pieces: WordPieces,
        config: &ColbertConfig,
        positions: usize,
    ) -> Result<QueryTokenizer, TokenizerError> {
        let special = pieces.added() + 1;
        if config.query_maxlen < special {
            return Err(TokenizerError::TooShort {
                limit: config.query_maxlen,
                special,
            });
        }
        let tokenizer = QueryTokenizer {
            marker: Marker::new(&pieces, &config.query_token_id),
            query_token_id: config.query_token_id.clone(),
            max_tokens: config.query_maxlen,
            attend_to_mask_tokens: config.attend_to_mask_tokens,
            pieces,
            positions,
        };
        tokenizer.check_positions(config.query_maxlen)?;
        Ok(tokenizer)
    }

    /// The tokens of a query: exactly `query_maxlen`, cut or filled up with `[MASK]`.
    ///
    /// The encoder does not attend to the `[MASK]`s unless `attend_to_mask_tokens` is set; they
    /// get embeddings all the same. A literal `[PAD]` in the query becomes a `[MASK]`.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode(&self, query: &str) -> Result<QueryTokens, TokenizerError> {
        let mut tokens = self.augmented(query, self.max_tokens)?;
        self.attend(&mut tokens);
        Ok(tokens)
    }

    /// How many tokens of `query` there is no room for in `query_maxlen`: at least so many of a long one, and 0 only if
    /// it fits.
    ///
    /// # Errors
    /// As [`QueryTokenizer::encode`].
    pub fn lost(&self, query: &str) -> Result<usize, TokenizerError> {
        Ok(self.pieces.encode_counted(query, self.max_tokens - 1)?.lost)
    }

    /// For each token of [`QueryTokenizer::encode`] the bytes of `query` that it stands for; nothing for
    /// `[CLS]`, the marker, `[SEP]` and the `[MASK]`s.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn spans(&self, query: &str) -> Result<Vec<Span>, TokenizerError> {
        let mut spans = self.pieces.spans(query, self.max_tokens - 1)?;
        spans.insert(1.min(spans.len()), None);
        spans.resize(self.max_tokens, None);
        Ok(spans)
    }

    /// The tokens of a query that is not cut at `query_maxlen` but, like the reference's
    /// `full_length_search`, at its number of word pieces, 500 at most. The special tokens are
    /// not reckoned with there, so that up to three pieces are cut all the same.
    ///
    /// # Errors
    /// [`TokenizerError::TooLong`] beyond the encoder's positions; [`TokenizerError::Encode`].
    pub fn encode_full_length(&self, query: &str) -> Result<QueryTokens, TokenizerError> {
        let pieces = self.pieces.count(query, FULL_LENGTH_LIMIT)?;
        let tokens = FULL_LENGTH_LIMIT.min(self.max_tokens.max(pieces));
        self.check_positions(tokens)?;
        let mut tokens = self.augmented(query, tokens)?;
        self.attend(&mut tokens);
        Ok(tokens)
    }

    /// The tokens of a query followed by those of a context, without the context's `[CLS]`.
    /// The context has at most `512 − query_maxlen` tokens.
    ///
    /// # Errors
    /// [`TokenizerError::TooLong`] beyond the encoder's positions; [`TokenizerError::TooShort`]
    /// if the query leaves no room for a context; [`TokenizerError::Encode`].
    pub fn encode_with_context(
        &self,
        query: &str,
        context: &str,
    ) -> Result<QueryTokens, TokenizerError> {
        let mut tokens = self.augmented(query, self.max_tokens)?;
        let room = (REFERENCE_POSITIONS + 1).saturating_sub(self.max_tokens);
        let context = self.pieces.encode(context, room)?;
        tokens.ids.extend(context.iter().skip(1));
        tokens.attention_mask.resize(tokens.ids.len(), true);
        self.check_positions(tokens.ids.len())?;
        self.attend(&mut tokens);
        Ok(tokens)
    }

    /// For each of `ids` whether its embedding is kept: all but padding, of which a query has
    /// none unless a `[PAD]` stands literally in its context.
    pub fn keep_mask(&self, ids: &[u32]) -> Vec<bool> {
        let pad = self.pieces.special().pad;
        ids.iter().map(|id| *id != pad).collect()
    }

    /// The id of the query marker.
    pub fn marker_id(&self) -> u32 {
        self.marker.id
    }

    pub fn word_pieces(&self) -> &WordPieces {
        &self.pieces
    }

    pub fn notices(&self) -> Vec<String> {
        let notice = self.marker.notice("query_token_id", &self.query_token_id);
        Vec::from_iter(notice)
    }

    /// The query cut or filled up to `tokens` tokens.
    fn augmented(&self, query: &str, tokens: usize) -> Result<QueryTokens, TokenizerError> {
        let special = self.pieces.special();
        let mut ids = self.pieces.encode(query, tokens - 1)?;
        self.marker.insert(&mut ids);
        for id in &mut ids {
            if *id == special.pad {
                *id = special.mask;
            }
        }
        let mut attention_mask = vec![true; ids.len()];
        ids.resize(tokens, special.mask);
        attention_mask.resize(tokens, false);
        Ok(QueryTokens {
            ids,
            attention_mask,
        })
    }

    fn attend(&self, tokens: &mut QueryTokens) {
        if self.attend_to_mask_tokens {
            tokens.attention_mask.fill(true);
        }
    }

    fn check_positions(&self, tokens: usize) -> Result<(), TokenizerError> {
        match tokens <= self.positions {
            true => Ok(()),
            false => Err(TokenizerError::TooLong {
                tokens,
                positions: self.positions,
            }),
        }
    }
}
