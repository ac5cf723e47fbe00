//! Where the embeddings of passages lie in the files.

use std::ops::Range;

/// Rows that lie at places of their own, in runs that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Of each run its first row, and the rows that it is in the files.
    runs: Vec<(usize, Range<usize>)>,
}

impl Places {
    /// So many rows as they are.
    pub(super) fn in_order(rows: usize) -> Places {
        let mut places = Places::default();
        places.push(0..rows);
        places
    }

    /// Puts rows of the files behind those that are there.
    pub(super) fn push(&mut self, rows: Range<usize>) {
        let last = self.runs.last_mut();
        let end = last.as_ref().map_or(0, |(first, run)| first + run.len());
        match last {
            _ if rows.is_empty() => {}
            Some((_, run)) if run.end == rows.start => run.end = rows.end,
            _ => self.runs.push((end, rows)),
        }
    }

    /// The rows of the files that some rows are, run after run.
    pub(super) fn of(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let begin = self
            .runs
            .partition_point(|(first, run)| first + run.len() <= rows.start);
        let (start, end) = (rows.start, rows.end);
        let runs = self.runs[begin..]
            .iter()
            .take_while(move |(first, _)| *first < end);
        runs.map(move |(first, run)| {
            let from = run.start + (start.max(*first) - first);
            let to = run.start + (end.min(first + run.len()) - first);
            from..to
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_they_were_put() {
        let mut places = Places::default();
        for rows in [4..6, 6..9, 0..0, 1..2, 9..12] {
            places.push(rows);
        }
        let all = [4, 5, 6, 7, 8, 1, 9, 10, 11];
        for start in 0..=all.len() {
            for end in start..=all.len() {
                let found: Vec<usize> = places.of(start..end).flatten().collect();
                assert_eq!(found, all[start..end]);
            }
        }
        assert_eq!(places.of(2..8).collect::<Vec<_>>(), [6..9, 1..2, 9..11]);
    }
}
