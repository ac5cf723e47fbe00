//! The files that describe a checkpoint's tokenizer.

use std::path::Path;

use concord_tensor::BitHash;
use serde_json::{Map, Value};

use super::error::TokenizerError;
use crate::checkpoint_file;

/// The contents of those tokenizer files of a checkpoint that decide its token ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`: the tokenizer as the `tokenizers` library writes it.
    pub tokenizer: Option<Vec<u8>>,
    /// `vocab.txt`: one word piece per line. Used only without `tokenizer.json`.
    pub vocabulary: Option<Vec<u8>>,
    /// `tokenizer_config.json`: what `transformers` changes about it.
    pub config: Option<Vec<u8>>,
    /// `special_tokens_map.json`: the special tokens that `tokenizer_config.json` does not name.
    pub special_tokens: Option<Vec<u8>>,
}

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

impl TokenizerFiles {
    /// Reads the tokenizer files in `folder`.
    ///
    /// # Errors
    /// There is neither `tokenizer.json` nor `vocab.txt`; a file cannot be read; there is
    /// `added_tokens.json` but no `tokenizer.json`.
    pub fn read(folder: &Path) -> Result<TokenizerFiles, TokenizerError> {
        TokenizerFiles::collect(folder, |name| read_optional(folder, name))
    }

    /// The files that `read` finds by name; `folder` stands for their place in messages.
    pub(crate) fn collect(
        folder: &Path,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, TokenizerError>,
    ) -> Result<TokenizerFiles, TokenizerError> {
        let tokenizer = read(TOKENIZER)?;
        let vocabulary = match tokenizer {
            Some(_) => None,
            None => read(VOCABULARY)?,
        };
        if tokenizer.is_none() && vocabulary.is_none() {
            return Err(TokenizerError::NoFiles {
                folder: folder.to_owned(),
            });
        }
        if tokenizer.is_none() && read(ADDED_TOKENS)?.is_some() {
            return Err(TokenizerError::AddedTokens);
        }
        Ok(TokenizerFiles {
            tokenizer,
            vocabulary,
            config: read(CONFIG)?,
            special_tokens: read(SPECIAL_TOKENS)?,
        })
    }

    /// The name and the hash of each file, in the order of the names.
    pub fn hashes(&self) -> Vec<(&'static str, BitHash)> {
        let files = [
            (SPECIAL_TOKENS, &self.special_tokens),
            (TOKENIZER, &self.tokenizer),
            (CONFIG, &self.config),
            (VOCABULARY, &self.vocabulary),
        ];
        let hash = |(name, bytes): (_, &Option<Vec<u8>>)| {
            bytes.as_ref().map(|bytes| (name, BitHash::of_bytes(bytes)))
        };
        files.into_iter().filter_map(hash).collect()
    }

    /// `tokenizer.json`, parsed.
    pub(super) fn tokenizer_json(&self) -> Result<Option<Map<String, Value>>, TokenizerError> {
        parse_optional(TOKENIZER, self.tokenizer.as_deref())
    }

    /// The word pieces of `vocab.txt`: the piece on the line numbered from 0 has that id.
    pub(super) fn vocabulary(&self) -> Result<Vec<&str>, TokenizerError> {
        let bytes = self.vocabulary.as_deref().unwrap_or_default();
        let text = utf8(VOCABULARY, bytes)?;
        Ok(text.lines().collect())
    }

    /// What `transformers` is told about the tokenizer.
    pub(super) fn settings(&self) -> Result<Settings, TokenizerError> {
        let config = parse_optional(CONFIG, self.config.as_deref())?.unwrap_or_default();
        let special = parse_optional(SPECIAL_TOKENS, self.special_tokens.as_deref())?;
        Ok(Settings {
            config,
            special: special.unwrap_or_default(),
        })
    }
}

/// `tokenizer_config.json` and `special_tokens_map.json`, parsed.
pub(super) struct Settings {
    config: Map<String, Value>,
    special: Map<String, Value>,
}

/// A token that is recognised in the text before it is split into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddedTokenSettings {
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

