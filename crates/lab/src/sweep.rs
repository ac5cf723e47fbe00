//! Which shapes of a batch change the bits of a module.
//!
//! Passages of one length are run in batches of every size asked for, and each time the rows are held
//! against the rows that the same passages have in the largest batch. Before the module, every module's
//! output is replaced by what the largest batch had there, so that the inputs are the same in all and the
//! module answers for itself. The largest batch is among those that are run again, and has to agree with itself.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use concord_model::architecture;
use concord_model::tokenizer::WordPieces;
use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_tensor::RowsHash;
use serde::{Deserialize, Serialize};

pub use error::SweepError;

/// A shape, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Passages in the batch.
    pub batch: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Rows of the batch, `batch × tokens`.
    pub rows: usize,
    /// Passages whose rows are those they have in the largest batch.
    pub same: usize,
}

impl Shape {
    /// Whether all rows are those of the largest batch.
    pub fn is_same(&self) -> bool {
        self.same == self.batch
    }
}

/// A module under all shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub subject: String,
    pub module: String,
    /// The batch size that the others are held against.
    pub reference: usize,
    /// The shapes, in the order asked for.
    pub shapes: Vec<Shape>,
}

/// Consecutive numbers of rows that came out alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRange {
    /// The fewest rows.
    pub from: usize,
    /// The most.
    pub to: usize,
    /// Whether their rows are those of the largest batch; `None` where shapes with as many rows disagree,
    /// so that the number of rows alone does not decide.
    pub same: Option<bool>,
}

impl Sweep {
    /// The shapes by their number of rows.
    pub fn ranges(&self) -> Vec<RowRange> {
        let mut by_rows = BTreeMap::<usize, Option<bool>>::new();
        for shape in &self.shapes {
            let same = by_rows.entry(shape.rows).or_insert(Some(shape.is_same()));
            if *same != Some(shape.is_same()) {
                *same = None;
            }
        }
        let mut ranges: Vec<RowRange> = Vec::new();
        for (rows, same) in by_rows {
            match ranges.last_mut() {
                Some(last) if last.same == same => last.to = rows,
                _ => ranges.push(RowRange {
                    from: rows,
                    to: rows,
                    same,
                }),
            }
        }
        ranges
    }
}

/// `count` texts that the tokenizer makes `tokens` tokens of, marker and special tokens included, all
/// different. Their words are pieces of the vocabulary, drawn in a fixed order.
///
/// Returns `None` if the vocabulary has too few whole words, or `tokens` leaves no room for any.
pub fn texts(pieces: &WordPieces, count: usize, tokens: usize) -> Option<Vec<String>> {
    // `[CLS]`, the marker, `[SEP]`.
    let words = tokens.checked_sub(3).filter(|&words| words > 0)?;
    let whole = (0..=pieces.highest_id())
        .filter_map(|id| pieces.token_of(id))
        .filter(|piece| piece.len() > 2 && piece.bytes().all(|byte| byte.is_ascii_lowercase()));
    let vocabulary: Vec<String> = whole.collect();
    if vocabulary.len() < 100 {
        return None;
    }
    // Steps that share no factor with most lengths walk through the whole vocabulary.
    let text = |passage: usize| {
        let word =
            |place: usize| &vocabulary[(passage * 7_919 + place * 104_729) % vocabulary.len()];
        let words: Vec<&str> = (0..words).map(|place| word(place).as_str()).collect();
        words.join(" ")
    };
    Some((0..count).map(text).collect())
}

