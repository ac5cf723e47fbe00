//! A `tokenizer.json` that the library would panic on, or that would outgrow every bound, is the file's fault.

#![allow(clippy::unwrap_used)]

mod tiny_checkpoint;

use concord_model::checkpoint::CheckpointError;
use concord_model::config::ColbertConfig;
use concord_model::tokenizer::{DocTokenizer, TokenizerError, TokenizerFiles, WordPieces};
use serde_json::{Value, json};
use tiny_checkpoint::{Folder, VOCABULARY};

/// A whole `tokenizer.json` of BERT's, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let vocabulary = VOCABULARY.lines().zip(0u32..);
    let vocabulary: serde_json::Map<String, Value> = vocabulary
        .map(|(token, id)| (token.to_owned(), json!(id)))
        .collect();
    let mut description = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    change(&mut description);
    description
}

fn with(key: &str, part: Value) -> Value {
    changed(|description| description[key] = part)
}

fn load(description: &Value) -> Result<WordPieces, TokenizerError> {
    WordPieces::new(&TokenizerFiles {
        tokenizer: Some(description.to_string().into_bytes()),
        config: Some(br#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#.to_vec()),
        ..TokenizerFiles::default()
    })
}

/// What a description is refused with, on loading or on the first text.
fn refused(description: &Value) -> TokenizerError {
    let error = match load(description) {
        Err(error) => error,
        Ok(pieces) => pieces.encode("one two", 8).unwrap_err(),
    };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    error
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - part.len()));
        let digits =
            (0..=part.len()).map(|at| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]));
        text.extend(digits);
        text.extend(std::iter::repeat_n('=', 3 - part.len()));
    }
    text
}

/// SentencePiece's map with a trie of these units and this text.
fn precompiled(size: u32, trie: &[u32], texts: &str) -> Value {
    let mut bytes = size.to_le_bytes().to_vec();
    trie.iter()
        .for_each(|unit| bytes.extend(unit.to_le_bytes()));
    bytes.extend(texts.as_bytes());
    json!({"type": "Precompiled", "precompiled_charsmap": base64(&bytes)})
}

fn template(single: Value, special: Value) -> Value {
    json!({"type": "TemplateProcessing", "single": single, "special_tokens": special,
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})
}

#[test]
fn the_whole_description_is_accepted() {
    let pieces = load(&changed(|_| ())).unwrap();
    assert_eq!(pieces.encode("one TWO.", 8).unwrap(), [2, 7, 8, 9, 3]);
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let mark = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let special = |id: u32, token: &str| json!({"id": token, "ids": [id], "tokens": [token]});
    let processor = template(
        json!([mark("[CLS]"), text, mark("[SEP]")]),
        json!({"[CLS]": special(2, "[CLS]"), "[SEP]": special(3, "[SEP]")}),
    );
    let pieces = load(&with("post_processor", processor)).unwrap();
    assert_eq!(pieces.encode("one", 8).unwrap(), [2, 7, 3]);
    // A trie whose root has no children maps nothing.
    let pieces = load(&with("normalizer", precompiled(1024, &[0; 256], "x\0"))).unwrap();
    assert_eq!(pieces.encode("one", 8).unwrap(), [2, 7, 3]);
}

#[test]
fn what_the_library_panics_on_is_refused() {
    let mark = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    for (key, part) in [
        ("pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
        (
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": 7}),
        ),
        // A trie that leads out of itself, and a text that begins out of the texts.
        ("normalizer", precompiled(4, &[0x7fff_fc00], "x\0")),
        ("normalizer", precompiled(0, &[], "")),
        (
            "post_processor",
            template(json!([mark("[absent]"), text]), json!({})),
        ),
        (
            "post_processor",
            json!({"type": "Sequence", "processors": [
                template(json!([text]), json!({})), template(json!([mark("[absent]"), text]), json!({})),
            ]}),
        ),
    ] {
        let error = refused(&with(key, part.clone()));
        assert!(
            matches!(
                error,
                TokenizerError::Crashed { .. } | TokenizerError::Malformed { .. }
            ),
            "{part}: {error:?}"
        );
    }
    let error = refused(&with(
        "pre_tokenizer",
        json!({"type": "FixedLength", "length": 0}),
    ));
    assert!(matches!(error, TokenizerError::Crashed { .. }), "{error:?}");
}

#[test]
fn a_panic_on_one_text_is_an_error_on_that_text_on_any_thread() {
    // A text without words is not split, so that the tokenizer can be made.
    let pre_tokenizer = json!({"type": "FixedLength", "length": 0});
    let pieces = load(&with("pre_tokenizer", pre_tokenizer)).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|at| {
            let pieces = pieces.clone();
            std::thread::spawn(move || pieces.encode(&"one ".repeat(at), 8).map(|ids| ids.len()))
        })
        .collect();
    let results: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(results[0].as_ref().unwrap(), &2);
    assert!(
        results[1..]
            .iter()
            .all(|result| matches!(result, Err(TokenizerError::Crashed { .. })))
    );
    let documents = DocTokenizer::new(pieces, &ColbertConfig::default());
    assert!(matches!(
        documents.unwrap_err(),
        TokenizerError::Crashed { .. }
    ));
}

