//! Whether the shapes of batches are a cause, and what of them.
//!
//! Where the two sides put passages into other batches, a module may differ because of its code or because of
//! the shape that it was called with. Three more probes on the first side's values tell them apart: the first
//! side in the second side's batches (nothing but the shape differs), the second side in the first side's
//! (nothing but the code does), and the first side with one of the two dimensions of a batch changed alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use concord_model::architecture::Operation;
use concord_pipeline::RecordedRun;
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use super::batches::Batch;
use super::error::ExplainError;
use super::outputs::Outputs;
use super::probes::{Given, Probes};

/// The batches in which both sides had one passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapePair {
    pub pid: usize,
    pub a: BatchShape,
    pub b: BatchShape,
}

/// The shape of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchShape {
    pub passages: usize,
    /// The tokens that each is padded to; the longest passage's where nothing is padded.
    pub tokens: usize,
    /// The rows that linear layers multiply.
    pub rows: usize,
}

/// What of a batch's shape decides what a module computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The rows of the batch: its passages times its padded length, all that a linear layer sees of it.
    Rows,
    /// The padded length, the passages being as many.
    PaddedLength,
    /// The number of passages, the padded length being the same.
    Passages,
    /// One of the two or both: they could not be changed one at a time.
    Either,
    /// The place of the passage among the rows, the batch being as large.
    Place,
}

/// What the probes of shapes gave.
pub(super) struct Shaped {
    /// The passages for which the first side's module differs from itself in the second side's batches.
    pub in_b_batches: BTreeMap<String, BTreeSet<usize>>,
    /// The passages for which the second side's module differs from the first's in the first's batches.
    pub in_a_batches: BTreeMap<String, BTreeSet<usize>>,
    /// The dimension that was changed alone, and the passages for which the first side then differs from itself.
    alone: Option<(Dimension, BTreeMap<String, BTreeSet<usize>>)>,
}

/// Runs the probes. `own` is the first side's own run over `batches_a`, whose values every module is given.
pub(super) fn probe(
    probes: &Probes<'_>,
    [a, b]: [&Runner; 2],
    own: &Path,
    [batches_a, batches_b]: [&[ProbeBatch]; 2],
) -> Result<Shaped, ExplainError> {
    let given = Some(Given {
        of: own,
        modules: &[],
    });
    let in_b = probes.probe(a, "a-in-batches-of-b", batches_b, given, &["*"])?;
    let in_a = probes.probe(b, "b-in-batches-of-a", batches_a, given, &["*"])?;
    let in_b_batches = differing(own, &in_b)?;
    let alone = match (in_b_batches.is_empty(), one_dimension(batches_a, batches_b)) {
        (false, Some((dimension, batches))) => {
            let name = "a-with-one-dimension-of-b";
            let run = probes.probe(a, name, &batches, given, &["*"])?;
            Some((dimension, differing(own, &run)?))
        }
        _ => None,
    };
    Ok(Shaped {
        in_b_batches,
        in_a_batches: differing(own, &in_a)?,
        alone,
    })
}

impl Shaped {
    /// What of the shape decides at a module that differs by it, for a passage that had these batches.
    pub(super) fn dimension(
        &self,
        module: &str,
        operation: Operation,
        shapes: ShapePair,
    ) -> Dimension {
        if shapes.a == shapes.b {
            return Dimension::Place;
        }
        if operation == Operation::Linear {
            // It sees no more of a batch than its rows.
            return match shapes.a.rows == shapes.b.rows {
                true => Dimension::Place,
                false => Dimension::Rows,
            };
        }
        match &self.alone {
            Some((dimension, differing)) if differing.contains_key(module) => *dimension,
            // That dimension alone changes nothing and both do, so from there on the other one alone does.
            Some((Dimension::PaddedLength, _)) => Dimension::Passages,
            Some((Dimension::Passages, _)) => Dimension::PaddedLength,
            _ => Dimension::Either,
        }
    }
}

