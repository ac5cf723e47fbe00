//! The one place where the `tokenizers` library is called.
//!
//! It was made for files that it wrote itself, and panics on some that it did not. What a user's file does to it
//! is told as the file's fault; what the library gives back is checked before it is used.

use std::collections::HashSet;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Encoding, PostProcessor, Tokenizer, TruncationDirection};

use super::description;
use super::error::TokenizerError;
use super::files::AddedTokenSettings;
use super::guard::guarded;

/// The most bytes that a text may have once it is normalised.
const MAX_NORMALIZED: usize = 2 << 20;

/// The most special tokens around a text.
const MAX_ADDED: usize = 256;

/// A tokenizer of the library.
pub(super) struct Library {
    tokenizer: Tokenizer,
    /// By how much a text can grow when it is normalised.
    growth: usize,
    highest: u32,
    size: usize,
}

impl Library {
    /// The tokenizer of a `tokenizer.json`.
    ///
    /// # Errors
    /// It is malformed, describes something that can outgrow its bounds, or the library panics on it.
    pub(super) fn load(description: Map<String, Value>) -> Result<Library, TokenizerError> {
        description::check(&description)?;
        let growth = description::growth(description.get("normalizer"));
        let text = Value::Object(description).to_string();
        let loaded = guarded(|| Tokenizer::from_bytes(text)).map_err(crashed)?;
        let tokenizer = loaded.map_err(|error| TokenizerError::Malformed {
            problem: error.to_string(),
        })?;
        let mut library = Library {
            tokenizer,
            growth,
            highest: 0,
            size: 0,
        };
        library.count()?;
        Ok(library)
    }

    /// Makes the tokenizer recognise `tokens` in texts, but for those that it recognises already.
    pub(super) fn recognise(
        &mut self,
        tokens: Vec<AddedTokenSettings>,
    ) -> Result<(), TokenizerError> {
        let known = self.tokenizer.get_added_tokens_decoder();
        let mut known: HashSet<String> = known.into_values().map(|token| token.content).collect();
        let new = tokens
            .into_iter()
            .filter(|token| known.insert(token.content.clone()));
        let added: Vec<AddedToken> = new
            .map(|token| {
                AddedToken::from(token.content, token.special)
                    .single_word(token.single_word)
                    .lstrip(token.lstrip)
                    .rstrip(token.rstrip)
                    .normalized(token.normalized)
            })
            .collect();
        if added.is_empty() {
            return Ok(());
        }
        // All at once: after each call the library builds its search for all of them anew.
        guarded(|| self.tokenizer.add_tokens(&added)).map_err(crashed)?;
        self.count()
    }

    fn count(&mut self) -> Result<(), TokenizerError> {
        let vocabulary = guarded(|| self.tokenizer.get_vocab(true)).map_err(crashed)?;
        self.size = vocabulary.len();
        self.highest = vocabulary.into_values().max().unwrap_or(0);
        Ok(())
    }

    /// The number of tokens.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The highest id of a token.
    pub(super) fn highest_id(&self) -> u32 {
        self.highest
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    pub(super) fn token_of(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The tokens that are looked for in texts before these are split into words.
    pub(super) fn recognised(&self) -> Vec<String> {
        let tokens = self.tokenizer.get_added_tokens_decoder();
        tokens.into_values().map(|token| token.content).collect()
    }

    /// The number of special tokens around a text.
    ///
    /// # Errors
    /// When it is beyond reason.
    pub(super) fn added(&self) -> Result<usize, TokenizerError> {
        let processor = self.tokenizer.get_post_processor();
        let added = guarded(|| processor.map_or(0, |processor| processor.added_tokens(false)));
        match added.map_err(crashed)? {
            added @ ..=MAX_ADDED => Ok(added),
            added => Err(TokenizerError::Bound {
                what: "the special tokens that it puts around a text",
                found: added,
                most: MAX_ADDED,
            }),
        }
    }

    /// The tokens of `text` without special tokens; with the bytes that each stands for if `spans` is set.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`], [`TokenizerError::Crashed`], and [`TokenizerError::Bound`] where the text could
    /// outgrow the memory.
    pub(super) fn encode(&self, text: &str, spans: bool) -> Result<Encoding, TokenizerError> {
        let most = text.len().saturating_mul(self.growth);
        if most > MAX_NORMALIZED {
            return Err(TokenizerError::Bound {
                what: "the bytes that its normalizer can make of a text",
                found: most,
                most: MAX_NORMALIZED,
            });
        }
        let encoded = guarded(|| match spans {
            true => self.tokenizer.encode(text, false),
            false => self.tokenizer.encode_fast(text, false),
        });
        let encoding = encoded.map_err(crashed)?.map_err(encode_error)?;
        self.check_ids(&encoding)?;
        Ok(encoding)
    }

    /// The first `room` tokens of `encoding` with the special tokens around them.
    ///
    /// # Errors
    /// As [`Library::encode`].
    pub(super) fn around(
        &self,
        mut encoding: Encoding,
        room: usize,
    ) -> Result<Encoding, TokenizerError> {
        encoding.truncate(room, 0, TruncationDirection::Right);
        // What was cut off is kept as further encodings, which would be processed too.
        encoding.take_overflowing();
        let whole = guarded(|| self.tokenizer.post_process(encoding, None, true));
        let whole = whole.map_err(crashed)?.map_err(encode_error)?;
        self.check_ids(&whole)?;
        Ok(whole)
    }

    /// Refuses ids that no token of the vocabulary has: the library takes those around a text from wherever the
    /// file names them.
    fn check_ids(&self, encoding: &Encoding) -> Result<(), TokenizerError> {
        let Some(at) = encoding.get_ids().iter().position(|&id| id > self.highest) else {
            return Ok(());
        };
        Err(TokenizerError::UnknownId {
            id: encoding.get_ids()[at],
            token: encoding.get_tokens().get(at).cloned().unwrap_or_default(),
            highest: self.highest,
        })
    }
}

fn crashed(problem: String) -> TokenizerError {
    TokenizerError::Crashed { problem }
}

fn encode_error(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Encode {
        problem: error.to_string(),
    }
}
