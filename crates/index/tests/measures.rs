//! Measures of rankings, by hand and against trec_eval.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use concord_corpus::{Collection, PlainPids, Qrels, Queries, Ranking};
use concord_index::evaluate::{Coverage, Metrics, Ties, Unmeasurable, evaluate};
use serde::Deserialize;

fn qrels(text: &str) -> Qrels {
    Qrels::parse("qrels", text.as_bytes()).unwrap()
}

fn ranking(of: &[(&str, &[(u32, f32)])]) -> Ranking {
    let mut ranking = Ranking::new();
    for (qid, found) in of {
        ranking.push(qid, found.iter().copied());
    }
    ranking
}

fn measured(found: &[u32], judgements: &str) -> Metrics {
    let found: Vec<(u32, f32)> = found.iter().map(|&pid| (pid, -(pid as f32))).collect();
    let ranking = ranking(&[("1", &found)]);
    evaluate(&ranking, &qrels(judgements), &PlainPids, Ties::AsRanked).means
}

#[test]
fn measures_of_one_query() {
    let judgements = "1 0 3 2\n1 0 8 1\n1 0 9 0\n";
    let found = measured(&[9, 8, 1, 3], judgements);
    assert_eq!(
        (found.recall_at_10, found.mrr_at_10, found.success_at_5),
        (1.0, 0.5, 1.0)
    );
    let log = |rank: f64| (rank + 1.0).log2();
    let ideal = 2.0 / log(1.0) + 1.0 / log(2.0);
    assert!((found.ndcg_at_10 - (1.0 / log(2.0) + 2.0 / log(4.0)) / ideal).abs() < 1e-12);
    assert_eq!(measured(&[1, 2], judgements).recall_at_10, 0.0);
}

#[test]
fn documents_that_are_not_in_the_collection_count_as_not_found() {
    let found = measured(&[3], "1 0 3 2\n1 0 8 1\n1 0 gone 1\n1 0 too 5\n");
    assert_eq!(found.recall_at_10, 0.25);
    let log = |rank: f64| (rank + 1.0).log2();
    let ideal = 5.0 + 2.0 / log(2.0) + 1.0 / log(3.0) + 1.0 / log(4.0);
    assert!((found.ndcg_at_10 - 2.0 / ideal).abs() < 1e-12);
}

#[test]
fn equal_scores_are_measured_as_ranked_or_as_trec_eval_orders_them() {
    // Five equal texts: by pid the relevant one is second, by id as a string, descending, it is fourth.
    let tied = [(0, 5.0), (1, 5.0), (2, 5.0), (3, 5.0), (4, 5.0)];
    let ranking = ranking(&[("1", &tied)]);
    let qrels = qrels("1 0 1 1\n");
    let measured = |ties| evaluate(&ranking, &qrels, &PlainPids, ties);
    let by_rank = measured(Ties::AsRanked);
    let by_id = measured(Ties::TrecEval);
    assert_eq!(format!("{:.4}", by_rank.means.ndcg_at_10), "0.6309");
    assert_eq!(format!("{:.4}", by_id.means.ndcg_at_10), "0.4307");
    assert_eq!(
        (by_rank.means.mrr_at_10, by_id.means.mrr_at_10),
        (0.5, 0.25)
    );
    assert_eq!((by_rank.decided_by_ties(), by_id.decided_by_ties()), (1, 1));
}

#[test]
fn ties_that_decide_nothing_are_not_counted() {
    let decides = |found: &[(u32, f32)], judgements: &str| {
        let measured = evaluate(
            &ranking(&[("1", found)]),
            &qrels(judgements),
            &PlainPids,
            Ties::AsRanked,
        );
        measured.decided_by_ties() == 1
    };
    let judgements = "1 0 1 1\n1 0 2 1\n1 0 3 2\n1 0 4 -1\n1 0 5 0\n";
    assert!(
        !decides(&[(1, 3.0), (2, 3.0), (3, 1.0)], judgements),
        "of one grade"
    );
    assert!(decides(&[(1, 3.0), (3, 3.0)], judgements), "of two grades");
    assert!(decides(&[(1, 0.0), (9, -0.0)], judgements), "zero is zero");
    assert!(
        !decides(&[(4, 3.0), (5, 3.0), (9, 3.0)], judgements),
        "all count as zero"
    );
    let ten: Vec<(u32, f32)> = (20..30).map(|pid| (pid, 50.0 - pid as f32)).collect();
    let behind = [&ten[..], &[(1, 1.0), (3, 1.0)]].concat();
    assert!(!decides(&behind, judgements), "behind what is measured");
    let across = [&ten[..9], &[(9, 1.0), (3, 1.0)]].concat();
    assert!(decides(&across, judgements), "at the cut");
}

