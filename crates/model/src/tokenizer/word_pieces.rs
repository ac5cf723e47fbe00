//! Texts to word pieces, with the checkpoint's own tokenizer.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, Encoding, PostProcessor, Tokenizer, TruncationDirection};

use super::error::TokenizerError;
use super::files::{AddedTokenSettings, Settings, TokenizerFiles};
use super::tokens::{Span, TokenIds};

/// The longest word, in characters, that is split into pieces; a longer one is unknown
/// (`WordPiece`'s default, which `transformers` leaves as it is).
const MAX_CHARS_PER_WORD: usize = 100;

/// The ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialIds {
    /// `[CLS]`, the first token.
    pub cls: u32,
    /// `[SEP]`, the last token.
    pub sep: u32,
    /// `[PAD]`.
    pub pad: u32,
    /// `[MASK]`.
    pub mask: u32,
    /// `[UNK]`, which stands for words without pieces.
    pub unk: u32,
}

/// A checkpoint's tokenizer. Cheap to clone; one can serve many threads.
///
/// The ids are those of the tokenizer class that `transformers` picks for the checkpoint:
/// whatever truncation and padding `tokenizer.json` has stored is dropped; for BERT's class the
/// normaliser's switches are those of `tokenizer_config.json`, with that class's defaults, even
/// where `tokenizer.json` has others; and the special tokens are recognised in texts.
#[derive(Clone)]
pub struct WordPieces {
    tokenizer: Arc<Tokenizer>,
    special: SpecialIds,
    /// Special tokens around a text.
    added: usize,
}

impl WordPieces {
    /// The tokenizer that `files` describe.
    ///
    /// # Errors
    /// A file is malformed; a special token is missing from the vocabulary; the tokenizer puts
    /// no token before a text.
    pub fn new(files: &TokenizerFiles) -> Result<WordPieces, TokenizerError> {
        let settings = files.settings()?;
        settings.check_sides()?;
        let names = SpecialNames::new(&settings)?;
        let description = match files.tokenizer_json()? {
            Some(mut description) => {
                override_settings(&mut description, &settings)?;
                description
            }
            None => describe(&files.vocabulary()?, &names, &settings)?,
        };
        let description = Value::Object(description).to_string();
        let tokenizer = Tokenizer::from_bytes(description);
        let mut tokenizer = tokenizer.map_err(|error| TokenizerError::Malformed {
            problem: error.to_string(),
        })?;
        let special = names.ids(&tokenizer)?;
        recognise(&mut tokenizer, settings.added_tokens()?);
        recognise(&mut tokenizer, names.all().map(|(_, t)| t.clone()).to_vec());
        let processor = tokenizer.get_post_processor();
        let added = processor.map_or(0, |processor| processor.added_tokens(false));
        let pieces = WordPieces {
            tokenizer: Arc::new(tokenizer),
            special,
            added,
        };
        match pieces.encode("", usize::MAX)?.first() {
            Some(_) => Ok(pieces),
            None => Err(TokenizerError::NoLeadingToken),
        }
    }

    /// The ids of the special tokens.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// The number of special tokens around a text: two, `[CLS]` and `[SEP]`, for BERT.
    pub fn added(&self) -> usize {
        self.added
    }

    /// The id of `token`, if the vocabulary has it.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The token with this id, if there is one.
    pub fn token_of(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The highest id in the vocabulary.
    pub fn highest_id(&self) -> u32 {
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.into_values().max().unwrap_or(0)
    }

    /// The ids of `text` without special tokens, not truncated. Special tokens that stand
    /// literally in the text are recognised as such.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn raw(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(encode_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of `text` with special tokens: at most `max_tokens` of them, the text's last
    /// pieces making room for the special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::TooShort`] if `max_tokens` leaves no room for the special tokens.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<TokenIds, TokenizerError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let whole = self.around(encoding.map_err(encode_error)?, max_tokens)?;
        Ok(whole.get_ids().to_vec())
    }

    /// For each id of [`WordPieces::encode`] the bytes of `text` that it stands for; nothing for the
    /// special tokens around the text.
    ///
    /// # Errors
    /// Those of [`WordPieces::encode`].
    pub fn spans(&self, text: &str, max_tokens: usize) -> Result<Vec<Span>, TokenizerError> {
        let encoding = self.tokenizer.encode(text, false);
        let whole = self.around(encoding.map_err(encode_error)?, max_tokens)?;
        let spans = whole.get_offsets().iter();
        Ok(spans
            .map(|&(start, end)| (start < end).then_some(start..end))
            .collect())
    }

    /// `encoding`, cut so that it has `max_tokens` with the special tokens put around it.
    fn around(
        &self,
        mut encoding: Encoding,
        max_tokens: usize,
    ) -> Result<Encoding, TokenizerError> {
        let room = max_tokens.checked_sub(self.added);
        let room = room.ok_or(TokenizerError::TooShort {
            limit: max_tokens,
            special: self.added,
        })?;
        encoding.truncate(room, 0, TruncationDirection::Right);
        let whole = self.tokenizer.post_process(encoding, None, true);
        whole.map_err(encode_error)
    }
}

impl std::fmt::Debug for WordPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordPieces")
            .field("vocabulary", &self.tokenizer.get_vocab_size(true))
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

fn encode_error(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Encode {
        problem: error.to_string(),
    }
}

