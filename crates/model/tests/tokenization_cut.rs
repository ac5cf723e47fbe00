//! Of a long text only the part is tokenized that decides its first tokens, and these are those of the whole text.

#![allow(clippy::unwrap_used)]

use concord_model::config::{ColbertConfig, ConfigLayer};
use concord_model::tokenizer::{DocTokenizer, TokenizerError, TokenizerFiles, WordPieces};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Every letter and digit by itself and inside a word, some ideographs, punctuation, and parts of words.
fn vocabulary() -> Map<String, Value> {
    let special = "[PAD] [UNK] [CLS] [SEP] [MASK] [unused0] [unused1]".split(' ');
    let letters = ('a'..='z').chain('0'..='9').chain("éßñжяαω가한กไ".chars());
    let letters = letters.flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
    let alone = ".,!?-()[]<>=/中文字日本"
        .chars()
        .map(|char| char.to_string());
    let words = "the of parking ##ing fine ##s appeal"
        .split(' ')
        .map(str::to_owned);
    let all = special
        .map(str::to_owned)
        .chain(letters)
        .chain(alone)
        .chain(words);
    all.zip(0u32..)
        .map(|(token, id)| (token, json!(id)))
        .collect()
}

/// A BERT tokenizer with a longest word of ten characters, so that texts need not be long to be cut.
fn description(change: impl FnOnce(&mut Value)) -> TokenizerFiles {
    let vocabulary = vocabulary();
    let id = |token: &str| vocabulary[token].clone();
    let mut description = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing",
            "sep": ["[SEP]", id("[SEP]")], "cls": ["[CLS]", id("[CLS]")]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 10, "vocab": vocabulary},
    });
    change(&mut description);
    TokenizerFiles {
        tokenizer: Some(description.to_string().into_bytes()),
        // The class whose switches are not taken from elsewhere.
        config: Some(br#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#.to_vec()),
        ..TokenizerFiles::default()
    }
}

fn pieces() -> WordPieces {
    WordPieces::new(&description(|_| ())).unwrap()
}

/// The tokens of a text that the library gets whole.
fn whole(files: &TokenizerFiles, text: &str) -> Vec<u32> {
    let mut tokenizer =
        tokenizers::Tokenizer::from_bytes(files.tokenizer.as_ref().unwrap()).unwrap();
    let special = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
    tokenizer.add_special_tokens(&special.map(|token| tokenizers::AddedToken::from(token, true)));
    tokenizer
        .encode_fast(text, false)
        .unwrap()
        .get_ids()
        .to_vec()
}

/// That the first tokens of `text` are those of the whole, for several maxima.
fn check(files: &TokenizerFiles, text: &str) {
    let (pieces, all) = (WordPieces::new(files).unwrap(), whole(files, text));
    for most in [3, 8, 60, 300] {
        let encoded = pieces.encode_counted(text, most).unwrap();
        let room = most - 2;
        let (ids, expected) = (&encoded.ids, &all[..room.min(all.len())]);
        assert_eq!(
            &ids[1..ids.len() - 1],
            expected,
            "{most} tokens of {} bytes",
            text.len()
        );
        let lost = all.len().saturating_sub(room);
        assert!(
            encoded.lost <= lost && (encoded.lost > 0) == (lost > 0),
            "{} of {lost}",
            encoded.lost
        );
        let spans = pieces.spans(text, most).unwrap();
        assert_eq!(spans.len(), ids.len());
        assert!(
            spans
                .iter()
                .flatten()
                .all(|span| text.get(span.clone()).is_some())
        );
        assert!(spans.iter().flatten().map(|span| span.start).is_sorted());
        assert_eq!(pieces.count(text, most).unwrap(), all.len().min(most));
    }
}