/// A case as `live/trec_measures.py --golden` wrote it, with what pytrec_eval measured.
#[derive(Deserialize)]
struct Case {
    documents: Vec<String>,
    run: BTreeMap<String, Vec<(String, String)>>,
    qrels: BTreeMap<String, BTreeMap<String, i64>>,
    expected: BTreeMap<String, BTreeMap<String, f64>>,
}

#[test]
fn measures_are_those_of_trec_eval() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/measures.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut decided, mut queries) = (0, 0);
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let object = |id: &String| serde_json::json!({"_id": id, "text": ""}).to_string() + "\n";
        let collection: String = case.documents.iter().map(object).collect();
        let collection = Collection::parse_beir("c", collection.as_bytes()).unwrap();
        let mut run = String::new();
        for (qid, found) in &case.run {
            for (rank, (id, score)) in found.iter().enumerate() {
                run += &format!("{qid} Q0 {id} {rank} {score} t\n");
            }
        }
        let ranking = Ranking::parse_trec("run", run.as_bytes(), &collection).unwrap();
        let mut judged = String::new();
        for (qid, documents) in &case.qrels {
            for (id, grade) in documents {
                judged += &format!("{qid} 0 {id} {grade}\n");
            }
        }
        let measured = evaluate(&ranking, &qrels(&judged), &collection, Ties::TrecEval);
        let names: Vec<&String> = case.expected.keys().collect();
        let measured_names: Vec<&String> = measured.queries.iter().map(|q| &q.qid).collect();
        assert_eq!(measured_names, names);
        for query in &measured.queries {
            let own = serde_json::to_value(query).unwrap();
            for (name, expected) in &case.expected[&query.qid] {
                let difference = (own[name].as_f64().unwrap() - expected).abs();
                assert!(
                    difference < 1e-12,
                    "{}: {name} is {own}, not {expected}",
                    query.qid
                );
            }
        }
        decided += measured.decided_by_ties();
        queries += measured.queries.len();
    }
    assert!(queries > 50 && decided > 25, "{decided} of {queries}");
}

#[test]
fn what_is_judged_is_compared_with_what_is_searched() {
    let queries = Queries::from_pairs([("a", "x"), ("b", "x"), ("c", "x")]).unwrap();
    let of = |text: &str| Coverage::of(&queries, &qrels(text), &PlainPids, 10);
    let coverage = of("a 0 1 1\na 0 77 1\nb 0 1 0\nz 0 1 1\n").unwrap();
    assert_eq!(
        coverage,
        Coverage {
            judged: 3,
            not_searched: 1,
            searched: 3,
            not_judged: 1,
            without_relevant: 1,
            judgements: 3,
            unknown_documents: 1,
        }
    );
    assert_eq!(coverage.notices().len(), 3);
    let all = of("a 0 1 1\nb 0 1 1\nc 0 9 1\n").unwrap();
    assert!(all.notices().is_empty());

    assert!(matches!(
        of("A 0 1 1\n1 0 1 1\n"),
        Err(Unmeasurable::OtherQueries {
            judged: 2,
            searched: 3,
            ..
        })
    ));
    let other_documents = of("a 0 d1 1\nb 0 10 1\nz 0 1 1\n").unwrap_err();
    assert!(matches!(
        other_documents,
        Unmeasurable::OtherDocuments { judgements: 2, .. }
    ));
    assert!(other_documents.to_string().contains("\"d1\""));
    assert_eq!(
        of("a 0 1 0\nb 0 1 -1\nz 0 1 1\n"),
        Err(Unmeasurable::NothingRelevant)
    );
    assert_eq!(
        of("query-id\tcorpus-id\tscore\n"),
        Err(Unmeasurable::NoJudgements)
    );
}