#[test]
fn a_template_has_to_hold_the_text_once() {
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    for single in [
        json!([]),
        json!([text("B")]),
        json!([text("A"), text("B")]),
        Value::Array(vec![text("A"); 1000]),
    ] {
        let error = refused(&with("post_processor", template(single, json!({}))));
        assert!(matches!(error, TokenizerError::Template { .. }), "{error}");
    }
}

#[test]
fn ids_that_no_token_has_are_named() {
    let beyond =
        |id: u64| json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", id]});
    for id in [10, 11, 4_000_000_000] {
        let error = refused(&with("post_processor", beyond(id)));
        assert!(
            matches!(&error, TokenizerError::UnknownId { id: found, token, highest: 9 }
                if u64::from(*found) == id && token == "[CLS]"),
            "{error}"
        );
    }
    let roberta = json!({"type": "RobertaProcessing", "sep": ["[SEP]", 77], "cls": ["[CLS]", 2],
        "trim_offsets": true, "add_prefix_space": true});
    let error = refused(&with("post_processor", roberta));
    assert!(
        matches!(error, TokenizerError::UnknownId { id: 77, .. }),
        "{error}"
    );

    // A vocabulary that the word table has no rows for.
    let folder = Folder::new();
    let description =
        changed(|description| description["model"]["vocab"]["far"] = json!(4_000_000_000u32));
    folder.write("tokenizer.json", &description.to_string());
    let error = folder.load().unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::Tokenizer(TokenizerError::Vocabulary {
                highest: 4_000_000_000,
                ..
            })
        ),
        "{error}"
    );
}

#[test]
fn what_would_outgrow_the_memory_is_refused_before_it_is_run() {
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let sequence =
        |normalizers: Vec<Value>| json!({"type": "Sequence", "normalizers": normalizers});
    let letter = || json!({"String": "o"});
    let growing = || replace(letter(), &"o".repeat(50));
    // The map sends every byte to one long text.
    let long = precompiled(1024, &[0; 256], &format!("{}\0", "x".repeat(8 << 20)));
    for normalizer in [
        sequence(vec![growing(); 6]),
        sequence(vec![
            sequence(vec![growing(); 3]),
            sequence(vec![growing(); 3]),
        ]),
        replace(json!({"Regex": ""}), &"o".repeat(8 << 20)),
        // What a part is taken for goes by its keys.
        json!({"type": "BertNormalizer", "pattern": {"String": "o"}, "content": "o".repeat(8 << 20)}),
        sequence(vec![
            json!({"type": "Prepend", "prepend": "o".repeat(8 << 20)});
            2
        ]),
        long,
    ] {
        let error = refused(&with("normalizer", normalizer));
        assert!(matches!(error, TokenizerError::Bound { .. }), "{error}");
    }
    // Rules that do not grow, and some growth.
    let pieces = load(&with(
        "normalizer",
        sequence(vec![replace(letter(), "u"); 40]),
    ))
    .unwrap();
    assert_eq!(pieces.encode(&"one ".repeat(1000), 8).unwrap()[1], 1);
    load(&with("normalizer", growing())).unwrap();
}

#[test]
fn what_would_take_time_without_bound_is_refused() {
    let description =
        changed(|description| description["model"]["max_input_chars_per_word"] = json!(1_000_000));
    assert!(matches!(
        refused(&description),
        TokenizerError::Bound { .. }
    ));

    let mark = json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}});
    let mut single = vec![mark; 100];
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    let special =
        json!({"[CLS]": {"id": "[CLS]", "ids": vec![2; 1000], "tokens": vec!["[CLS]"; 1000]}});
    let description = with("post_processor", template(single.into(), special));
    assert!(matches!(
        refused(&description),
        TokenizerError::Bound { found: 100_000, .. }
    ));

    // Many added tokens are added at once.
    let tokens = (0..3000u32).map(|at| {
        (
            at.to_string(),
            json!({"content": format!("<{at}>"), "special": at % 2 == 0}),
        )
    });
    let config = json!({"added_tokens_decoder": serde_json::Map::from_iter(tokens)});
    let pieces = WordPieces::new(&TokenizerFiles {
        vocabulary: Some(VOCABULARY.into()),
        config: Some(config.to_string().into_bytes()),
        ..TokenizerFiles::default()
    });
    assert_eq!(pieces.unwrap().highest_id(), 9 + 3000);
}
