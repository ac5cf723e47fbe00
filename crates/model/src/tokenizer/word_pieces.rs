//! Texts to word pieces, with the checkpoint's own tokenizer.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokenizers::Encoding;

use super::cut::{Cut, Part};
use super::description;
use super::error::TokenizerError;
use super::files::{AddedTokenSettings, Settings, TokenizerFiles};
use super::library::Library;
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
    library: Arc<Library>,
    special: SpecialIds,
    /// Special tokens around a text.
    added: usize,
    /// How its texts can be cut before they are tokenized, if they can.
    cut: Option<Cut>,
}

/// The most bytes of a text that has to be tokenized whole.
const MAX_WHOLE: usize = 256 << 10;

/// A text as token ids, at most so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, with those of the special tokens around the text.
    pub ids: TokenIds,
    /// Tokens of the text for which there was no room: at least so many, since of a long text no more is read than
    /// decides `ids`.
    pub lost: usize,
}

impl WordPieces {
    /// The tokenizer that `files` describe.
    ///
    /// # Errors
    /// A file is malformed, or describes a tokenizer that does not work or goes beyond a bound; a special token is
    /// missing from the vocabulary; the tokenizer puts no token before a text.
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
        let longest_word = description::longest_word(&description);
        let growth = description::growth(description.get("normalizer"));
        let mut library = Library::load(description)?;
        let special = names.ids(&library)?;
        library.recognise(settings.added_tokens()?)?;
        library.recognise(names.all().map(|(_, t)| t.clone()).to_vec())?;
        let recognised = library.recognised();
        let pieces = WordPieces {
            added: library.added()?,
            library: Arc::new(library),
            special,
            cut: longest_word.map(|longest| Cut::new(longest, growth, &recognised)),
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
        self.library.id_of(token)
    }

    /// The token with this id, if there is one.
    pub fn token_of(&self, id: u32) -> Option<String> {
        self.library.token_of(id)
    }

    /// The highest id in the vocabulary.
    pub fn highest_id(&self) -> u32 {
        self.library.highest_id()
    }

    /// The ids of `text` without special tokens, not truncated. Special tokens that stand
    /// literally in the text are recognised as such.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] and its kind; the text is too long to be tokenized whole.
    pub fn raw(&self, text: &str) -> Result<TokenIds, TokenizerError> {
        Ok(self.whole(text, false)?.get_ids().to_vec())
    }

    /// The ids of `text` with special tokens: at most `max_tokens` of them, the text's last
    /// pieces making room for the special tokens.
    ///
    /// # Errors
    /// As [`WordPieces::encode_counted`].
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<TokenIds, TokenizerError> {
        Ok(self.encode_counted(text, max_tokens)?.ids)
    }

    /// [`WordPieces::encode`], and how many tokens there was no room for.
    ///
    /// # Errors
    /// [`TokenizerError::TooShort`] if `max_tokens` leaves no room for the special tokens; [`TokenizerError::TooSparse`]
    /// if too much of the text would have to be read, and [`TokenizerError::TooManyBytes`] if it has to be tokenized
    /// whole and is too long; [`TokenizerError::Encode`] and its kind.
    pub fn encode_counted(&self, text: &str, max_tokens: usize) -> Result<Encoded, TokenizerError> {
        let room = self.room(max_tokens)?;
        let (encoding, part) = self.start(text, room, false)?;
        let lost = match (encoding.len().saturating_sub(room), &self.cut) {
            // What lies around the cut comes to one token at least.
            (1.., Some(cut)) if !part.is_whole => {
                let certain = encoding.len().saturating_sub(cut.doubtful());
                certain.saturating_sub(room).max(1)
            }
            (lost, _) => lost,
        };
        let whole = self.library.around(encoding, room)?;
        Ok(Encoded {
            ids: whole.get_ids().to_vec(),
            lost,
        })
    }

    /// How many tokens `text` has without special tokens; `most` if they are more.
    ///
    /// # Errors
    /// As [`WordPieces::encode_counted`].
    pub fn count(&self, text: &str, most: usize) -> Result<usize, TokenizerError> {
        let (encoding, _) = self.start(text, most, false)?;
        Ok(encoding.len().min(most))
    }

    /// For each id of [`WordPieces::encode`] the bytes of `text` that it stands for; nothing for the
    /// special tokens around the text.
    ///
    /// # Errors
    /// Those of [`WordPieces::encode`].
    pub fn spans(&self, text: &str, max_tokens: usize) -> Result<Vec<Span>, TokenizerError> {
        let room = self.room(max_tokens)?;
        let (encoding, part) = self.start(text, room, true)?;
        let whole = self.library.around(encoding, room)?;
        let spans = whole.get_offsets().iter();
        Ok(spans
            .map(|&(start, end)| (start < end).then(|| part.original(start, end)))
            .collect())
    }

    fn room(&self, max_tokens: usize) -> Result<usize, TokenizerError> {
        let room = max_tokens.checked_sub(self.added);
        room.ok_or(TokenizerError::TooShort {
            limit: max_tokens,
            special: self.added,
        })
    }

    /// The tokens of a part of `text`, and the part. The first `tokens` are those of the text, and there are more if
    /// the text has more.
    fn start<'a>(
        &self,
        text: &'a str,
        tokens: usize,
        spans: bool,
    ) -> Result<(Encoding, Part<'a>), TokenizerError> {
        let Some(cut) = &self.cut else {
            return Ok((self.whole(text, spans)?, Part::whole(text)));
        };
        let needed = tokens.saturating_add(cut.doubtful());
        let (mut read, mut found) = (0, 0);
        for part in cut.parts(text, tokens) {
            let encoding = self.library.encode(&part.text, spans)?;
            if part.is_whole || encoding.len() >= needed {
                return Ok((encoding, part));
            }
            (read, found) = (part.text.len(), encoding.len());
        }
        Err(TokenizerError::TooSparse {
            bytes: text.len(),
            read,
            tokens: found,
            needed,
        })
    }

    fn whole(&self, text: &str, spans: bool) -> Result<Encoding, TokenizerError> {
        match text.len() <= MAX_WHOLE {
            true => self.library.encode(text, spans),
            false => Err(TokenizerError::TooManyBytes {
                bytes: text.len(),
                most: MAX_WHOLE,
            }),
        }
    }
}

impl std::fmt::Debug for WordPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordPieces")
            .field("vocabulary", &self.library.size())
            .field("special", &self.special)
            .finish_non_exhaustive()
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

    fn ids(&self, library: &Library) -> Result<SpecialIds, TokenizerError> {
        let [unk, sep, pad, cls, mask] = self.all().map(|(role, token)| {
            let id = library.id_of(&token.content);
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
    // Nothing is ever turned back into text.
    description.insert("decoder".into(), Value::Null);
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