/// Sweeps `module`, the path of one that computes something itself, over batches of these sizes. The subject's
/// passages all have `tokens` tokens, and there are as many as the largest size. `scratch` is an empty folder.
///
/// # Errors
/// When the subject cannot be run, or the module not be judged.
pub fn sweep(
    runner: &Runner,
    module: &str,
    sizes: &[usize],
    tokens: usize,
    scratch: &Path,
    done: &mut dyn FnMut(&Shape),
) -> Result<Sweep, SweepError> {
    let reference = sizes.iter().copied().max().unwrap_or(0);
    let all: Vec<usize> = (0..reference).collect();
    let capture = |taps: &[&str], values| Capture {
        artifact_values: false,
        taps: taps.iter().map(|path| ModulePattern::new(*path)).collect(),
        tap_values: values,
        passages: None,
    };
    let whole = scratch.join("reference");
    let batch = |number, pids: &[usize]| ProbeBatch {
        number,
        pids: pids.to_vec(),
        pad: None,
    };
    runner.probe(&[batch(0, &all)], None, capture(&["*"], true), &whole)?;
    let run = RecordedRun::open(&whole)?;
    check_module(&run, module)?;
    let expected = hashes(&run, module, 0);
    let forcing = Forcing::new(&run, Vec::new())?;
    let batches: Vec<ProbeBatch> = sizes
        .iter()
        .enumerate()
        .map(|(number, &size)| batch(number, &all[..size]))
        .collect();
    let out = scratch.join("sweep");
    runner.probe(&batches, Some(&forcing), capture(&[module], false), &out)?;
    let run = RecordedRun::open(&out)?;
    let mut shapes = Vec::new();
    for (number, &size) in sizes.iter().enumerate() {
        let found = hashes(&run, module, number);
        let same = |pid: &&usize| found.contains_key(pid) && expected.get(pid) == found.get(pid);
        let shape = Shape {
            batch: size,
            tokens,
            rows: size * tokens,
            same: all[..size].iter().filter(same).count(),
        };
        if size == reference && !shape.is_same() {
            return Err(SweepError::Unsteady {
                module: module.to_owned(),
                batch: size,
                same: shape.same,
            });
        }
        done(&shape);
        shapes.push(shape);
    }
    Ok(Sweep {
        subject: runner.specification(),
        module: module.to_owned(),
        reference,
        shapes,
    })
}

/// Refuses what names no module, or none that answers for itself; `run` tapped all that there are.
fn check_module(run: &RecordedRun, module: &str) -> Result<(), SweepError> {
    let paths = run.taps().iter().map(|tap| tap.tap.as_str());
    let architecture = architecture::of_paths(paths.clone());
    if module.contains('*') {
        let pattern = ModulePattern::new(module);
        let tapped: BTreeSet<&str> = paths.collect();
        let matching = architecture.computing().map(|module| module.path.as_str());
        let matching = matching.filter(|path| tapped.contains(path) && pattern.covers(path));
        return Err(SweepError::Pattern {
            pattern: module.to_owned(),
            matching: matching.map(str::to_owned).collect(),
        });
    }
    match architecture.module(module) {
        Some(found) if found.hands_on() => Err(SweepError::HandsOn {
            module: module.to_owned(),
            computes: found.reads.first().cloned().unwrap_or_default(),
        }),
        _ => Ok(()),
    }
}

/// The hashes that a module's rows have in a batch, by passage; several where it is called several times.
fn hashes(run: &RecordedRun, module: &str, batch: usize) -> BTreeMap<usize, Vec<RowsHash>> {
    let mut found = BTreeMap::<usize, Vec<RowsHash>>::new();
    let taps = run.taps().iter();
    for tap in taps.filter(|tap| tap.tap == module && tap.batch == batch) {
        for rows in &tap.passages {
            found.entry(rows.pid).or_default().push(rows.hash);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(batch: usize, tokens: usize, same: bool) -> Shape {
        Shape {
            batch,
            tokens,
            rows: batch * tokens,
            same: if same { batch } else { 0 },
        }
    }

    #[test]
    fn shapes_are_gathered_into_ranges_of_rows() {
        let sweep = Sweep {
            subject: "native".into(),
            module: "linear".into(),
            reference: 4,
            shapes: vec![
                shape(1, 10, false),
                shape(2, 10, false),
                shape(1, 20, true),
                shape(3, 10, true),
                shape(4, 10, true),
            ],
        };
        let range = |from, to, same| RowRange { from, to, same };
        assert_eq!(
            sweep.ranges(),
            [
                range(10, 10, Some(false)),
                range(20, 20, None),
                range(30, 40, Some(true)),
            ]
        );
    }
}