impl Settings {
    /// A switch, `default` if it is missing or null.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool, TokenizerError> {
        Ok(self.optional_switch(key)?.unwrap_or(default))
    }

    /// A switch, or `None` if it is missing or null.
    pub(super) fn optional_switch(&self, key: &str) -> Result<Option<bool>, TokenizerError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong(CONFIG, key, "true or false", other)),
        }
    }

    /// Whether `transformers` uses a class for the tokenizer that takes `do_lower_case` and its
    /// like from `tokenizer_config.json`, whatever `tokenizer.json` says.
    pub(super) fn overrides_normalizer(&self) -> bool {
        let class = self.config.get("tokenizer_class").and_then(Value::as_str);
        matches!(class, None | Some("BertTokenizer" | "BertTokenizerFast"))
    }

    /// Refuses a side other than "right" for padding or truncation.
    pub(super) fn check_sides(&self) -> Result<(), TokenizerError> {
        for key in ["padding_side", "truncation_side"] {
            match self.config.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::String(side)) if side == "right" => {}
                Some(other) => {
                    return Err(TokenizerError::Unsupported {
                        key,
                        found: other.to_string(),
                        supported: "\"right\"",
                    });
                }
            }
        }
        Ok(())
    }

    /// The token under `key`, such as `cls_token`: from `tokenizer_config.json`, else from
    /// `special_tokens_map.json`, else `default`.
    pub(super) fn special_token(
        &self,
        key: &str,
        default: &str,
    ) -> Result<AddedTokenSettings, TokenizerError> {
        let files = [(CONFIG, &self.config), (SPECIAL_TOKENS, &self.special)];
        for (file, map) in files {
            match map.get(key) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    let mut token = added_token(file, key, value)?;
                    token.special = true;
                    return Ok(token);
                }
            }
        }
        Ok(AddedTokenSettings::special(default))
    }

    /// The tokens of `added_tokens_decoder`, in the order of their ids.
    pub(super) fn added_tokens(&self) -> Result<Vec<AddedTokenSettings>, TokenizerError> {
        let key = "added_tokens_decoder";
        let map = match self.config.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(wrong(CONFIG, key, "an object", other)),
        };
        let mut tokens = Vec::with_capacity(map.len());
        for (id, value) in map {
            let number: u32 = id
                .parse()
                .map_err(|_| wrong(CONFIG, key, "an object whose keys are ids", &id[..].into()))?;
            tokens.push((number, added_token(CONFIG, id, value)?));
        }
        tokens.sort_by_key(|(id, _)| *id);
        Ok(tokens.into_iter().map(|(_, token)| token).collect())
    }
}

impl AddedTokenSettings {
    fn special(content: &str) -> AddedTokenSettings {
        AddedTokenSettings {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }
}

/// A token given as a string or as an object with its `content`.
fn added_token(
    file: &'static str,
    key: &str,
    value: &Value,
) -> Result<AddedTokenSettings, TokenizerError> {
    let expected = "a token or an object with its \"content\"";
    match value {
        Value::String(content) => Ok(AddedTokenSettings::special(content)),
        Value::Object(map) => {
            let content = map.get("content").and_then(Value::as_str);
            let content = content.ok_or_else(|| wrong(file, key, expected, value))?;
            let flag = |name: &str| map.get(name).and_then(Value::as_bool).unwrap_or(false);
            Ok(AddedTokenSettings {
                content: content.to_owned(),
                single_word: flag("single_word"),
                lstrip: flag("lstrip"),
                rstrip: flag("rstrip"),
                normalized: flag("normalized"),
                special: flag("special"),
            })
        }
        other => Err(wrong(file, key, expected, other)),
    }
}

fn wrong(file: &'static str, key: &str, expected: &'static str, found: &Value) -> TokenizerError {
    TokenizerError::Value {
        file,
        key: key.to_owned(),
        expected,
        found: found.to_string(),
    }
}

fn read_optional(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, TokenizerError> {
    let limit = match name {
        TOKENIZER => checkpoint_file::MAX_TOKENIZER,
        VOCABULARY => checkpoint_file::MAX_VOCABULARY,
        _ => checkpoint_file::MAX_SETTINGS,
    };
    let path = &folder.join(name);
    match checkpoint_file::read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizerError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn utf8<'a>(file: &'static str, bytes: &'a [u8]) -> Result<&'a str, TokenizerError> {
    std::str::from_utf8(bytes).map_err(|error| TokenizerError::NotUtf8 {
        file,
        byte: error.valid_up_to(),
    })
}

fn parse_optional(
    file: &'static str,
    bytes: Option<&[u8]>,
) -> Result<Option<Map<String, Value>>, TokenizerError> {
    let parse = |bytes| {
        serde_json::from_slice(bytes).map_err(|error| TokenizerError::Json {
            file,
            problem: error.to_string(),
        })
    };
    bytes.map(parse).transpose()
}
