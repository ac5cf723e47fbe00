//! Running the encoders of both sides over chosen batches, and what was computed there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use concord_model::architecture::head::NORMALIZE;
use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_subject::specification::Pad;
use concord_tensor::Durability;

use super::batches::{Batch, longest_of_list};
use super::error::ExplainError;
use super::outputs::Outputs;
use crate::diff::{DiffOptions, DiffReport, DiffRow, diff};
use crate::side::Side;

/// Where probes are recorded, and of which passages they keep the values of taps.
pub(super) struct Probes<'a> {
    /// An empty folder.
    pub scratch: &'a Path,
    pub pids: &'a BTreeSet<usize>,
    /// Whether a subject that embeds a passage alike in every batch is given these passages without the others of
    /// their batches.
    alone: Cell<bool>,
}

/// What a probe's modules are given instead of what they computed.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// The run whose values they are given.
    pub of: &'a Path,
    /// The modules; none stands for all that the run has values for.
    pub modules: &'a [&'a str],
}

impl<'a> Probes<'a> {
    /// Probes of these passages. Without the others of their batches only if nothing is asked about batches, which is
    /// for the caller to say; [`Probes::own`] measures whether it makes a difference.
    pub(super) fn new(scratch: &'a Path, pids: &'a BTreeSet<usize>, alone: bool) -> Probes<'a> {
        let alone = Cell::new(alone);
        Probes {
            scratch,
            pids,
            alone,
        }
    }

    /// Runs a subject by itself over batches of `recorded`, its run, as [`Probes::probe`] does.
    ///
    /// That the other passages of a batch have no part in what a passage gets is the subject's promise. Where these
    /// passages by themselves do not get what they got in the recorded run, it is not kept, and from then on all
    /// subjects are given whole batches.
    pub(super) fn own(
        &self,
        runner: &Runner,
        recorded: &RecordedRun,
        name: &str,
        batches: &[ProbeBatch],
        taps: &[&str],
    ) -> Result<PathBuf, ExplainError> {
        let own = self.probe(runner, name, batches, None, taps)?;
        if !self.runs_alone(runner) || gives_again(recorded, &RecordedRun::open(&own)?, self.pids) {
            return Ok(own);
        }
        self.alone.set(false);
        let name = format!("{name}-in-whole-batches");
        self.probe(runner, &name, batches, None, taps)
    }

    fn runs_alone(&self, runner: &Runner) -> bool {
        self.alone.get() && runner.is_batch_invariant()
    }

    /// Runs a subject over some batches and records these taps, under a name that no other probe has.
    pub(super) fn probe(
        &self,
        runner: &Runner,
        name: &str,
        batches: &[ProbeBatch],
        given: Option<Given<'_>>,
        taps: &[&str],
    ) -> Result<PathBuf, ExplainError> {
        let capture = Capture {
            artifact_values: false,
            taps: patterns(taps),
            tap_values: true,
            passages: Some(self.pids.clone()),
            durability: Durability::Scratch,
        };
        match self.runs_alone(runner) {
            true => self.run(runner, name, &alone(batches, self.pids), given, capture),
            false => self.run(runner, name, batches, given, capture),
        }
    }

    /// The same over batches that are whole in any case, of which only the hashes of `pids` are kept. A passage may be
    /// in several batches.
    pub(super) fn hashes(
        &self,
        runner: &Runner,
        name: &str,
        batches: &[ProbeBatch],
        given: Given<'_>,
        taps: &[&str],
        pids: &BTreeSet<usize>,
    ) -> Result<PathBuf, ExplainError> {
        let capture = Capture {
            artifact_values: false,
            taps: patterns(taps),
            tap_values: false,
            passages: Some(pids.clone()),
            durability: Durability::Scratch,
        };
        self.run(runner, name, batches, Some(given), capture)
    }

    fn run(
        &self,
        runner: &Runner,
        name: &str,
        batches: &[ProbeBatch],
        given: Option<Given<'_>>,
        capture: Capture,
    ) -> Result<PathBuf, ExplainError> {
        let out = self.scratch.join(name);
        let run = given.map(|given| RecordedRun::open(given.of)).transpose()?;
        let forcing = match (&run, given) {
            (Some(run), Some(given)) => Some(Forcing::new(run, patterns(given.modules))?),
            _ => None,
        };
        runner.probe(batches, forcing.as_ref(), capture, &out)?;
        Ok(out)
    }
}

fn patterns(paths: &[&str]) -> Vec<ModulePattern> {
    let paths = paths.iter();
    paths.map(|path| ModulePattern::new(*path)).collect()
}

/// The batches as the subject that recorded `all` of them ran them: the same passages, padded as far.
pub(super) fn as_recorded(pad: Pad, all: &[Batch], batches: &[&Batch]) -> Vec<ProbeBatch> {
    let batches = batches.iter();
    batches
        .map(|batch| ProbeBatch {
            number: batch.number,
            pids: batch.pids.clone(),
            pad: Some(match pad {
                Pad::Batch => batch.longest,
                Pad::List => longest_of_list(all, batch),
            }),
        })
        .collect()
}

/// Whether `own` has of these passages what was recorded of them, wherever both have taps, the last module among
/// them.
fn gives_again(recorded: &RecordedRun, own: &RecordedRun, pids: &BTreeSet<usize>) -> bool {
    let (recorded, own) = (Outputs::among(recorded, pids), Outputs::among(own, pids));
    let mut both = own.paths().filter(|path| recorded.has(path));
    own.has(NORMALIZE)
        && recorded.has(NORMALIZE)
        && both.all(|path| own.gives_back(path, &recorded, path))
}

/// The same batches with these passages alone, for a subject to which their neighbours do not matter.
pub(super) fn alone(batches: &[ProbeBatch], pids: &BTreeSet<usize>) -> Vec<ProbeBatch> {
    let of = |batch: &ProbeBatch| ProbeBatch {
        pids: batch
            .pids
            .iter()
            .copied()
            .filter(|pid| pids.contains(pid))
            .collect(),
        ..batch.clone()
    };
    batches
        .iter()
        .map(of)
        .filter(|batch| !batch.pids.is_empty())
        .collect()
}

pub(super) fn compare(a: &Path, b: &Path) -> Result<DiffReport, ExplainError> {
    let (a, b) = (Side::open(a)?, Side::open(b)?);
    Ok(diff(&a, &b, &DiffOptions::default(), &mut |_| ())?)
}

pub(super) fn row<'a>(report: &'a DiffReport, path: &str) -> Option<&'a DiffRow> {
    report.rows.iter().find(|row| row.name == path)
}
