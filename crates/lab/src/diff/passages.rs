//! To which passage a row of an artifact belongs.

use concord_pipeline::artifact::{BATCHES, CODES, D, DOCLENS, EMBS, RESIDUALS, TENSORIZE_OUTPUT};
use concord_tensor::DType;

use super::error::DiffError;
use super::report::Spot;
use crate::elements::{Elements, ElementsError, PIECE};
use crate::side::{Field, Side};

/// The lengths of passages, read from whichever side has them when they are first asked for.
pub(super) struct Passages<'a> {
    sides: [&'a Side; 2],
    kept: Option<Ends>,
    tokenized: Option<Ends>,
}

/// For each passage, the row behind its last one; empty where no side tells.
#[derive(Default)]
struct Ends(Vec<usize>);

/// To which passages the rows of a tensor belong.
pub(super) enum Lengths<'p> {
    /// To none, or it is not known to which.
    Unknown,
    /// Each to its own.
    One,
    /// To passages that end there.
    Ends(&'p [usize]),
}

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
            kept: None,
            tokenized: None,
        }
    }

    /// The passages to which the rows of a field belong, where they make up as many rows.
    ///
    /// # Errors
    /// When their lengths are there and cannot be read.
    pub(super) fn that_make_up(
        &mut self,
        artifact: &str,
        field: &str,
        rows: usize,
    ) -> Result<Lengths<'_>, DiffError> {
        let ((artifact, field), known) = match Rows::of(artifact, field) {
            None => return Ok(Lengths::Unknown),
            Some(Rows::Passages) => return Ok(Lengths::One),
            Some(Rows::Kept) => ((DOCLENS, ""), &mut self.kept),
            Some(Rows::Tokens) => ((TENSORIZE_OUTPUT, "lengths"), &mut self.tokenized),
        };
        let ends = match known {
            Some(ends) => ends,
            None => known.insert(read_from(self.sides, artifact, field)?),
        };
        Ok(match ends.0.last() {
            Some(&last) if last == rows => Lengths::Ends(&ends.0),
            _ => Lengths::Unknown,
        })
    }
}

impl Lengths<'_> {
    /// The passage of a row.
    pub(super) fn spot(&self, row: usize) -> Option<Spot> {
        match self {
            Lengths::Unknown => None,
            Lengths::One => Some(Spot { pid: row, token: 0 }),
            Lengths::Ends(ends) => {
                let pid = ends.partition_point(|&end| end <= row);
                let first = pid.checked_sub(1).map_or(0, |before| ends[before]);
                let token = row - first;
                (pid < ends.len()).then_some(Spot { pid, token })
            }
        }
    }
}

/// Lengths as the first side has them whose values are at hand.
fn read_from(sides: [&Side; 2], artifact: &str, field: &str) -> Result<Ends, DiffError> {
    for side in sides {
        let known = side.artifact(artifact)?;
        let mut fields = known.into_iter().flat_map(|known| known.fields);
        let Some(lengths) = fields.find(|known| known.name == field) else {
            continue;
        };
        let ends = read_ends(&lengths).map_err(|source| DiffError::Elements {
            name: artifact.to_owned(),
            source,
        })?;
        if let Some(ends) = ends {
            return Ok(ends);
        }
    }
    Ok(Ends::default())
}

/// The sums of lengths; `None` where they are not at hand, or are not lengths.
fn read_ends(lengths: &Field<'_>) -> Result<Option<Ends>, ElementsError> {
    let Some((_, parts)) = lengths.parts()? else {
        return Ok(None);
    };
    let mut elements = Elements::new(parts);
    let (mut ends, mut end) = (Vec::new(), 0usize);
    while let Some(piece) = elements.next(PIECE / DType::I64.size())? {
        for &length in piece.cast(DType::I64)?.as_slice::<i64>()? {
            let length = usize::try_from(length).ok();
            let Some(next) = length.and_then(|length| end.checked_add(length)) else {
                return Ok(None);
            };
            end = next;
            ends.push(end);
        }
    }
    Ok(Some(Ends(ends)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_their_passage_and_empty_passages_have_none() {
        let lengths = Lengths::Ends(&[2, 2, 5]);
        let spots: Vec<_> = (0..5).map(|row| lengths.spot(row).unwrap()).collect();
        let expected = [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)];
        assert_eq!(spots, expected.map(|(pid, token)| Spot { pid, token }));
        assert_eq!(lengths.spot(5), None);
    }
}
