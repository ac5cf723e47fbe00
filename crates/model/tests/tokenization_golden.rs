//! Documents and queries as token ids, against the real ColBERT and `transformers`.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use concord_corpus::{Collection, Queries};
use concord_model::config::{ColbertConfig, ConfigLayer};
use concord_model::tokenizer::{
    BatchPlan, DocTokenizer, QueryTokenizer, TokenizerError, TokenizerFiles, WordPieces,
};
use serde_json::{Value, json};

/// The golden values of the whole project; see the README there.
fn golden(file: &str) -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("../../tests/golden").join(file)
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn golden_pieces() -> WordPieces {
    WordPieces::new(&TokenizerFiles::read(&golden("checkpoint")).unwrap()).unwrap()
}

fn golden_config() -> ColbertConfig {
    let layer = ConfigLayer::read(&golden("checkpoint/artifact.metadata")).unwrap();
    ColbertConfig::resolve([&layer])
}

fn golden_values() -> [Value; 2] {
    ["torch-1.13.1", "torch-2.15.0"]
        .map(|folder| read_json(&golden(folder).join("tokenization.json")))
}

fn numbers(value: &Value) -> Vec<u32> {
    let items = rows(value).iter();
    items.map(|item| item.as_u64().unwrap() as u32).collect()
}

fn masks(value: &Value) -> Vec<bool> {
    numbers(value).into_iter().map(|bit| bit == 1).collect()
}

