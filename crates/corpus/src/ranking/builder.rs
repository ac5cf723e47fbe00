//! A ranking while it is read.

use std::io::BufRead;

use super::ranked::{Ranked, Ranking};
use crate::error::{CorpusError, LineProblem};
use crate::lines::Lines;

/// A ranking while it is read, and the line that each entry came from.
#[derive(Default)]
pub(super) struct Builder {
    ranking: Ranking,
    /// Parallel to the entries of each query.
    lines: Vec<Vec<u64>>,
    line: u64,
}

impl Builder {
    /// The ranking that `parse_line` makes of all lines.
    pub(super) fn read<R: BufRead>(
        mut lines: Lines<R>,
        parse_line: impl Fn(&str, &mut Builder) -> Result<(), LineProblem>,
    ) -> Result<Ranking, CorpusError> {
        let mut builder = Builder::default();
        while let Some(line) = lines.next()? {
            builder.line += 1;
            let parsed = parse_line(line, &mut builder);
            parsed.map_err(|problem| lines.error(problem))?;
        }
        match builder.first_repetition() {
            None => Ok(builder.ranking),
            Some((line, problem)) => Err(problem.at(lines.file(), line)),
        }
    }

    /// Makes `qid` one of the queries, if it is not yet.
    pub(super) fn add_query(&mut self, qid: &str) -> usize {
        let place = self.ranking.place(qid);
        if place == self.lines.len() {
            self.lines.push(Vec::new());
        }
        place
    }

    /// Appends an entry of the line being parsed.
    pub(super) fn push(&mut self, qid: &str, ranked: Ranked) {
        let place = self.add_query(qid);
        self.ranking.queries[place].1.push(ranked);
        self.lines[place].push(self.line);
    }

    /// Of all passages that one query has twice, the one whose second line comes first.
    ///
    /// Sought when all is read: a set of all pairs met so far would outweigh the ranking.
    fn first_repetition(&self) -> Option<(u64, LineProblem)> {
        let queries = self.ranking.queries.iter().zip(&self.lines);
        let repetitions = queries.flat_map(|((qid, found), lines)| {
            let mut order: Vec<usize> = (0..found.len()).collect();
            // Stable: of equal pids the earlier entry stays first.
            order.sort_by_key(|&entry| found[entry].pid);
            let pairs = order.windows(2).filter_map(|pair| {
                let [first, second] = [pair[0], pair[1]];
                let equal = found[first].pid == found[second].pid;
                equal.then(|| (lines[second], lines[first], found[first].pid))
            });
            let earliest = pairs.min();
            earliest.map(|(line, first_line, pid)| (line, first_line, pid, qid))
        });
        let (line, first_line, pid, qid) = repetitions.min()?;
        let problem = LineProblem::RankedTwice {
            qid: qid.clone(),
            pid,
            first_line,
        };
        Some((line, problem))
    }
}