/// The batches of the side with the shorter padding, padded as the other's: of the two dimensions of a batch
/// that changes one. `None` where the batches that hold a passage are padded alike, or not all in one direction.
fn one_dimension(a: &[ProbeBatch], b: &[ProbeBatch]) -> Option<(Dimension, Vec<ProbeBatch>)> {
    let padding = |batches: &[ProbeBatch], pid: usize| {
        let mut batches = batches.iter();
        batches.find(|batch| batch.pids.contains(&pid))?.pad
    };
    let padded = |from: &[ProbeBatch], to: &[ProbeBatch]| -> Option<Vec<ProbeBatch>> {
        let batches = from.iter().map(|batch| {
            let pads = batch.pids.iter().filter_map(|&pid| padding(to, pid));
            let pad = pads.max().filter(|&pad| Some(pad) >= batch.pad)?;
            Some(ProbeBatch {
                pad: Some(pad),
                ..batch.clone()
            })
        });
        batches.collect()
    };
    let longer = |from: &[ProbeBatch], to: &[ProbeBatch]| {
        let batches = padded(from, to)?;
        (batches != from).then_some(batches)
    };
    longer(a, b)
        .map(|batches| (Dimension::PaddedLength, batches))
        .or_else(|| Some((Dimension::Passages, padded(b, a)?)))
}

fn differing(own: &Path, other: &Path) -> Result<BTreeMap<String, BTreeSet<usize>>, ExplainError> {
    let (own, other) = (RecordedRun::open(own)?, RecordedRun::open(other)?);
    let (own, other) = (Outputs::of(&own), Outputs::of(&other));
    let found = own
        .paths()
        .map(|path| (path.to_owned(), own.differing(&other, path)));
    Ok(found.filter(|(_, pids)| !pids.is_empty()).collect())
}

/// The shapes of the batches that both sides had a passage in.
pub(super) fn pair(pid: usize, a: &[Batch], b: &[Batch]) -> Option<ShapePair> {
    let shape = |batches: &[Batch]| {
        let batch = batches.iter().find(|batch| batch.pids.contains(&pid))?;
        Some(BatchShape {
            passages: batch.pids.len(),
            tokens: batch.padded,
            rows: batch.rows,
        })
    };
    Some(ShapePair {
        pid,
        a: shape(a)?,
        b: shape(b)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(pids: &[usize], pad: usize) -> ProbeBatch {
        ProbeBatch {
            number: 0,
            pids: pids.to_vec(),
            pad: Some(pad),
        }
    }

    #[test]
    fn the_shorter_padding_is_lengthened_and_nothing_else_is_changed() {
        let a = [batch(&[0, 1], 5), batch(&[2, 3], 9)];
        let b = [batch(&[0, 1, 2, 3], 9)];
        let (dimension, changed) = one_dimension(&a, &b).unwrap();
        assert_eq!(dimension, Dimension::PaddedLength);
        assert_eq!(changed, [batch(&[0, 1], 9), batch(&[2, 3], 9)]);
        // The other way round it is the second side's batches that have the first side's padding.
        let (dimension, changed) = one_dimension(&b, &[batch(&[0, 1], 5)]).unwrap();
        assert_eq!(dimension, Dimension::Passages);
        assert_eq!(changed, [batch(&[0, 1], 9)]);
    }

    #[test]
    fn of_batches_that_are_padded_alike_the_number_of_passages_is_what_differs() {
        let (a, b) = ([batch(&[0], 7)], [batch(&[0, 1], 7)]);
        let (dimension, changed) = one_dimension(&a, &b).unwrap();
        assert_eq!(dimension, Dimension::Passages);
        assert_eq!(changed, b);
    }

    #[test]
    fn paddings_that_cannot_be_lengthened_one_way_are_left_alone() {
        let a = [batch(&[0], 5), batch(&[1], 9)];
        let b = [batch(&[0], 7), batch(&[1], 7)];
        assert_eq!(one_dimension(&a, &b), None);
    }

    #[test]
    fn a_linear_layer_sees_of_a_batch_its_rows_alone() {
        let shape = |passages, tokens| BatchShape {
            passages,
            tokens,
            rows: passages * tokens,
        };
        let pair = |a, b| ShapePair { pid: 0, a, b };
        let alone = BTreeMap::from([("m".to_owned(), BTreeSet::from([0]))]);
        let shaped = Shaped {
            in_b_batches: alone.clone(),
            in_a_batches: BTreeMap::new(),
            alone: Some((Dimension::PaddedLength, alone)),
        };
        let of = |module, operation, pair| shaped.dimension(module, operation, pair);
        let other = pair(shape(8, 13), shape(32, 13));
        assert_eq!(of("m", Operation::Linear, other), Dimension::Rows);
        assert_eq!(
            of("m", Operation::Attention, other),
            Dimension::PaddedLength
        );
        assert_eq!(of("n", Operation::Attention, other), Dimension::Passages);
        let same_rows = pair(shape(8, 12), shape(32, 3));
        assert_eq!(of("m", Operation::Linear, same_rows), Dimension::Place);
        let same = pair(shape(8, 13), shape(8, 13));
        assert_eq!(of("m", Operation::Attention, same), Dimension::Place);
    }
}