/// The five special tokens, by what they are for.
struct SpecialNames {
    cls: AddedTokenSettings,
    sep: AddedTokenSettings,
    pad: AddedTokenSettings,
    mask: AddedTokenSettings,
    unk: AddedTokenSettings,
}

impl SpecialNames {
    fn new(settings: &Settings) -> Result<SpecialNames, TokenizerError> {
        Ok(SpecialNames {
            cls: settings.special_token("cls_token", "[CLS]")?,
            sep: settings.special_token("sep_token", "[SEP]")?,
            pad: settings.special_token("pad_token", "[PAD]")?,
            mask: settings.special_token("mask_token", "[MASK]")?,
            unk: settings.special_token("unk_token", "[UNK]")?,
        })
    }

    fn all(&self) -> [(&'static str, &AddedTokenSettings); 5] {
        [
            ("unk", &self.unk),
            ("sep", &self.sep),
            ("pad", &self.pad),
            ("cls", &self.cls),
            ("mask", &self.mask),
        ]
    }

    fn ids(&self, tokenizer: &Tokenizer) -> Result<SpecialIds, TokenizerError> {
        let [unk, sep, pad, cls, mask] = self.all().map(|(role, token)| {
            let id = tokenizer.token_to_id(&token.content);
            id.ok_or_else(|| TokenizerError::NoSpecialToken {
                token: token.content.clone(),
                role,
            })
        });
        Ok(SpecialIds {
            cls: cls?,
            sep: sep?,
            pad: pad?,
            mask: mask?,
            unk: unk?,
        })
    }
}

/// Changes the `tokenizer.json` in `description` as `transformers` does on loading it.
fn override_settings(
    description: &mut Map<String, Value>,
    settings: &Settings,
) -> Result<(), TokenizerError> {
    description.insert("truncation".into(), Value::Null);
    description.insert("padding".into(), Value::Null);
    let normalizer = description.get_mut("normalizer");
    let Some(Value::Object(normalizer)) = normalizer else {
        return Ok(());
    };
    if settings.overrides_normalizer() && normalizer.get("type") == Some(&json!("BertNormalizer")) {
        normalizer.extend(normalizer_switches(settings)?);
    }
    Ok(())
}

/// The switches of BERT's normaliser, from `tokenizer_config.json`.
fn normalizer_switches(settings: &Settings) -> Result<Map<String, Value>, TokenizerError> {
    let lowercase = settings.switch("do_lower_case", true)?;
    let handle_chinese = settings.switch("tokenize_chinese_chars", true)?;
    let strip_accents = settings.optional_switch("strip_accents")?;
    Ok(Map::from_iter([
        ("lowercase".into(), json!(lowercase)),
        ("handle_chinese_chars".into(), json!(handle_chinese)),
        ("strip_accents".into(), json!(strip_accents)),
    ]))
}

/// The `tokenizer.json` that `transformers` would make of a BERT vocabulary.
fn describe(
    vocabulary: &[&str],
    names: &SpecialNames,
    settings: &Settings,
) -> Result<Map<String, Value>, TokenizerError> {
    // Of a piece that comes twice the later line counts, as in the reference.
    let ids: Map<String, Value> = vocabulary
        .iter()
        .zip(0u32..)
        .map(|(piece, id)| ((*piece).to_owned(), json!(id)))
        .collect();
    let id = |role, token: &AddedTokenSettings| {
        let id = ids.get(&token.content).cloned();
        id.ok_or_else(|| TokenizerError::NoSpecialToken {
            token: token.content.clone(),
            role,
        })
    };
    let (cls, sep) = (&names.cls.content, &names.sep.content);
    let (cls_id, sep_id) = (id("cls", &names.cls)?, id("sep", &names.sep)?);
    let mut normalizer = normalizer_switches(settings)?;
    normalizer.insert("type".into(), json!("BertNormalizer"));
    normalizer.insert("clean_text".into(), json!(true));
    Ok(Map::from_iter([
        ("version".into(), json!("1.0")),
        ("truncation".into(), Value::Null),
        ("padding".into(), Value::Null),
        ("added_tokens".into(), json!([])),
        ("normalizer".into(), Value::Object(normalizer)),
        ("pre_tokenizer".into(), json!({"type": "BertPreTokenizer"})),
        (
            "post_processor".into(),
            json!({
                "type": "BertProcessing", "sep": [sep, sep_id], "cls": [cls, cls_id],
            }),
        ),
        ("decoder".into(), Value::Null),
        (
            "model".into(),
            json!({
                "type": "WordPiece", "unk_token": names.unk.content,
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": MAX_CHARS_PER_WORD, "vocab": ids,
            }),
        ),
    ]))
}

/// Makes `tokenizer` recognise `tokens` in texts, but for those that it recognises already.
fn recognise(tokenizer: &mut Tokenizer, tokens: Vec<AddedTokenSettings>) {
    for token in tokens {
        let known = tokenizer.get_added_tokens_decoder();
        if known.values().any(|t| t.content == token.content) {
            continue;
        }
        let added = AddedToken::from(token.content, token.special)
            .single_word(token.single_word)
            .lstrip(token.lstrip)
            .rstrip(token.rstrip)
            .normalized(token.normalized);
        match token.special {
            true => tokenizer.add_special_tokens(&[added]),
            false => tokenizer.add_tokens(&[added]),
        };
    }
}
