//! Search on the indexes that the reference built, with its queries, against what it found.

#![allow(clippy::unwrap_used)]

mod golden;

use concord_index::format::Index;
use concord_index::search::{Hit, SearchOptions, Searcher};
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;
use serde::Deserialize;
use std::sync::Arc;

use golden::{Golden, OLD, VERSIONS};

/// How far a score, a sum over 16 query tokens, may be from the reference's.
const SCORE_TOLERANCE: f32 = 1e-5;

const QUERY_MAXLEN: usize = 16;
const PASSAGES: u32 = 120;

/// One way to search, and what the reference found that way.
#[derive(Deserialize)]
struct Way {
    asked: Settings,
    used: Settings,
    queries: Vec<Found>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Settings {
    k: usize,
    ncells: Option<usize>,
    centroid_score_threshold: Option<f32>,
    ndocs: Option<usize>,
}

impl Settings {
    /// The options, with maxima that start where the reference starts them on a CPU.
    fn options(self) -> SearchOptions {
        SearchOptions {
            ncells: self.ncells,
            centroid_score_threshold: self.centroid_score_threshold,
            ndocs: self.ndocs,
            floor: Floor::Zero,
        }
    }
}

#[derive(Deserialize)]
struct Found {
    /// The passages of the cells, before any filter.
    candidates: Vec<u32>,
    /// The passages that both filters left.
    survivors: Vec<u32>,
    pids: Vec<u32>,
    scores: Vec<f32>,
}

impl Found {
    /// The result in Concord's order: of passages with equal scores, which the reference leaves in any
    /// order, the one with the smaller pid first.
    fn hits(&self) -> Vec<Hit> {
        let scored = self.pids.iter().zip(&self.scores);
        let mut hits: Vec<Hit> = scored.map(|(&pid, &score)| Hit { pid, score }).collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.pid.cmp(&b.pid)));
        hits
    }
}

