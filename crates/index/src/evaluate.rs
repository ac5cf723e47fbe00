//! How good a ranking is, by judgements of relevance.
//!
//! Binary measures count a grade above zero as relevant. Means are over the queries that have at least
//! one relevant document; a query without a ranking counts as zero.

mod coverage;
mod measures;

use std::cmp::Ordering;
use std::collections::HashMap;

use concord_corpus::{DocumentIds, Judgement, Qrels, Ranked, Ranking};
use serde::Serialize;

pub use coverage::{Coverage, Unmeasurable};
pub use measures::Metrics;
use measures::{DEPTH, measure};

/// In which order passages of equal score are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// As they are ranked; a search of Concord ranks the smaller pid first.
    #[default]
    AsRanked,
    /// As `trec_eval` does, which looks at no rank: by score, the larger first, and where scores are equal as `f32` by
    /// the bytes of the document's id, the larger first (`comp_sim_docno` in its `form_res_rels.c`).
    TrecEval,
}

/// A ranking, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    pub ties: Ties,
    /// The means over `queries`.
    pub means: Metrics,
    /// The queries with a relevant document, in the order of the judgements.
    pub queries: Vec<QueryMetrics>,
}

/// The measures of one query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueryMetrics {
    pub qid: String,
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Whether another order of passages with equal scores could give other measures.
    pub order_of_ties_decides: bool,
}

impl Evaluation {
    /// How many queries there are whose measures depend on the order of passages with equal scores.
    pub fn decided_by_ties(&self) -> usize {
        let queries = self.queries.iter();
        queries.filter(|query| query.order_of_ties_decides).count()
    }
}

/// Measures a ranking.
pub fn evaluate(
    ranking: &Ranking,
    qrels: &Qrels,
    documents: &(impl DocumentIds + ?Sized),
    ties: Ties,
) -> Evaluation {
    let queries = qrels.iter().filter_map(|(qid, judgements)| {
        let (grades, relevant) = grades(judgements);
        if relevant == 0 {
            return None;
        }
        let mut ranked: Vec<(f32, i64, u32)> = ranking
            .get(qid)
            .unwrap_or_default()
            .iter()
            .map(|ranked| graded(ranked, &grades, documents))
            .collect();
        let order_of_ties_decides = order_of_ties_decides(&ranked);
        if ties == Ties::TrecEval {
            let id = |pid: u32| documents.external_id(pid);
            ranked.sort_by(|a, b| by_score(a.0, b.0).then_with(|| id(b.2).cmp(&id(a.2))));
        }
        let gains: Vec<i64> = ranked.iter().map(|(_, gain, _)| *gain).collect();
        Some(QueryMetrics {
            qid: qid.to_owned(),
            metrics: measure(&gains, grades.into_values()),
            order_of_ties_decides,
        })
    });
    let queries: Vec<QueryMetrics> = queries.collect();
    Evaluation {
        ties,
        means: Metrics::mean(queries.iter().map(|query| &query.metrics)),
        queries,
    }
}

/// The grades above zero by document, and how many there are.
fn grades<'q>(judgements: impl Iterator<Item = Judgement<'q>>) -> (HashMap<&'q str, i64>, usize) {
    let relevant = judgements.filter(|judgement| judgement.grade > 0);
    let grades: HashMap<_, _> = relevant
        .map(|judgement| (judgement.document, judgement.grade))
        .collect();
    let count = grades.len();
    (grades, count)
}

/// The score of a ranked passage as `trec_eval` keeps it, its gain and its pid.
fn graded(
    ranked: &Ranked,
    grades: &HashMap<&str, i64>,
    documents: &(impl DocumentIds + ?Sized),
) -> (f32, i64, u32) {
    let gain = grades.get(documents.external_id(ranked.pid).as_ref());
    (ranked.score as f32, gain.copied().unwrap_or(0), ranked.pid)
}

/// The larger score first. The two zeros are equal, as C compares them.
fn by_score(a: f32, b: f32) -> Ordering {
    (b + 0.0).total_cmp(&(a + 0.0))
}

/// Whether passages of equal score and different gain reach into those that measures look at.
fn order_of_ties_decides(ranked: &[(f32, i64, u32)]) -> bool {
    let mut by_rank: Vec<&(f32, i64, u32)> = ranked.iter().collect();
    by_rank.sort_by(|a, b| by_score(a.0, b.0));
    let mut start = 0;
    let equal = by_rank.chunk_by(|a, b| by_score(a.0, b.0).is_eq());
    equal
        .take_while(|tied| {
            let reaches_in = start < DEPTH;
            start += tied.len();
            reaches_in
        })
        .any(|tied| tied.iter().any(|passage| passage.1 != tied[0].1))
}
