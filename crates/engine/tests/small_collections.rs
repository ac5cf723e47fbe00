//! Collections for which the reference's rules ask for more centroids than there is to train them on.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use concord_corpus::Collection;
use concord_engine::build::Layout;
use concord_engine::native::NativeError;
use concord_engine::settings::IndexSettings;
use concord_index::format::Index;
use concord_index::search::{Hit, SearchOptions, Searcher};
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::query::QueryEncoder;
use concord_pipeline::artifact::{CENTROIDS, DOCLENS, PLAN};
use proptest::prelude::*;
use std::sync::Arc;

use engine::{built, checkpoint, collection, engine_over};

/// What came of building the index of some passages and searching it for their own texts.
struct Outcome {
    notices: Vec<String>,
    centroids: usize,
    doclens: Vec<i64>,
    hits: Vec<Vec<Hit>>,
}

/// Builds the index of `passages` and searches it for `queries`.
fn outcome(passages: &[&str], queries: &[&str]) -> Outcome {
    let collection = Collection::from_passages(passages);
    let native = engine_over(collection, "native", IndexSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let report = built(
        &native,
        Layout {
            pad_ivf: true,
            ..Layout::default()
        },
        &out,
    );
    assert_eq!(verify(&out).unwrap(), []);

    let index = Arc::new(Index::open(&out).unwrap());
    assert_eq!(index.passages(), passages.len());
    let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
    let encoder = QueryEncoder::new(
        &checkpoint(),
        native.config(),
        &Numerics::default(),
        Precision::F32,
        &Compute::fastest(),
    )
    .unwrap();
    let maxlen = native.config().query_maxlen;
    let hits = queries
        .iter()
        .map(|query| {
            let query = encoder.encode(query).unwrap();
            searcher.search(&query, maxlen, 10, &SearchOptions::default())
        })
        .collect();
    let doclens = std::fs::read(out.join("doclens.0.json")).unwrap();
    Outcome {
        notices: report.notices,
        centroids: report.manifest.artifact(CENTROIDS).unwrap().chunks[0].fields[0].shape[0],
        doclens: serde_json::from_slice(&doclens).unwrap(),
        hits,
    }
}

/// The largest power of two that is at most `number`.
fn power_of_two_below(number: f64) -> usize {
    1 << number.log2().floor() as u32
}

#[test]
fn a_few_passages_get_as_many_centroids_as_they_can_train_a_notice_and_can_be_searched() {
    let collection = collection();
    let mut too_few = Vec::new();
    for count in [1, 2, 3, 5, 6, 10, 14] {
        // Passages from the middle: made-up sentences without a duplicate.
        let passages: Vec<&str> = collection.texts(40..40 + count).collect();
        let outcome = outcome(&passages, &passages);
        let embeddings = outcome.doclens.iter().sum::<i64>() as f64;
        let by_rule = power_of_two_below(16.0 * embeddings.sqrt());
        let trainable = power_of_two_below(embeddings - (0.05 * embeddings).floor().max(1.0));
        assert_eq!(
            outcome.centroids,
            by_rule.min(trainable),
            "{count} passages"
        );
        if by_rule > trainable {
            too_few.push(count);
            let notice =
                format!("the collection is too small for {by_rule} centroids; it gets {trainable}");
            assert_eq!(outcome.notices, [notice]);
        } else {
            assert_eq!(outcome.notices, Vec::<String>::new());
        }
        for (pid, hits) in outcome.hits.iter().enumerate() {
            assert_eq!(hits[0].pid as usize, pid, "of {count}");
            assert!(hits[0].score.is_finite());
        }
    }
    assert_eq!(
        too_few,
        [1, 2, 3, 5, 6, 14],
        "10 passages can train what the rule asks for"
    );
}

#[test]
fn a_collection_that_is_large_enough_gets_no_notice() {
    let collection = collection();
    let passages: Vec<&str> = collection.iter().collect();
    let outcome = outcome(&passages, &[]);
    assert_eq!(outcome.centroids, 512);
    // That some of its passages are cut is another matter.
    let [cut] = &outcome.notices[..] else {
        panic!("one notice was expected: {:?}", outcome.notices);
    };
    assert!(
        cut.starts_with("6 of 120 passages are longer than doc_maxlen = 40 tokens"),
        "{cut}"
    );
}

#[test]
fn empty_passages_have_the_embeddings_of_their_special_tokens() {
    let outcome = outcome(&["", "", ""], &["", "fox"]);
    assert_eq!(outcome.doclens, [3, 3, 3]);
    for hits in outcome.hits {
        let pids: Vec<u32> = hits.iter().map(|hit| hit.pid).collect();
        assert_eq!(pids, [0, 1, 2], "all the same, so in the order of pids");
        assert!(
            hits.iter()
                .all(|hit| hit.score == hits[0].score && hit.score.is_finite())
        );
    }
}

#[test]
fn punctuation_is_seen_by_other_tokens_and_has_no_embedding_itself() {
    let outcome = outcome(&["?!, ... ;; --", "", "the otter!"], &["the otter"]);
    assert_eq!(outcome.doclens, [3, 3, 5]);
    assert_eq!(outcome.hits[0][0].pid, 2);
    let scores: Vec<f32> = outcome.hits[0].iter().map(|hit| hit.score).collect();
    assert!(scores[1] != scores[2], "{scores:?}");
}

#[test]
fn a_collection_without_passages_is_refused() {
    let empty = Collection::from_passages(Vec::<String>::new());
    let error = engine_over(empty, "native", IndexSettings::default())
        .err()
        .unwrap();
    assert!(matches!(error, NativeError::Empty), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the texts, the sizes hold together, and every passage is listed.
    #[test]
    fn any_few_texts_make_an_index_in_which_every_passage_is_found(
        passages in prop::collection::vec("[a-z ,.!]{0,40}|\\PC{0,12}", 1..12)
    ) {
        let collection = Collection::from_passages(&passages);
        let native = engine_over(collection, "native", IndexSettings::default()).unwrap();
        let (plan, doclens) = engine::evaluated(&native, |evaluator| {
            let plan = evaluator.load(PLAN, 0)?;
            Ok((plan, engine::tensor(evaluator, DOCLENS, "")?))
        });
        let doclens = doclens.as_slice::<i64>().unwrap();
        prop_assert_eq!(doclens.len(), passages.len());
        prop_assert!(doclens.iter().all(|doclen| (3..=40).contains(doclen)));
        let centroids = plan.field("num_partitions").unwrap().as_slice::<i64>().unwrap()[0];
        prop_assert!(centroids <= doclens.iter().sum::<i64>());

        let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
        let found = outcome(&texts, &texts);
        for hits in found.hits {
            prop_assert!(!hits.is_empty());
            prop_assert!(hits.iter().all(|hit| hit.score.is_finite()));
        }
    }
}
