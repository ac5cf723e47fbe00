//! What a `tokenizer.json` describes, as far as it has to be known before the library gets it: whether it can be
//! run within bounds.
//!
//! The library takes a part by the keys that it has where its type is unknown, so keys count here, too, whatever
//! the type says.

use serde_json::{Map, Value};

use super::error::TokenizerError;

/// The longest word, in characters, that a `WordPiece` model may be asked to split: the time that one takes grows
/// with the cube of it. The default is 100.
pub(super) const MAX_CHARS_PER_WORD: usize = 512;

/// Refuses parts that could take time or memory without bound, and a layout in which a text does not stand once.
pub(super) fn check(description: &Map<String, Value>) -> Result<(), TokenizerError> {
    let model = description.get("model");
    if let Some(chars) = model.and_then(|model| model.get("max_input_chars_per_word"))
        && let Some(found) = chars.as_u64()
        && found > MAX_CHARS_PER_WORD as u64
    {
        return Err(TokenizerError::Bound {
            what: "model.max_input_chars_per_word",
            found: usize::try_from(found).unwrap_or(usize::MAX),
            most: MAX_CHARS_PER_WORD,
        });
    }
    for_each_object(
        description.get("post_processor"),
        &mut |processor| match processor.get("single") {
            Some(Value::Array(pieces)) => check_template(pieces),
            _ => Ok(()),
        },
    )?;
    for_each_object(
        description.get("normalizer"),
        &mut |normalizer| match normalizer.get("precompiled_charsmap") {
            Some(Value::String(map)) => check_map(map),
            _ => Ok(()),
        },
    )
}

/// The longest word, in characters, that the tokenizer splits into pieces, if it is one that tokenizes the words
/// between white space each by itself, and by nothing but the word.
pub(super) fn longest_word(description: &Map<String, Value>) -> Option<usize> {
    let model = description.get("model")?;
    if !is_of_type(model, &["WordPiece"])
        || !splits_at_white_space(description.get("pre_tokenizer")?)
    {
        return None;
    }
    match description.get("normalizer") {
        None | Some(Value::Null) => {}
        Some(normalizer) if is_local(normalizer) => {}
        Some(_) => return None,
    }
    let chars = model.get("max_input_chars_per_word")?.as_u64()?;
    usize::try_from(chars)
        .ok()
        .filter(|chars| *chars <= MAX_CHARS_PER_WORD)
}

/// Whether what a normalizer makes of a text depends at every place on the word there and its neighbours alone.
fn is_local(normalizer: &Value) -> bool {
    let plain = ["Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"];
    let bert = [
        "type",
        "clean_text",
        "handle_chinese_chars",
        "strip_accents",
        "lowercase",
    ];
    if is_of_type(normalizer, &["BertNormalizer"]) {
        return has_only(normalizer, &bert);
    }
    if is_of_type(normalizer, &["Sequence"]) && has_only(normalizer, &["type", "normalizers"]) {
        let inner = normalizer.get("normalizers").and_then(Value::as_array);
        return inner.is_some_and(|inner| inner.iter().all(is_local));
    }
    is_of_type(normalizer, &plain) && has_only(normalizer, &["type"])
}

fn splits_at_white_space(pre_tokenizer: &Value) -> bool {
    let types = ["BertPreTokenizer", "Whitespace", "WhitespaceSplit"];
    is_of_type(pre_tokenizer, &types) && has_only(pre_tokenizer, &["type"])
}

fn is_of_type(part: &Value, types: &[&str]) -> bool {
    let found = part.get("type").and_then(Value::as_str);
    found.is_some_and(|found| types.contains(&found))
}