/// What texts are made of: ordinary words, and whatever makes cutting hard.
fn stretch() -> impl Strategy<Value = String> {
    let of = |chars: &'static str, most: usize| {
        let chars: Vec<char> = chars.chars().collect();
        prop::collection::vec(prop::sample::select(chars), 1..most)
            .prop_map(|chars| chars.into_iter().collect::<String>())
    };
    prop_oneof![
        4 => "((the|parking|Fines|of|APPEAL) ?){1,40}",
        2 => "\\PC{1,60}",
        1 => of(" \t\n\r\u{a0}\u{3000}\u{b}\u{85}\u{200b}", 300),
        1 => of("abcXYZ019", 400),
        1 => of("中文字日本語漢豈가한ᄒ\u{1161}\u{11ab}", 200),
        1 => of("aé\u{301}\u{338}<>=İßﬁ\u{390}①Ǆ\u{212b}…·;\u{37e}", 200),
        1 => of("\0\u{1}\u{fffd}\u{ad}\u{feff}a ", 300),
        1 => of("[SEP]MASK[] ", 200),
        1 => of("-", 900),
        1 => ("[ a\u{301}中.\u{0}]", 100usize..3000).prop_map(|(one, times)| one.repeat(times)),
        1 => Just("[SEP]".repeat(50)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_first_tokens_are_those_of_the_whole_text(stretches in prop::collection::vec(stretch(), 1..60)) {
        check(&description(|_| ()), &stretches.concat());
    }

    #[test]
    fn the_same_holds_with_other_normalizers_and_words(
        stretches in prop::collection::vec(stretch(), 1..40),
        normalizer in prop::sample::select(vec![
            json!(null),
            json!({"type": "NFKC"}),
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}),
            json!({"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": false,
                "strip_accents": false, "lowercase": false}),
        ]),
        words in prop::sample::select(vec!["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]),
        recognised in prop::sample::select(vec!["[new]", "--", "aa", " of ", "Fines"]),
        single_word: bool,
    ) {
        let files = description(|description| {
            description["normalizer"] = normalizer;
            description["pre_tokenizer"] = json!({"type": words});
            description["added_tokens"] = json!([{"id": 6, "content": recognised, "single_word": single_word,
                "lstrip": false, "rstrip": true, "normalized": true, "special": false}]);
        });
        check(&files, &stretches.concat());
    }
}

#[test]
fn megabytes_that_have_no_tokens_or_one_are_passed_over() {
    let pieces = pieces();
    let id = |token: &str| pieces.id_of(token).unwrap();
    let ids = |text: &str| {
        let ids = pieces.encode(text, 40).unwrap();
        ids[1..ids.len() - 1].to_vec()
    };
    let long = 12 << 20;
    assert!(ids(&" ".repeat(long)).is_empty());
    let text = format!("the{}fine{}of", " \t\n".repeat(long / 3), "\r".repeat(long));
    assert_eq!(ids(&text), [id("the"), id("fine"), id("of")]);
    let text = format!(
        "the{}\u{301}s {} of",
        "acgt".repeat(long / 4),
        "é".repeat(long / 2)
    );
    assert_eq!(ids(&text), [id("[UNK]"), id("[UNK]"), id("of")]);
    let text = format!(
        "fine\u{301}{}s\u{0}{}",
        "\u{301}".repeat(long / 2),
        "\u{0}".repeat(long)
    );
    assert_eq!(ids(&text), [id("fine"), id("##s")]);
    assert_eq!(ids(&format!("the {}", ".".repeat(long))).len(), 38);
    assert_eq!(ids(&"parking fines ".repeat(long / 14)).len(), 38);
    assert_eq!(
        pieces
            .encode_counted(&"中".repeat(long / 3), 40)
            .unwrap()
            .ids
            .len(),
        40
    );

    // The bytes that a token stands for are those of the text, whatever was passed over.
    let text = format!("the{}fine", " ".repeat(long));
    let spans = pieces.spans(&text, 8).unwrap();
    assert_eq!(spans, [None, Some(0..3), Some(3 + long..7 + long), None]);
}

#[test]
fn a_text_of_which_too_much_would_be_read_is_refused() {
    let pieces = pieces();
    // One word, which no rule shortens.
    let text = "жя".repeat(1 << 20);
    let error = pieces.encode(&text, 40).unwrap_err();
    assert!(
        matches!(error, TokenizerError::TooSparse { tokens: 1, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("4194304 bytes"), "{error}");

    // A tokenizer that takes white space into words is given a text whole.
    let files = description(|description| description["pre_tokenizer"] = json!(null));
    let pieces = WordPieces::new(&files).unwrap();
    assert_eq!(pieces.encode(&"the ".repeat(9999), 40).unwrap().len(), 3);
    let error = pieces.encode(&"the ".repeat(99_999), 40).unwrap_err();
    assert!(
        matches!(error, TokenizerError::TooManyBytes { bytes: 399_996, .. }),
        "{error}"
    );
}

#[test]
fn a_document_says_how_many_tokens_there_was_no_room_for() {
    let layer = ConfigLayer::parse("test", r#"{"doc_maxlen": 8}"#).unwrap();
    let tokenizer = DocTokenizer::new(pieces(), &ColbertConfig::resolve([&layer])).unwrap();
    for (words, lost) in [(0, 0), (5, 0), (6, 1), (100, 95)] {
        let encoded = tokenizer.encode_counted(&"the ".repeat(words)).unwrap();
        assert_eq!((encoded.ids.len(), encoded.lost), (words.min(5) + 3, lost));
    }
    // Of a long text it is a lower bound.
    let encoded = tokenizer.encode_counted(&"the ".repeat(100_000)).unwrap();
    assert!((50..99_995).contains(&encoded.lost), "{}", encoded.lost);
}
