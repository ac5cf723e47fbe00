//! Opening an index for search.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::Path;

use concord_engine::build::Layout;
use concord_engine::open::{OpenError, OpenIndex, OpenOptions, SearchError};
use concord_engine::settings::IndexSettings;
use concord_index::search::Request;
use concord_kernels::compute::Compute;
use concord_model::hub::HubOptions;
use concord_model::precision::Precision;
use concord_model::query::{QueryEncoder, QueryError};

use engine::{built, checkpoint, engine, options};
use golden::input;

const QUERY: &str = "the museum opens on sunday";

fn with_checkpoint() -> OpenOptions {
    OpenOptions {
        checkpoint: Some(input("checkpoint").display().to_string()),
        ..OpenOptions::new(HubOptions::new(""))
    }
}

/// The index that `native` builds at `out`.
fn index(native: &str, out: &Path) {
    let native = engine(native, IndexSettings::default()).unwrap();
    built(&native, Layout::default(), out);
}

/// Changes what the manifest of the index at `folder` says, which then has no hash, as those that were written
/// before there was one.
fn edit(folder: &Path, from: &str, to: &str) {
    let manifest = folder.join("concord.json");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains(from), "{text}");
    let hash = text.rfind(",\n  \"hash\"").unwrap();
    let text = format!("{}\n}}\n", &text[..hash]);
    fs::write(manifest, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn queries_are_encoded_by_the_modules_and_variants_that_encoded_the_passages() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    for native in [
        "native",
        "native,bert.encoder.layer.1:identity",
        "native,precision=f16,gelu=tanh",
    ] {
        index(native, &out);
        let opened = OpenIndex::open(&out, with_checkpoint()).unwrap();
        let options = options(native);
        let encoder = QueryEncoder::new(
            &checkpoint(),
            opened.config(),
            &options.numerics,
            options.precision,
            &Compute::scalar(),
        );
        let found = opened.encoder().unwrap().encode(QUERY).unwrap();
        assert!(found == encoder.unwrap().encode(QUERY).unwrap(), "{native}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn queries_that_are_answered_together_find_what_each_finds_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let queries = [
        "rain",
        QUERY,
        "the last train",
        "a",
        "bread and milk",
        "stars",
        "who",
    ];
    // The last adds in another order for the rows of more than one query, which must be encoded alone then.
    for native in [
        "native,precision=int8",
        "native",
        "native,gemm=split-k:4@33",
    ] {
        index(native, &out);
        let opened = OpenIndex::open(&out, with_checkpoint()).unwrap();
        let options = opened.search_options();
        let request = Request::new(5, &options);
        let together = opened
            .compute()
            .install(|| opened.answer_all(&queries, &request));
        for (query, found) in queries.iter().zip(together.unwrap()) {
            let alone = opened.answer(query, &request).unwrap();
            assert_eq!(found.hits, alone.hits, "{native}: {query}");
        }
        let empty = opened.answer_all(&["rain", " "], &request);
        assert!(matches!(empty, Err(SearchError::Query(QueryError::Empty))));
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn the_precision_is_the_index_s_unless_another_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    index("native,precision=bf16", &out);
    let encoded = |precision| {
        let options = OpenOptions {
            precision,
            ..with_checkpoint()
        };
        let opened = OpenIndex::open(&out, options).unwrap();
        opened.encoder().unwrap().encode(QUERY).unwrap()
    };
    assert!(encoded(None) == encoded(Some(Precision::Bf16)));
    assert!(encoded(None) != encoded(Some(Precision::F32)));
}

#[test]
fn a_manifest_that_says_what_this_program_does_not_know_is_refused() {
    for (from, to) in [
        ("\"precision\": \"f32\"", "\"precision\": \"f8\""),
        ("\"numerics\": []", "\"numerics\": [\"gelu=sometimes\"]"),
        ("\"numerics\": []", "\"numerics\": [3]"),
        ("\"numerics\": []", "\"numerics\": \"none\""),
        ("\"precision\"", "\"precisely\""),
        ("\"contract\": 2", "\"contract\": 3"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("index");
        index("native", &out);
        edit(&out, from, to);
        let options = OpenOptions {
            // What the user chooses does not make the manifest known.
            precision: Some(Precision::F32),
            ..with_checkpoint()
        };
        let error = OpenIndex::open(&out, options).err().unwrap();
        assert!(
            matches!(error, OpenError::Recorded(_) | OpenError::Contract(3)),
            "{to}: {error}"
        );
    }
}

#[test]
fn an_index_without_a_log_is_opened_with_the_checkpoint_that_one_names() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    index("native", &out);
    fs::remove_file(out.join("concord.log.json")).unwrap();
    let opened = OpenIndex::open(&out, with_checkpoint()).unwrap();
    assert!(opened.collection().is_none());
    let [notice] = opened.notices() else {
        panic!("{:?}", opened.notices());
    };
    assert!(notice.ends_with("so results have no texts"), "{notice}");
    let hits = opened.search(QUERY, 3, &opened.search_options()).unwrap();
    assert_eq!(hits.len(), 3);
    let nothing_told = OpenOptions::new(HubOptions::new(""));
    let error = OpenIndex::open(&out, nothing_told).err().unwrap();
    assert!(matches!(error, OpenError::NoCheckpoint), "{error}");
}
