//! To which passage a row of an artifact belongs.

use std::cell::OnceCell;

use concord_pipeline::artifact::{BATCHES, CODES, D, DOCLENS, EMBS, RESIDUALS, TENSORIZE_OUTPUT};
use concord_tensor::DType;

use super::report::Spot;
use crate::elements::{Elements, ElementsError, PIECE};
use crate::side::{Field, Side};

/// The lengths of passages, read from whichever side has them when a row is first asked for.
pub(super) struct Passages<'a> {
    sides: [&'a Side; 2],
    kept: OnceCell<Option<Ends>>,
    tokenized: OnceCell<Option<Ends>>,
}

/// For each passage, the row behind its last one.
struct Ends(Vec<usize>);

/// What the rows of a tensor are.
#[derive(Clone, Copy)]
enum Rows {
    /// One for each passage.
    Passages,
    /// One for each token that is kept, counted by `doclens`.
    Kept,
    /// One for each token, counted by the lengths of `tensorize_output`.
    Tokens,
}

impl Rows {
    fn of(artifact: &str, field: &str) -> Option<Rows> {
        match (artifact, field) {
            (DOCLENS, _) | (TENSORIZE_OUTPUT, "lengths") => Some(Rows::Passages),
            (D | EMBS | CODES | RESIDUALS, _) => Some(Rows::Kept),
            (BATCHES, _) | (TENSORIZE_OUTPUT, "ids") => Some(Rows::Tokens),
            _ => None,
        }
    }
}

impl<'a> Passages<'a> {
    pub(super) fn new(a: &'a Side, b: &'a Side) -> Passages<'a> {
        Passages {
            sides: [a, b],
            kept: OnceCell::new(),
            tokenized: OnceCell::new(),
        }
    }

    /// Gives the passage of a row in a tensor of that many rows; `None` for rows that belong to no
    /// passage, and where no side's passages make up as many rows.
    pub(super) fn spot(
        &self,
        artifact: &str,
        field: &str,
        rows: usize,
    ) -> impl Fn(usize) -> Option<Spot> {
        let kind = Rows::of(artifact, field);
        move |row| match kind? {
            Rows::Passages => Some(Spot { pid: row, token: 0 }),
            Rows::Kept => self
                .kept
                .get_or_init(|| self.ends(DOCLENS, ""))
                .as_ref()?
                .spot(row, rows),
            Rows::Tokens => {
                let ends = || self.ends(TENSORIZE_OUTPUT, "lengths");
                self.tokenized.get_or_init(ends).as_ref()?.spot(row, rows)
            }
        }
    }

    fn ends(&self, artifact: &str, field: &str) -> Option<Ends> {
        self.sides.iter().find_map(|side| {
            // Lengths that cannot be read have their own row in the report, which says so; here they
            // are only a help to the reader.
            let known = side.artifact(artifact).ok()??;
            let field = known.fields.into_iter().find(|known| known.name == field)?;
            read_ends(&field).ok()?
        })
    }
}

fn read_ends(lengths: &Field<'_>) -> Result<Option<Ends>, ElementsError> {
    let Some((_, parts)) = lengths.parts()? else {
        return Ok(None);
    };
    let mut elements = Elements::new(parts);
    let (mut ends, mut end) = (Vec::new(), 0usize);
    loop {
        let count = elements.available()?.min(PIECE / DType::I64.size());
        if count == 0 {
            return Ok(Some(Ends(ends)));
        }
        for &length in elements.take(count)?.cast(DType::I64)?.as_slice::<i64>()? {
            let Some(next) = usize::try_from(length)
                .ok()
                .and_then(|n| end.checked_add(n))
            else {
                return Ok(None);
            };
            end = next;
            ends.push(end);
        }
    }
}

impl Ends {
    fn spot(&self, row: usize, rows: usize) -> Option<Spot> {
        if self.0.last() != Some(&rows) {
            return None;
        }
        let pid = self.0.partition_point(|&end| end <= row);
        let first = pid.checked_sub(1).map_or(0, |before| self.0[before]);
        (pid < self.0.len()).then(|| Spot {
            pid,
            token: row - first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_their_passage_and_empty_passages_have_none() {
        let ends = Ends(vec![2, 2, 5]);
        let spots: Vec<_> = (0..5).map(|row| ends.spot(row, 5).unwrap()).collect();
        let expected = [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)];
        assert_eq!(spots, expected.map(|(pid, token)| Spot { pid, token }));
    }

    #[test]
    fn passages_that_make_up_another_number_of_rows_tell_nothing() {
        assert_eq!(Ends(vec![2, 5]).spot(0, 6), None);
    }
}