fn has_only(part: &Value, keys: &[&str]) -> bool {
    let object = part.as_object();
    object.is_some_and(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}

/// A template of special tokens and the text, for one text.
fn check_template(pieces: &[Value]) -> Result<(), TokenizerError> {
    let texts = pieces.iter().filter_map(|piece| piece.get("Sequence"));
    let is_text = |text: &&Value| text.get("id").and_then(Value::as_str) == Some("A");
    let (texts, others): (Vec<_>, Vec<_>) = texts.partition(is_text);
    match (texts.len(), others.len()) {
        (1, 0) => Ok(()),
        (times, others) => Err(TokenizerError::Template { times, others }),
    }
}

/// A map of characters in SentencePiece's form: the size of a trie in bytes, the trie, texts that end with zeros.
/// The library makes room for what the first four bytes say.
fn check_map(base64: &str) -> Result<(), TokenizerError> {
    let bytes = decode(base64).unwrap_or_default();
    let whole = bytes.split_first_chunk::<4>().is_some_and(|(size, rest)| {
        usize::try_from(u32::from_le_bytes(*size)).is_ok_and(|size| size <= rest.len())
    });
    match whole {
        true => Ok(()),
        false => Err(TokenizerError::Malformed {
            problem: "precompiled_charsmap is shorter than it says, or not base64".to_owned(),
        }),
    }
}

/// By how much a text can grow under a normalizer: bytes afterwards for each byte before, rounded up.
pub(super) fn growth(normalizer: Option<&Value>) -> usize {
    let Some(Value::Object(normalizer)) = normalizer else {
        return 1;
    };
    // Unicode Standard Annex 15 has the factors of the normalisation forms, for UTF-8 (table 6).
    let by_type = match normalizer.get("type").and_then(Value::as_str) {
        Some(
            "Sequence" | "Replace" | "Prepend" | "Precompiled" | "Strip" | "StripAccents" | "Nmt",
        ) => 1,
        Some("Lowercase" | "ByteLevel") => 2,
        Some("NFC" | "NFD") => 3,
        // Spaces around an ideograph, canonical decomposition, lower case: 5/3 · 3 · 3/2.
        Some("BertNormalizer") => 8,
        _ => 11,
    };
    let text = |key: &str| normalizer.get(key).and_then(Value::as_str);
    let replaced = text("content").map_or(1, |content| {
        let pattern = normalizer
            .get("pattern")
            .and_then(|pattern| pattern.get("String"));
        match pattern.and_then(Value::as_str).map(str::len) {
            // A pattern may match nothing at all, between any two characters.
            None | Some(0) => content.len().saturating_add(1),
            Some(matched) => content.len().div_ceil(matched).max(1),
        }
    });
    let prepended = text("prepend").map_or(1, |prepended| prepended.len().saturating_add(1));
    let mapped = text("precompiled_charsmap").map_or(1, longest_text);
    let inner = match normalizer.get("normalizers") {
        Some(Value::Array(inner)) => inner
            .iter()
            .fold(1, |all: usize, one| all.saturating_mul(growth(Some(one)))),
        _ => 1,
    };
    [replaced, prepended, mapped, inner]
        .into_iter()
        .fold(by_type, usize::saturating_mul)
}

/// The longest text of a map of characters.
fn longest_text(base64: &str) -> usize {
    let bytes = decode(base64).unwrap_or_default();
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else {
        return 1;
    };
    let trie = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    let texts = rest.get(trie..).unwrap_or_default();
    let longest = texts.split(|&byte| byte == 0).map(<[u8]>::len).max();
    longest.unwrap_or(1).max(1)
}

/// The bytes of a text in base64, if it is one; what follows a padding is left out.
fn decode(base64: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(base64.len() / 4 * 3), 0u32, 0);
    for byte in base64.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

/// Calls `check` for `value` and every object inside it.
fn for_each_object(
    value: Option<&Value>,
    check: &mut impl FnMut(&Map<String, Value>) -> Result<(), TokenizerError>,
) -> Result<(), TokenizerError> {
    match value {
        Some(Value::Object(object)) => {
            check(object)?;
            object
                .values()
                .try_for_each(|inner| for_each_object(Some(inner), check))
        }
        Some(Value::Array(values)) => values
            .iter()
            .try_for_each(|inner| for_each_object(Some(inner), check)),
        _ => Ok(()),
    }
}
