//! Running the encoders of both sides over chosen batches, and what was computed there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_subject::specification::Pad;

use super::batches::{Batch, longest_of_list};
use super::error::ExplainError;
use crate::diff::{DiffOptions, DiffReport, DiffRow, diff};
use crate::side::Side;

/// Where probes are recorded, and of which passages they keep the values of taps.
pub(super) struct Probes<'a> {
    /// An empty folder.
    pub scratch: &'a Path,
    pub pids: &'a BTreeSet<usize>,
}

/// What a probe's modules are given instead of what they computed.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// The run whose values they are given.
    pub of: &'a Path,
    /// The modules; none stands for all that the run has values for.
    pub modules: &'a [&'a str],
}

impl Probes<'_> {
    /// Runs a subject over some batches and records these taps, under a name that no other probe has.
    pub(super) fn probe(
        &self,
        runner: &Runner,
        name: &str,
        batches: &[ProbeBatch],
        given: Option<Given<'_>>,
        taps: &[&str],
    ) -> Result<PathBuf, ExplainError> {
        let out = self.scratch.join(name);
        let pattern = |path: &&str| ModulePattern::new(*path);
        let run = given.map(|given| RecordedRun::open(given.of)).transpose()?;
        let forcing = match (&run, given) {
            (Some(run), Some(given)) => {
                let modules = given.modules.iter().map(pattern).collect();
                Some(Forcing::new(run, modules)?)
            }
            _ => None,
        };
        let capture = Capture {
            artifact_values: false,
            taps: taps.iter().map(pattern).collect(),
            tap_values: true,
            passages: Some(self.pids.clone()),
        };
        runner.probe(batches, forcing.as_ref(), capture, &out)?;
        Ok(out)
    }
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

/// The same batches with these passages alone, for the referee, to which neighbours do not matter.
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