fn rows(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

#[test]
fn documents_have_the_ids_masks_and_slices_of_the_reference() {
    let tokenizer = DocTokenizer::new(golden_pieces(), &golden_config()).unwrap();
    let collection = Collection::open(golden("collection.tsv")).unwrap();
    let texts: Vec<&str> = collection.iter().collect();
    let documents = tokenizer.encode(&texts).unwrap();
    let lengths: Vec<usize> = documents.iter().map(Vec::len).collect();
    for values in golden_values() {
        let expected = &values["documents"];
        let bsize = expected["bsize"].as_u64().unwrap() as usize;
        let plan = BatchPlan::new(&lengths, NonZeroUsize::new(bsize).unwrap());
        let slices = expected["slices"].as_array().unwrap();
        let sizes: Vec<usize> = slices.iter().map(|s| rows(&s["input_ids"]).len()).collect();
        assert!(plan.slices().map(<[usize]>::len).eq(sizes));

        let ids: Vec<&Value> = slices.iter().flat_map(|s| rows(&s["input_ids"])).collect();
        let mask: Vec<&Value> = slices
            .iter()
            .flat_map(|s| rows(&s["attention_mask"]))
            .collect();
        let attended = |place: usize| masks(mask[place]).iter().filter(|kept| **kept).count();
        // Documents of one length stand in any order there: its sort is not stable.
        for (place, &document) in plan.order().iter().enumerate() {
            assert_eq!(attended(place), lengths[document]);
        }
        let places = numbers(&expected["reverse_indices"]);
        for (document, place) in places.into_iter().enumerate() {
            let mut padded = documents[document].clone();
            padded.resize(plan.width(), tokenizer.word_pieces().special().pad);
            assert_eq!(
                padded,
                numbers(ids[place as usize]),
                "{:?}",
                texts[document]
            );
        }
        let skiplist: Vec<u32> = tokenizer.skiplist().iter().copied().collect();
        assert_eq!(skiplist, numbers(&values["skiplist"]));
        assert_eq!(u64::from(tokenizer.marker_id()), values["doc_marker"]);
    }
    assert!(tokenizer.notices().is_empty());
}

#[test]
fn kept_tokens_are_counted_as_in_the_reference() {
    let tokenizer = DocTokenizer::new(golden_pieces(), &golden_config()).unwrap();
    let collection = Collection::open(golden("collection.tsv")).unwrap();
    let kept = |text: &str| {
        let ids = tokenizer.encode_one(text).unwrap();
        tokenizer
            .keep_mask(&ids)
            .iter()
            .filter(|kept| **kept)
            .count() as u32
    };
    let doclens: Vec<u32> = collection.iter().map(kept).collect();
    let build = read_json(&golden("torch-1.13.1/build.json"));
    assert_eq!(doclens, numbers(&build["doclens"]));
}

#[test]
fn queries_have_the_ids_and_masks_of_the_reference() {
    let queries = Queries::open(golden("queries.tsv")).unwrap();
    let plain = golden_config();
    let attending = ColbertConfig {
        attend_to_mask_tokens: true,
        ..plain.clone()
    };
    for values in golden_values() {
        for (key, config) in [
            ("queries", &plain),
            ("queries_attending_to_mask_tokens", &attending),
        ] {
            let tokenizer = QueryTokenizer::new(golden_pieces(), config, 64).unwrap();
            assert_eq!(u64::from(tokenizer.marker_id()), values["query_marker"]);
            for (place, query) in queries.iter().enumerate() {
                let tokens = tokenizer.encode(query.text).unwrap();
                assert_eq!(tokens.ids, numbers(&values[key]["input_ids"][place]));
                let mask = masks(&values[key]["attention_mask"][place]);
                assert_eq!(tokens.attention_mask, mask);
            }
        }
    }
}

#[test]
fn an_untruncated_query_has_the_ids_of_the_reference() {
    let queries = Queries::open(golden("queries.tsv")).unwrap();
    let tokenizer = QueryTokenizer::new(golden_pieces(), &golden_config(), 64).unwrap();
    // One of the two versions fails in the reference and left no value.
    let mut compared = 0;
    for values in golden_values() {
        let expected = &values["full_length_query"];
        if expected.is_null() {
            continue;
        }
        let text = queries.text(&expected["qid"].to_string()).unwrap();
        let tokens = tokenizer.encode_full_length(text).unwrap();
        assert_eq!(tokens.ids, numbers(&expected["input_ids"][0]));
        assert_eq!(tokens.attention_mask, masks(&expected["attention_mask"][0]));
        assert!(tokens.ids.len() > 16);
        compared += 1;
    }
    assert_eq!(compared, 1);
}

#[test]
fn a_query_with_a_context_has_the_ids_of_the_reference() {
    let queries = Queries::open(golden("queries.tsv")).unwrap();
    let tokenizer = QueryTokenizer::new(golden_pieces(), &golden_config(), 64).unwrap();
    let contexts = ["the river in winter", "fox"];
    for values in golden_values() {
        let expected = &values["queries_with_context"];
        for (place, (query, context)) in queries.iter().zip(contexts).enumerate() {
            let mut tokens = tokenizer.encode_with_context(query.text, context).unwrap();
            // The reference pads the contexts of a batch to the longest.
            let width = rows(&expected["input_ids"][place]).len();
            tokens
                .ids
                .resize(width, tokenizer.word_pieces().special().pad);
            tokens.attention_mask.resize(width, false);
            assert_eq!(tokens.ids, numbers(&expected["input_ids"][place]));
            assert_eq!(
                tokens.attention_mask,
                masks(&expected["attention_mask"][place])
            );
        }
    }
}

#[test]
fn difficult_texts_have_the_ids_of_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let strings = read_json(&folder.join("strings.json"));
    let limit = strings["limit"].as_u64().unwrap() as usize;
    let read = |name: &str| Some(std::fs::read(golden("checkpoint").join(name)).unwrap());
    for variant in strings["variants"].as_array().unwrap() {
        let mut files = TokenizerFiles::default();
        match variant["tokenizer"].as_bool().unwrap() {
            true => files.tokenizer = read("tokenizer.json"),
            false => files.vocabulary = read("vocab.txt"),
        }
        if !variant["config"].is_null() {
            files.config = Some(variant["config"].to_string().into_bytes());
        }
        let pieces = WordPieces::new(&files).unwrap();
        let texts = strings["texts"].as_array().unwrap();
        for (text, ids) in texts.iter().zip(variant["ids"].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            let found = pieces.encode(text, limit).unwrap();
            assert_eq!(found, numbers(ids), "{}: {text:?}", variant["name"]);
        }
    }
}

#[test]
fn truncation_and_padding_stored_in_the_tokenizer_have_no_effect() {
    let path = golden("checkpoint/tokenizer.json");
    let mut description = read_json(&path);
    description["truncation"] =
        json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    description["padding"] = json!({
        "strategy": {"Fixed": 32}, "direction": "Left", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    });
    let files = TokenizerFiles {
        tokenizer: Some(description.to_string().into_bytes()),
        ..TokenizerFiles::default()
    };
    let altered = WordPieces::new(&files).unwrap();
    let text = "the otter watched the heron near the old bridge";
    let plain = golden_pieces().encode(text, 64).unwrap();
    assert_eq!(altered.encode(text, 64).unwrap(), plain);
}

#[test]
fn a_tokenizer_that_adds_no_special_tokens_is_refused() {
    let mut description = read_json(&golden("checkpoint/tokenizer.json"));
    description["post_processor"] = Value::Null;
    let files = TokenizerFiles {
        tokenizer: Some(description.to_string().into_bytes()),
        ..TokenizerFiles::default()
    };
    let error = WordPieces::new(&files).unwrap_err();
    assert!(matches!(error, TokenizerError::NoLeadingToken), "{error}");
}
