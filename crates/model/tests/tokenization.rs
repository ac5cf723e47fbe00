//! Documents and queries as token ids, with a vocabulary small enough to follow by hand.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use concord_model::config::{ColbertConfig, ConfigLayer};
use concord_model::tokenizer::{
    BatchPlan, DocTokenizer, QueryTokenizer, TokenizerError, TokenizerFiles, WordPieces,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// `[PAD]` is 0, `[UNK]` 1, `[CLS]` 2, `[SEP]` 3, `[MASK]` 4, the markers 5 and 6, the words
/// 10 to 13, `.` 14, `,` 15, `##s` 16.
fn tiny_vocabulary() -> String {
    let special = "[PAD] [UNK] [CLS] [SEP] [MASK] [unused0] [unused1] [x] [y] [z]";
    let pieces = "one two three four . , ##s";
    format!("{special} {pieces}").replace(' ', "\n")
}

fn tiny_files() -> TokenizerFiles {
    TokenizerFiles {
        vocabulary: Some(tiny_vocabulary().into_bytes()),
        ..TokenizerFiles::default()
    }
}

fn tiny() -> WordPieces {
    WordPieces::new(&tiny_files()).unwrap()
}

fn config(value: Value) -> ColbertConfig {
    ColbertConfig::resolve([&ConfigLayer::parse("test", &value.to_string()).unwrap()])
}

#[test]
fn an_empty_document_is_its_three_special_tokens() {
    let tokenizer = DocTokenizer::new(tiny(), &config(json!({}))).unwrap();
    assert_eq!(
        tokenizer.encode(&["", " \n"]).unwrap(),
        [[2, 6, 3], [2, 6, 3]]
    );
}

#[test]
fn a_long_document_loses_its_last_pieces_and_keeps_its_end() {
    let tokenizer = DocTokenizer::new(tiny(), &config(json!({"doc_maxlen": 5}))).unwrap();
    assert_eq!(tokenizer.encode_one("one two").unwrap(), [2, 6, 10, 11, 3]);
    assert_eq!(
        tokenizer.encode_one("one two three").unwrap(),
        [2, 6, 10, 11, 3]
    );
    assert_eq!(tokenizer.encode_one("ones two").unwrap(), [2, 6, 10, 16, 3]);
}

#[test]
fn kept_tokens_say_which_bytes_of_the_text_they_stand_for() {
    let settings = config(json!({"doc_maxlen": 8, "query_maxlen": 8}));
    let text = "Ones,  TWÓ. three four one";
    let documents = DocTokenizer::new(tiny(), &settings).unwrap();
    let spans = documents.kept_spans(text).unwrap();
    // `[CLS] [D] one ##s , two . [SEP]`, of which the punctuation is not kept.
    assert_eq!(
        spans,
        [None, None, Some(0..3), Some(3..4), Some(7..11), None]
    );
    assert_eq!(&text[7..11], "TWÓ");
    let ids = documents.encode_one(text).unwrap();
    let kept = documents.keep_mask(&ids).into_iter().filter(|keep| *keep);
    assert_eq!(spans.len(), kept.count());

    let queries = QueryTokenizer::new(tiny(), &settings, 8).unwrap();
    assert_eq!(
        queries.spans("two ones").unwrap(),
        [
            None,
            None,
            Some(0..3),
            Some(4..7),
            Some(7..8),
            None,
            None,
            None
        ]
    );
    assert_eq!(queries.spans(text).unwrap().len(), 8);
}

#[test]
fn punctuation_and_literal_padding_are_not_kept() {
    let tokenizer = DocTokenizer::new(tiny(), &config(json!({}))).unwrap();
    let ids = tokenizer
        .encode_one("one, two. [PAD] [MASK] [SEP]")
        .unwrap();
    assert_eq!(ids, [2, 6, 10, 15, 11, 14, 0, 4, 3, 3]);
    let kept = [
        true, true, true, false, true, false, false, true, true, true,
    ];
    assert_eq!(tokenizer.keep_mask(&ids), kept);

    let everything = config(json!({"mask_punctuation": false}));
    let tokenizer = DocTokenizer::new(tiny(), &everything).unwrap();
    assert!(tokenizer.skiplist().is_empty());
    assert_eq!(tokenizer.keep_mask(&[2, 15, 0]), [true, true, false]);
}

#[test]
fn punctuation_that_the_vocabulary_lacks_takes_unknown_words_with_it_and_is_mentioned() {
    let tokenizer = DocTokenizer::new(tiny(), &config(json!({}))).unwrap();
    assert!(tokenizer.skiplist().contains(&1));
    assert_eq!(tokenizer.notices().len(), 1);
}

#[test]
fn a_marker_that_the_vocabulary_lacks_is_the_unknown_token_and_is_mentioned() {
    let config = config(json!({"doc_token_id": "[D]", "query_token_id": "[Q]"}));
    let documents = DocTokenizer::new(tiny(), &config).unwrap();
    assert_eq!(documents.encode_one("one").unwrap(), [2, 1, 10, 3]);
    assert!(documents.notices()[0].contains("\"[D]\""));
    let queries = QueryTokenizer::new(tiny(), &config, 512).unwrap();
    assert_eq!(queries.encode("one").unwrap().ids[..4], [2, 1, 10, 3]);
    assert!(queries.notices()[0].contains("\"[Q]\""));
}

#[test]
fn a_query_is_filled_with_masks_that_are_not_attended_to() {
    let tokenizer = QueryTokenizer::new(tiny(), &config(json!({"query_maxlen": 8})), 512).unwrap();
    let tokens = tokenizer.encode("two [PAD] [MASK]").unwrap();
    assert_eq!(tokens.ids, [2, 5, 11, 4, 4, 3, 4, 4]);
    let attended = [true, true, true, true, true, true, false, false];
    assert_eq!(tokens.attention_mask, attended);
}

#[test]
fn a_context_follows_the_masks_without_its_first_token() {
    let config = config(json!({"query_maxlen": 6}));
    let tokenizer = QueryTokenizer::new(tiny(), &config, 512).unwrap();
    let tokens = tokenizer.encode_with_context("two", "three [PAD]").unwrap();
    assert_eq!(tokens.ids, [2, 5, 11, 3, 4, 4, 12, 0, 3]);
    let attended = [true, true, true, true, false, false, true, true, true];
    assert_eq!(tokens.attention_mask, attended);
    let kept = tokenizer.keep_mask(&tokens.ids);
    assert_eq!(kept.iter().position(|kept| !kept), Some(7));

    let narrow = QueryTokenizer::new(tiny(), &config, 8).unwrap();
    let error = narrow.encode_with_context("two", "three four").unwrap_err();
    assert!(
        matches!(
            error,
            TokenizerError::TooLong {
                tokens: 9,
                positions: 8
            }
        ),
        "{error}"
    );
}

#[test]
fn a_full_length_query_grows_to_its_pieces_and_no_further_than_500() {
    let config = config(json!({"query_maxlen": 6}));
    let tokenizer = QueryTokenizer::new(tiny(), &config, 512).unwrap();
    assert_eq!(tokenizer.encode_full_length("one").unwrap().ids.len(), 6);
    // Eight pieces, of which the special tokens cut three.
    let tokens = tokenizer.encode_full_length(&"one ".repeat(8)).unwrap();
    assert_eq!(tokens.ids, [2, 5, 10, 10, 10, 10, 10, 3]);
    let tokens = tokenizer.encode_full_length(&"one ".repeat(900)).unwrap();
    assert_eq!(tokens.ids.len(), 500);
    let narrow = QueryTokenizer::new(tiny(), &config, 64).unwrap();
    let error = narrow.encode_full_length(&"one ".repeat(65)).unwrap_err();
    assert!(matches!(error, TokenizerError::TooLong { .. }), "{error}");
}

#[test]
fn limits_that_leave_no_room_are_refused() {
    let error = DocTokenizer::new(tiny(), &config(json!({"doc_maxlen": 2}))).unwrap_err();
    assert!(
        matches!(
            error,
            TokenizerError::TooShort {
                limit: 2,
                special: 3
            }
        ),
        "{error}"
    );
    let two = config(json!({"query_maxlen": 2}));
    let error = QueryTokenizer::new(tiny(), &two, 512).unwrap_err();
    assert!(matches!(error, TokenizerError::TooShort { .. }), "{error}");
    let error = QueryTokenizer::new(tiny(), &config(json!({})), 16).unwrap_err();
    assert!(
        matches!(
            error,
            TokenizerError::TooLong {
                tokens: 32,
                positions: 16
            }
        ),
        "{error}"
    );
}

#[test]
fn each_way_a_tokenizer_can_be_wrong_is_told_apart() {
    let with = |change: &dyn Fn(&mut TokenizerFiles)| {
        let mut files = tiny_files();
        change(&mut files);
        WordPieces::new(&files).unwrap_err()
    };
    let error = with(&|files| files.vocabulary = Some(b"[PAD]\n[UNK]\none".to_vec()));
    assert!(
        matches!(error, TokenizerError::NoSpecialToken { role: "cls", .. }),
        "{error}"
    );
    let error = with(&|files| files.vocabulary = Some(b"[PAD]\n\xff".to_vec()));
    assert!(
        matches!(
            error,
            TokenizerError::NotUtf8 {
                file: "vocab.txt",
                byte: 6
            }
        ),
        "{error}"
    );
    let error = with(&|files| files.tokenizer = Some(b"{".to_vec()));
    assert!(
        matches!(
            error,
            TokenizerError::Json {
                file: "tokenizer.json",
                ..
            }
        ),
        "{error}"
    );
    let error = with(&|files| files.tokenizer = Some(b"{}".to_vec()));
    assert!(matches!(error, TokenizerError::Malformed { .. }), "{error}");
    let error = with(&|files| files.config = Some(br#"{"do_lower_case": "yes"}"#.to_vec()));
    assert!(matches!(error, TokenizerError::Value { .. }), "{error}");
    let error = with(&|files| files.config = Some(br#"{"padding_side": "left"}"#.to_vec()));
    assert!(
        matches!(
            error,
            TokenizerError::Unsupported {
                key: "padding_side",
                ..
            }
        ),
        "{error}"
    );
    let error = with(&|files| files.config = Some(br#"{"mask_token": "<mask>"}"#.to_vec()));
    assert!(
        matches!(error, TokenizerError::NoSpecialToken { role: "mask", .. }),
        "{error}"
    );
}

#[test]
fn a_folder_without_tokenizer_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = TokenizerFiles::read(folder.path()).unwrap_err();
    assert!(matches!(error, TokenizerError::NoFiles { .. }), "{error}");
    std::fs::write(folder.path().join("vocab.txt"), tiny_vocabulary()).unwrap();
    assert_eq!(TokenizerFiles::read(folder.path()).unwrap(), tiny_files());
    std::fs::write(folder.path().join("added_tokens.json"), "{}").unwrap();
    let error = TokenizerFiles::read(folder.path()).unwrap_err();
    assert!(matches!(error, TokenizerError::AddedTokens), "{error}");
}

#[test]
fn few_documents_keep_their_order_and_many_are_sorted_by_length() {
    let three = NonZeroUsize::new(3).unwrap();
    let plan = BatchPlan::new(&[5, 3, 4], three);
    assert_eq!(plan.order(), [0, 1, 2]);
    let plan = BatchPlan::new(&[5, 3, 4, 3, 9, 3, 4], three);
    assert_eq!(plan.order(), [1, 3, 5, 2, 6, 0, 4]);
    assert_eq!(plan.width(), 9);
    assert_eq!(plan.ranges().collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
    let plan = BatchPlan::new(&[], three);
    assert_eq!((plan.slices().len(), plan.width()), (0, 0));
}

proptest! {
    #[test]
    fn the_plan_is_a_permutation_that_reverse_indices_undo(lengths in prop::collection::vec(0usize..9, 0..40), bsize in 1usize..12) {
        let plan = BatchPlan::new(&lengths, NonZeroUsize::new(bsize).unwrap());
        for (document, &place) in plan.reverse_indices().iter().enumerate() {
            prop_assert_eq!(plan.order()[place], document);
        }
        if lengths.len() > bsize {
            prop_assert!(plan.order().iter().map(|&document| lengths[document]).is_sorted());
        }
        prop_assert!(plan.slices().all(|slice| slice.len() <= bsize));
        let ranges: Vec<_> = plan.ranges().collect();
        let slices: Vec<_> = plan.slices().map(<[usize]>::to_vec).collect();
        let covered: Vec<_> = ranges.into_iter().map(|range| plan.order()[range].to_vec()).collect();
        prop_assert_eq!(covered, slices);
    }

    #[test]
    fn any_text_is_laid_out_within_its_limit(text in "\\PC{0,60}|(one |\\[SEP\\]|two){0,30}", limit in 3usize..20) {
        let pieces = tiny();
        let config = config(json!({"doc_maxlen": limit, "query_maxlen": limit}));
        let ids = DocTokenizer::new(pieces.clone(), &config).unwrap().encode_one(&text).unwrap();
        prop_assert!((3..=limit).contains(&ids.len()));
        prop_assert_eq!((&ids[..2], ids.last()), (&[2, 6][..], Some(&3)));
        let tokens = QueryTokenizer::new(pieces, &config, 512).unwrap().encode(&text).unwrap();
        prop_assert_eq!((tokens.ids.len(), tokens.attention_mask.len()), (limit, limit));
        prop_assert!(!tokens.ids.contains(&0));
    }
}
