//! Rankings in memory.

use std::collections::HashMap;

/// One passage in the ranking of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    pub pid: u32,
    /// Its rank, from 1.
    pub rank: u32,
    /// Its score: the `f32` of a search, widened, or what a file says.
    pub score: f64,
}

/// The rankings of a set of queries.
///
/// Queries stand in the order in which they were added or first appear in a file, passages in
/// the order of their lines, which is not changed to fit their ranks or scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    pub(super) queries: Vec<(String, Vec<Ranked>)>,
    by_qid: HashMap<String, usize>,
}

impl Ranking {
    /// A ranking of no queries.
    pub fn new() -> Ranking {
        Ranking::default()
    }

    /// Appends the passages found for `qid`, best first, with the ranks 1, 2, … The passages
    /// replace those of an earlier call for the same query.
    pub fn push(&mut self, qid: &str, found: impl IntoIterator<Item = (u32, f32)>) {
        let ranked = found
            .into_iter()
            .zip(1..)
            .map(|((pid, score), rank)| Ranked {
                pid,
                rank,
                score: score.into(),
            });
        let ranked = ranked.collect();
        let place = self.place(qid);
        self.queries[place].1 = ranked;
    }

    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The passages found for the query `qid`.
    pub fn get(&self, qid: &str) -> Option<&[Ranked]> {
        let place = *self.by_qid.get(qid)?;
        Some(&self.queries[place].1)
    }

    /// The queries and the passages found for each, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[Ranked])> {
        let queries = self.queries.iter();
        queries.map(|(qid, found)| (qid.as_str(), found.as_slice()))
    }

    /// The place of `qid`, which is added if it is new.
    pub(super) fn place(&mut self, qid: &str) -> usize {
        if let Some(&place) = self.by_qid.get(qid) {
            return place;
        }
        let place = self.queries.len();
        self.by_qid.insert(qid.to_owned(), place);
        self.queries.push((qid.to_owned(), Vec::new()));
        place
    }
}
