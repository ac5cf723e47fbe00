//! Which shapes of a batch change the bits of a module.
//!
//! Passages of one length are run in batches of every size asked for, and each time the rows are held
//! against the rows that the same passages have in the largest batch. What the module reads of others is
//! replaced by what the largest batch had there, so that its inputs are the same in all and it answers for
//! itself. What is inside a module is part of it and is not replaced: a layer is run as a whole, and comes out
//! other where something inside it does, unless what follows there rounds the difference away; it is told
//! where inside it the difference begins. The largest batch is run twice side by side with the others, and has
//! to agree with itself.

mod error;
mod extent;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_tensor::RowsHash;
use serde::{Deserialize, Serialize};

pub use error::SweepError;
pub use extent::Extent;
pub use texts::texts;

use extent::Swept;

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
    /// The first of the modules inside at which rows are not those of the largest batch, in the order of
    /// computation: all that it read was the same, so it departs by itself. There also where what follows
    /// rounds the difference away before it is out.
    pub begins_at: Option<String>,
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
    /// The modules whose outputs it reads, which were the same for all shapes; none where it reads tokens
    /// alone.
    pub held: Vec<String>,
    /// The modules that computed for it: itself, or those inside it, in order.
    pub computing: Vec<String>,
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

/// Sweeps the module at the path `module` over batches of these sizes. The subject's passages all have `tokens`
/// tokens, and there are as many as the largest size. `scratch` is an empty folder.
///
/// # Errors
/// When the subject cannot be run, or the module not be judged.
pub fn sweep(
    runner: &Runner,
    module: &str,
    extent: Extent,
    sizes: &[usize],
    tokens: usize,
    scratch: &Path,
) -> Result<Sweep, SweepError> {
    let swept = Swept::of(runner, module, extent)?;
    let reference = sizes.iter().copied().max().unwrap_or(0);
    let all: Vec<usize> = (0..reference).collect();
    let batch = |number, size: usize| ProbeBatch {
        number,
        pids: all[..size].to_vec(),
        pad: None,
    };
    let given = match swept.held.is_empty() {
        true => None,
        false => {
            let folder = scratch.join("given");
            let held = capture(&swept.held, true);
            runner.probe(&[batch(0, reference)], None, held, &folder)?;
            Some(RecordedRun::open(&folder)?)
        }
    };
    let held = swept.held.iter().map(ModulePattern::new).collect();
    let forcing = given.as_ref().map(|run| Forcing::new(run, held));
    let forcing = forcing.transpose()?;
    // Once more what the others are held against.
    let last = sizes.len();
    let sizes_run = sizes.iter().copied().chain([reference]);
    let batches: Vec<ProbeBatch> = sizes_run
        .enumerate()
        .map(|(number, size)| batch(number, size))
        .collect();
    let out = scratch.join("sweep");
    let taps = capture(&[module.to_owned()], false);
    runner.probe(&batches, forcing.as_ref(), taps, &out)?;
    let run = RecordedRun::open(&out)?;
    let expected = hashes(&run, module, last);
    let inside: Vec<(&String, Hashes)> = swept
        .computing
        .iter()
        .map(|path| (path, hashes(&run, path, last)))
        .collect();
    let mut shapes = Vec::new();
    for (number, &size) in sizes.iter().enumerate() {
        let same = same_passages(&expected, &hashes(&run, module, number), size);
        let departs = |(path, expected): &&(&String, Hashes)| {
            same_passages(expected, &hashes(&run, path, number), size) < size
        };
        let shape = Shape {
            batch: size,
            tokens,
            rows: size * tokens,
            same,
            begins_at: inside.iter().find(departs).map(|(path, _)| (*path).clone()),
        };
        if size == reference && (!shape.is_same() || shape.begins_at.is_some()) {
            return Err(SweepError::Unsteady {
                module: shape.begins_at.unwrap_or_else(|| module.to_owned()),
                batch: size,
            });
        }
        shapes.push(shape);
    }
    Ok(Sweep {
        subject: runner.specification(),
        module: module.to_owned(),
        held: swept.held,
        computing: swept.computing,
        reference,
        shapes,
    })
}

/// Taps there and inside.
fn capture(paths: &[String], values: bool) -> Capture {
    Capture {
        artifact_values: false,
        taps: paths.iter().map(ModulePattern::new).collect(),
        tap_values: values,
        passages: None,
        ..Capture::default()
    }
}

/// The hashes of a module's rows, by passage; several where it is called several times.
type Hashes = BTreeMap<usize, Vec<RowsHash>>;

/// The hashes that a module's rows have in a batch.
fn hashes(run: &RecordedRun, module: &str, batch: usize) -> Hashes {
    let mut found = Hashes::new();
    let taps = run.taps().iter();
    for tap in taps.filter(|tap| tap.tap == module && tap.batch == batch) {
        for rows in &tap.passages {
            found.entry(rows.pid).or_default().push(rows.hash);
        }
    }
    found
}

/// How many of the first `size` passages have the rows that are expected.
fn same_passages(expected: &Hashes, found: &Hashes, size: usize) -> usize {
    let same = |pid: &usize| found.contains_key(pid) && expected.get(pid) == found.get(pid);
    (0..size).filter(same).count()
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
            begins_at: None,
        }
    }

    #[test]
    fn shapes_are_gathered_into_ranges_of_rows() {
        let sweep = Sweep {
            subject: "native".into(),
            module: "linear".into(),
            held: Vec::new(),
            computing: vec!["linear".into()],
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
