//! The measures of one query's ranking, and their means.

use serde::Serialize;

/// How many passages the deepest measure looks at.
pub(super) const DEPTH: usize = 10;

/// Measures of a ranking, of one query or averaged over several.
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

impl Metrics {
    /// The means of those of several queries; of none, zeros.
    pub(super) fn mean<'m>(all: impl Iterator<Item = &'m Metrics>) -> Metrics {
        let mut total = Metrics::default();
        for own in all {
            total.queries += own.queries;
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
}

/// The measures of a query whose passages, best first, have the grades `gains` (zero where they are not relevant),
/// given those of all its relevant documents, whether the collection has them or not.
pub(super) fn measure(gains: &[i64], relevant: impl Iterator<Item = i64>) -> Metrics {
    let mut ideal: Vec<i64> = relevant.collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let top = &gains[..gains.len().min(DEPTH)];
    let found = top.iter().filter(|&&gain| gain > 0).count();
    let first = top.iter().position(|&gain| gain > 0);
    let best = discounted(&ideal);
    Metrics {
        queries: 1,
        recall_at_10: found as f64 / ideal.len().max(1) as f64,
        mrr_at_10: first.map_or(0.0, |at| 1.0 / (at + 1) as f64),
        success_at_5: f64::from(u8::from(first.is_some_and(|at| at < 5))),
        ndcg_at_10: match best > 0.0 {
            true => discounted(top) / best,
            false => 0.0,
        },
    }
}

/// The discounted cumulative gain of the first ten of `gains`.
fn discounted(gains: &[i64]) -> f64 {
    let top = gains.iter().take(DEPTH).enumerate();
    top.map(|(at, &gain)| gain as f64 / ((at + 2) as f64).log2())
        .sum()
}
