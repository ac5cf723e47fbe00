//! Rankings in memory.

use crate::names::Names;

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
#[derive(Debug, Clone, Default)]
pub struct Ranking {
    pub(super) qids: Names,
    /// The passages of all queries.
    pub(super) ranked: Vec<Ranked>,
    /// Where those of each query stand in `ranked`: the first, and the one behind the last.
    pub(super) spans: Vec<(usize, usize)>,
}

impl Ranking {
    /// A ranking of no queries.
    pub fn new() -> Ranking {
        Ranking::default()
    }

    /// Appends the passages found for `qid`, best first, with the ranks 1, 2, … The passages
    /// replace those of an earlier call for the same query.
    ///
    /// # Panics
    /// Beyond 2^32 - 2 queries.
    pub fn push(&mut self, qid: &str, found: impl IntoIterator<Item = (u32, f32)>) {
        let start = self.ranked.len();
        let ranked = found
            .into_iter()
            .zip(1..)
            .map(|((pid, score), rank)| Ranked {
                pid,
                rank,
                score: score.into(),
            });
        self.ranked.extend(ranked);
        let span = (start, self.ranked.len());
        match self.qids.number(qid) {
            Ok((_, true)) => self.spans.push(span),
            Ok((number, false)) => self.spans[number] = span,
            Err(too_many) => panic!("more than {} queries", too_many.limit),
        }
    }

    pub fn len(&self) -> usize {
        self.qids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The passages found for the query `qid`.
    pub fn get(&self, qid: &str) -> Option<&[Ranked]> {
        let (start, end) = self.spans[self.qids.find(qid)?];
        Some(&self.ranked[start..end])
    }

    /// The queries and the passages found for each, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[Ranked])> {
        let queries = self.qids.iter().enumerate();
        queries.map(|(number, qid)| {
            let (start, end) = self.spans[number];
            (qid, &self.ranked[start..end])
        })
    }
}

impl PartialEq for Ranking {
    fn eq(&self, other: &Ranking) -> bool {
        self.iter().eq(other.iter())
    }
}
