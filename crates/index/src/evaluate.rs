//! How good a ranking is, by judgements of relevance.
//!
//! Binary measures count a grade above zero as relevant. Means are over the queries that have at least
//! one relevant document; a query without a ranking counts as zero.

use std::collections::HashMap;

use concord_corpus::{DocumentIds, Qrels, Ranking};
use serde::Serialize;

/// Measures of a ranking, averaged over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// The number of queries with a relevant document.
    pub queries: usize,
    /// The part of the relevant documents among the first 10.
    pub recall_at_10: f64,
    /// The reciprocal of the first relevant document's rank, zero beyond 10 (Voorhees, TREC-8).
    pub mrr_at_10: f64,
    /// The part of the queries with a relevant document among the first 5.
    pub success_at_5: f64,
    /// Discounted cumulative gain `Σ grade / log2(rank + 1)` of the first 10, divided by the largest
    /// possible (Järvelin and Kekäläinen, ACM TOIS 2002, with linear gain).
    pub ndcg_at_10: f64,
}

/// The measures of one query's documents, best first, given the grades of the judged ones in the
/// collection and the number of relevant ones that are not in it.
fn measure(documents: &[u32], grades: &HashMap<u32, i64>, missing: usize) -> Metrics {
    let grade = |pid: &u32| grades.get(pid).copied().unwrap_or(0).max(0);
    let relevant = grades.values().filter(|&&grade| grade > 0).count() + missing;
    let top = &documents[..documents.len().min(10)];
    let found = top.iter().filter(|pid| grade(pid) > 0).count();
    let first = top.iter().position(|pid| grade(pid) > 0);
    let gain = |grades: &mut dyn Iterator<Item = i64>| {
        grades
            .take(10)
            .enumerate()
            .map(|(at, grade)| grade as f64 / ((at + 2) as f64).log2())
            .sum::<f64>()
    };
    let mut ideal: Vec<i64> = grades
        .values()
        .copied()
        .filter(|&grade| grade > 0)
        .collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = gain(&mut ideal.into_iter());
    Metrics {
        queries: 1,
        recall_at_10: found as f64 / relevant.max(1) as f64,
        mrr_at_10: first.map_or(0.0, |at| 1.0 / (at + 1) as f64),
        success_at_5: f64::from(u8::from(first.is_some_and(|at| at < 5))),
        ndcg_at_10: if best > 0.0 {
            gain(&mut top.iter().map(grade)) / best
        } else {
            0.0
        },
    }
}

/// The mean measures of a ranking.
pub fn evaluate(
    ranking: &Ranking,
    qrels: &Qrels,
    documents: &(impl DocumentIds + ?Sized),
) -> Metrics {
    let mut total = Metrics::default();
    for (qid, judgements) in qrels.iter() {
        let (mut grades, mut missing) = (HashMap::new(), 0);
        for judgement in judgements {
            match documents.pid_of(&judgement.document) {
                Some(pid) => {
                    grades.insert(pid, judgement.grade);
                }
                None => missing += usize::from(judgement.grade > 0),
            }
        }
        if grades.values().all(|&grade| grade <= 0) && missing == 0 {
            continue;
        }
        let pids: Vec<u32> = ranking
            .get(qid)
            .unwrap_or_default()
            .iter()
            .map(|ranked| ranked.pid)
            .collect();
        let own = measure(&pids, &grades, missing);
        total.queries += 1;
        total.recall_at_10 += own.recall_at_10;
        total.mrr_at_10 += own.mrr_at_10;
        total.success_at_5 += own.success_at_5;
        total.ndcg_at_10 += own.ndcg_at_10;
    }
    let queries = total.queries.max(1) as f64;
    total.recall_at_10 /= queries;
    total.mrr_at_10 /= queries;
    total.success_at_5 /= queries;
    total.ndcg_at_10 /= queries;
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_of_one_query() {
        let grades = HashMap::from([(3, 2), (8, 1), (9, 0)]);
        let found = measure(&[9, 8, 1, 3], &grades, 0);
        assert_eq!(
            (found.recall_at_10, found.mrr_at_10, found.success_at_5),
            (1.0, 0.5, 1.0)
        );
        let log = |rank: f64| (rank + 1.0).log2();
        let ideal = 2.0 / log(1.0) + 1.0 / log(2.0);
        assert!((found.ndcg_at_10 - (1.0 / log(2.0) + 2.0 / log(4.0)) / ideal).abs() < 1e-12);
        assert_eq!(measure(&[1, 2], &grades, 0).recall_at_10, 0.0);
        assert_eq!(
            measure(&[3], &grades, 2).recall_at_10,
            0.25,
            "documents that are not in the collection count"
        );
    }
}