/// The embeddings of the queries, each `(16, 32)`.
fn queries(golden: &Golden) -> Vec<Vec<f32>> {
    let embeddings = golden.array("query_embs.npy");
    let width = embeddings.row_len();
    let values = embeddings.as_slice::<f32>().unwrap();
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

fn pids(hits: &[Hit]) -> Vec<u32> {
    hits.iter().map(|hit| hit.pid).collect()
}

fn ascending(hits: &[Hit]) -> Vec<u32> {
    let mut pids = pids(hits);
    pids.sort_unstable();
    pids
}

fn largest_difference(found: &[Hit], expected: &[Hit]) -> f32 {
    let scores = |hits: &[Hit]| hits.iter().map(|hit| hit.score).collect::<Vec<_>>();
    golden::largest_difference(&scores(found), &scores(expected))
}

#[test]
fn every_setting_finds_the_passages_and_scores_of_the_reference() {
    for golden in VERSIONS {
        let index = Arc::new(Index::open(&golden.path("index")).unwrap());
        let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
        let queries = queries(&golden);
        let mut largest: f32 = 0.0;
        for way in golden.json::<Vec<Way>>("search.json") {
            assert_eq!(way.queries.len(), queries.len());
            for (at, (query, found)) in queries.iter().zip(&way.queries).enumerate() {
                let hits = searcher.search(query, QUERY_MAXLEN, way.asked.k, &way.asked.options());
                let place = format!("torch {}, query {at}, {:?}", golden.torch, way.asked);
                let expected = found.hits();
                assert_eq!(pids(&hits), pids(&expected), "{place}");
                largest = largest.max(largest_difference(&hits, &expected));
            }
        }
        println!(
            "torch {}: scores differ by at most {largest:e}",
            golden.torch
        );
        assert!(largest <= SCORE_TOLERANCE, "{largest:e}");
    }
}

#[test]
fn what_is_left_open_follows_from_k_as_in_the_reference() {
    for golden in VERSIONS {
        for way in golden.json::<Vec<Way>>("search.json") {
            let plan = way.asked.options().for_k(way.asked.k);
            assert_eq!(Some(plan.ncells), way.used.ncells);
            assert_eq!(
                Some(plan.centroid_score_threshold),
                way.used.centroid_score_threshold
            );
            assert_eq!(Some(plan.ndocs), way.used.ndocs);
        }
    }
}

#[test]
fn cells_and_filters_leave_the_passages_that_they_leave_in_the_reference() {
    for golden in VERSIONS {
        let index = Arc::new(Index::open(&golden.path("index")).unwrap());
        let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
        let mut filtered = 0;
        for way in golden.json::<Vec<Way>>("search.json") {
            // All that is left can be seen where as many are asked for as there are, and all that
            // the cells hold where in addition the filters keep everything.
            let k = PASSAGES as usize;
            let used = way.used.options();
            let unfiltered = SearchOptions {
                ndocs: Some(4 * k),
                ..used
            };
            for (at, (query, found)) in queries(&golden).iter().zip(&way.queries).enumerate() {
                let place = format!("torch {}, query {at}, {:?}", golden.torch, way.used);
                let candidates = searcher.search(query, QUERY_MAXLEN, k, &unfiltered);
                assert_eq!(ascending(&candidates), found.candidates, "{place}");
                let survivors = searcher.search(query, QUERY_MAXLEN, k, &used);
                assert_eq!(ascending(&survivors), found.survivors, "{place}");
                filtered += usize::from(found.survivors.len() < found.candidates.len());
            }
        }
        assert!(filtered > 12, "the settings make the filters lose passages");
    }
}

#[test]
fn the_exact_score_of_every_passage_is_that_of_the_reference() {
    for golden in VERSIONS {
        let index = Arc::new(Index::open(&golden.path("index")).unwrap());
        let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
        let all: Vec<u32> = (0..PASSAGES).collect();
        let mut largest: f32 = 0.0;
        let expected: Vec<Vec<f32>> = golden.json("scores.json");
        for (query, expected) in queries(&golden).iter().zip(&expected) {
            let mut hits = searcher.score(query, &all, Floor::Zero);
            assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
            hits.sort_by_key(|hit| hit.pid);
            let found: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
            largest = largest.max(golden::largest_difference(&found, expected));
        }
        println!(
            "torch {}: scores differ by at most {largest:e}",
            golden.torch
        );
        assert!(largest <= SCORE_TOLERANCE, "{largest:e}");
    }
}

#[test]
fn passages_of_the_same_text_tie_and_come_in_the_order_of_their_pids() {
    for golden in VERSIONS {
        let index = Arc::new(Index::open(&golden.path("index")).unwrap());
        let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
        for query in queries(&golden) {
            let hits = searcher.score(&query, &[3, 2], Floor::Zero);
            assert_eq!(pids(&hits), [2, 3]);
            assert_eq!(hits[0].score.to_bits(), hits[1].score.to_bits());
        }
    }
}

#[test]
fn clipping_at_zero_raises_some_scores_and_lowers_none() {
    let index = Arc::new(Index::open(&OLD.path("index")).unwrap());
    let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
    let mut raised = 0;
    for query in queries(&OLD) {
        for pid in 0..PASSAGES {
            let score = |floor| searcher.score(&query, &[pid], floor)[0].score;
            let (exact, clipped) = (score(Floor::None), score(Floor::Zero));
            assert!(exact <= clipped, "passage {pid}");
            raised += usize::from(exact < clipped);
        }
    }
    assert!(raised > 0);
}

#[test]
fn the_instruction_sets_find_the_same_with_the_same_bits() {
    let index = Arc::new(Index::open(&OLD.path("index")).unwrap());
    let options = SearchOptions::default();
    for query in queries(&OLD) {
        let scalar = Searcher::new(Arc::clone(&index), &Compute::scalar()).search(
            &query,
            QUERY_MAXLEN,
            20,
            &options,
        );
        let fastest = Searcher::new(Arc::clone(&index), &Compute::fastest()).search(
            &query,
            QUERY_MAXLEN,
            20,
            &options,
        );
        let bits = |hits: &[Hit]| -> Vec<(u32, u32)> {
            hits.iter()
                .map(|hit| (hit.pid, hit.score.to_bits()))
                .collect()
        };
        assert_eq!(bits(&scalar), bits(&fastest));
    }
}

#[test]
fn an_index_in_three_chunks_is_read_as_one() {
    let (whole, parts) = (OLD.path("index"), OLD.path("index-chunks-of-50"));
    let whole = Arc::new(Index::open(&whole).unwrap());
    let parts = Arc::new(Index::open(&parts).unwrap());
    assert_eq!(parts.setting("num_chunks").unwrap(), 3);
    assert_eq!(parts.passages(), whole.passages());
    let (whole, parts) = (
        Searcher::new(Arc::clone(&whole), &Compute::fastest()),
        Searcher::new(Arc::clone(&parts), &Compute::fastest()),
    );
    for pid in 0..PASSAGES {
        assert_eq!(
            whole.embeddings(pid),
            parts.embeddings(pid),
            "passage {pid}"
        );
    }
}

#[test]
fn the_matches_of_a_passages_tokens_make_up_its_score() {
    let index = Arc::new(Index::open(&OLD.path("index")).unwrap());
    let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
    for query in queries(&OLD) {
        for hit in searcher.score(&query, &[0, 7, 119], Floor::None) {
            let matches = searcher.matches(&query, hit.pid);
            assert_eq!(matches.len(), query.len() / index.dim());
            let sum: f32 = matches.iter().map(|found| found.similarity).sum();
            assert!((sum - hit.score).abs() < 1e-5, "{sum} {}", hit.score);
            let embeddings = searcher.embeddings(hit.pid);
            let tokens = query.chunks(index.dim()).zip(&matches);
            for (token, found) in tokens {
                let similarity = |passage: &[f32]| -> f32 {
                    token.iter().zip(passage).map(|(a, b)| a * b).sum()
                };
                let all: Vec<f32> = embeddings.chunks(index.dim()).map(similarity).collect();
                assert!((all[found.token] - found.similarity).abs() < 1e-5);
                assert!(all.iter().all(|other| *other < found.similarity + 1e-5));
            }
        }
    }
}
