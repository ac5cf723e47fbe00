//! A ranking while it is read.

use std::io::BufRead;

use super::ranked::{Ranked, Ranking};
use crate::error::{CorpusError, LineProblem};
use crate::ids::check_id;
use crate::lines::Lines;
use crate::names::{Names, TooManyNames};

/// A ranking while it is read: entry by entry, in the order of the file, where queries may be interleaved.
#[derive(Default)]
pub(super) struct Builder {
    qids: Names,
    ranked: Vec<Ranked>,
    /// The number of each entry's query, and the line that it came from.
    places: Vec<(u32, u32)>,
    line: u32,
}

impl Builder {
    /// The ranking that `parse_line` makes of all lines.
    pub(super) fn read<R: BufRead>(
        mut lines: Lines<R>,
        parse_line: impl Fn(&str, &mut Builder) -> Result<(), LineProblem>,
    ) -> Result<Ranking, CorpusError> {
        let mut builder = Builder::default();
        while let Some(line) = lines.next()? {
            let parsed = builder.count_line();
            let parsed = parsed.and_then(|()| parse_line(line, &mut builder));
            parsed.map_err(|problem| lines.error(problem))?;
        }
        builder.finish(lines.file())
    }

    fn count_line(&mut self) -> Result<(), LineProblem> {
        let limit = u64::from(u32::MAX);
        let next = self.line.checked_add(1);
        self.line = next.ok_or(LineProblem::TooManyLines { limit })?;
        Ok(())
    }

    /// Makes `qid` one of the queries, if it is not yet.
    pub(super) fn add_query(&mut self, qid: &str) -> Result<u32, LineProblem> {
        check_id("the query id", qid)?;
        let number = self.qids.number(qid);
        let (number, _) =
            number.map_err(|TooManyNames { limit }| LineProblem::TooManyLines { limit })?;
        Ok(number as u32)
    }

    /// Appends an entry of the line being parsed to the query of that number.
    pub(super) fn push(&mut self, query: u32, ranked: Ranked) {
        self.ranked.push(ranked);
        self.places.push((query, self.line));
    }

    fn finish(self, name: &str) -> Result<Ranking, CorpusError> {
        let Builder {
            qids,
            ranked,
            places,
            ..
        } = self;
        if let Some((line, problem)) = first_repetition(&qids, &ranked, &places) {
            return Err(problem.at(name, line));
        }
        let mut spans = vec![(0, 0); qids.len()];
        for &(query, _) in &places {
            spans[query as usize].1 += 1;
        }
        let mut start = 0;
        for span in &mut spans {
            *span = (start, start + span.1);
            start = span.1;
        }
        let is_grouped = places.is_sorted_by_key(|&(query, _)| query);
        let ranked = match is_grouped {
            true => ranked,
            false => {
                let mut next: Vec<usize> = spans.iter().map(|span| span.0).collect();
                let mut grouped = ranked.clone();
                for (entry, (query, _)) in ranked.into_iter().zip(places) {
                    let place = &mut next[query as usize];
                    grouped[*place] = entry;
                    *place += 1;
                }
                grouped
            }
        };
        Ok(Ranking {
            qids,
            ranked,
            spans,
        })
    }
}

/// Of all passages that one query has twice, the one whose second entry comes first.
///
/// Sought when all is read: a set of all pairs met so far would outweigh the ranking.
fn first_repetition(
    qids: &Names,
    ranked: &[Ranked],
    places: &[(u32, u32)],
) -> Option<(u64, LineProblem)> {
    let pair = |entry: usize| (places[entry].0, ranked[entry].pid);
    let mut order: Vec<usize> = (0..ranked.len()).collect();
    // Entries are distinct, so that no order is left open: of equal pairs the earlier entry comes first.
    order.sort_unstable_by_key(|&entry| (pair(entry), entry));
    let repetitions = order.windows(2).filter_map(|two| {
        let [first, second] = [two[0], two[1]];
        (pair(first) == pair(second)).then_some((second, first))
    });
    let (second, first) = repetitions.min()?;
    let (query, line) = places[second];
    let problem = LineProblem::RankedTwice {
        qid: qids.get(query as usize).unwrap_or_default().to_owned(),
        pid: ranked[second].pid,
        first_line: places[first].1.into(),
    };
    Some((line.into(), problem))
}
