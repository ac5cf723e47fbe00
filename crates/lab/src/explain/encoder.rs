//! Inside the encoder: every module of one side on the other side's inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use concord_model::architecture::head::NORMALIZE;
use concord_model::architecture::{Module, Operation, of_paths};
use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_subject::specification::Pad;
use concord_tensor::RowsHash;
use serde::{Deserialize, Serialize};

use super::batches::{Batch, Batches, batches, chosen, holding, longest_of_list, summary, watched};
use super::culprit::Culprit;
use super::equal_inputs::{Departure, departures};
use super::error::ExplainError;
use super::referee::errors;
use super::ways::{Formulas, Orders, WaysOf};
use crate::diff::{DiffOptions, DiffReport, DiffRow, Outcome, diff};
use crate::side::Side;

/// The tokens of the batches that are run once more, beside the largest batch.
const RUN: usize = 9_000;

/// The tokens whose every module is looked at closely. With 6 layers of 384, their values take some
/// 150 kB each.
const WATCHED: usize = 2_000;

/// What was found inside the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderFinding {
    /// How the batches of the second side came out; `None` where the runs have no taps for it.
    pub batches: Option<Batches>,
    /// The modules that depart on equal inputs, from the hashes of both runs; `None` without taps.
    pub departures: Option<Vec<Departure>>,
    /// Every module on the first side's inputs; `None` where the sides cannot be run.
    pub forced: Option<Forced>,
}

/// The modules of the second side, run on what the first side's read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forced {
    /// The batches that were run.
    pub batches: Vec<Batch>,
    /// The modules that compute something else, in the order of computation.
    pub culprits: Vec<Culprit>,
    /// How many modules were run.
    pub modules: usize,
    pub heads: usize,
    /// The mean absolute difference between the two sides' embeddings of these passages.
    pub mean_abs: f64,
    /// The shares of the kinds of operation in that difference, largest first.
    pub shares: Vec<Share>,
    /// The orders in which linear layers among the culprits add.
    pub orders: Vec<Orders>,
    /// The formulas by which others compute.
    pub formulas: Vec<Formulas>,
}

/// What a kind of operation makes of the final difference alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub operation: Operation,
    /// The modules that do it and are culprits.
    pub modules: usize,
    /// The mean absolute difference of embeddings when the first side has the second's outputs at these
    /// modules, and is itself everywhere else.
    pub mean_abs: f64,
}

/// One of the two sides.
pub(super) struct EncoderSide<'a> {
    pub runner: Option<&'a Runner>,
    pub run: &'a RecordedRun,
}

/// Looks into the encoders of two sides. `scratch` is an empty folder for probes.
pub(super) fn look_inside(
    a: &EncoderSide<'_>,
    b: &EncoderSide<'_>,
    referee: Option<&Runner>,
    scratch: &Path,
) -> Result<EncoderFinding, ExplainError> {
    let of_b = batches(b.run, a.run);
    let forced = match (a.runner, b.runner, &of_b) {
        (Some(runner_a), Some(runner_b), Some(of_b)) => {
            let of_a = batches(a.run, b.run).unwrap_or_default();
            let probes = Probes {
                a: runner_a,
                b: runner_b,
                referee,
                scratch,
            };
            probes.run(&of_a, of_b)?
        }
        _ => None,
    };
    Ok(EncoderFinding {
        batches: of_b.as_deref().map(summary),
        departures: departures(a.run, b.run),
        forced,
    })
}

struct Probes<'a> {
    a: &'a Runner,
    b: &'a Runner,
    referee: Option<&'a Runner>,
    scratch: &'a Path,
}

impl Probes<'_> {
    fn run(&self, of_a: &[Batch], of_b: &[Batch]) -> Result<Option<Forced>, ExplainError> {
        let looked_at = chosen(of_b, RUN);
        if looked_at.is_empty() {
            return Ok(None);
        }
        let pids = watched(&looked_at, WATCHED);
        let batches_a = probed(self.a, of_a, &holding(of_a, &pids));
        let batches_b = probed(self.b, of_b, &looked_at);

        let own_a = self.probe(self.a, "a", &batches_a, None, &pids, &["*"])?;
        let own_b = self.probe(self.b, "b", &batches_b, None, &pids, &[NORMALIZE])?;
        let forced = self.probe(
            self.b,
            "b-on-a",
            &batches_b,
            Some((&own_a, &[])),
            &pids,
            &["*"],
        )?;
        let report = compare(&own_a, &forced)?;
        let run_a = RecordedRun::open(&own_a)?;
        let architecture = of_paths(run_a.taps().iter().map(|tap| tap.tap.as_str()));
        let mut culprits: Vec<Culprit> = architecture
            .computing()
            .filter_map(|module| culprit(module, &report))
            .collect();
        let run_forced = RecordedRun::open(&forced)?;
        for culprit in &mut culprits {
            let module = architecture.module(&culprit.module);
            let reads = module.map_or(&[][..], |module| &module.reads);
            culprit.cut_out =
                [&run_a, &run_forced].map(|run| gives_back(run, &culprit.module, &run_a, reads));
        }
        if let Some(referee) = self.referee {
            let truth = self.probe(
                referee,
                "truth",
                &alone(&batches_b, &pids),
                Some((&own_a, &[])),
                &pids,
                &["*"],
            )?;
            for culprit in &mut culprits {
                culprit.errors = errors(&culprit.module, &own_a, &forced, &truth)?;
            }
        }
        let mut shares = self.shares(&culprits, &own_a, &forced, &batches_a, &pids)?;
        shares.sort_by(|x, y| y.mean_abs.total_cmp(&x.mean_abs));
        let mut ways = WaysOf::new(self.a, self.b, &looked_at)?;
        Ok(Some(Forced {
            orders: ways.orders(&culprits, &architecture, &run_a)?,
            formulas: ways.formulas(&culprits)?,
            mean_abs: mean_abs(&compare(&own_a, &own_b)?),
            batches: looked_at.into_iter().cloned().collect(),
            modules: architecture.computing().count(),
            heads: self.a.heads(),
            culprits,
            shares,
        }))
    }

    /// What each kind of operation makes of the difference: the first side with the second's outputs at
    /// the culprits of that kind.
    fn shares(
        &self,
        culprits: &[Culprit],
        own_a: &Path,
        forced: &Path,
        batches: &[ProbeBatch],
        pids: &BTreeSet<usize>,
    ) -> Result<Vec<Share>, ExplainError> {
        let operations: BTreeSet<Operation> = culprits.iter().map(|c| c.operation).collect();
        let mut shares = Vec::new();
        for operation in operations {
            let of = culprits.iter().filter(|c| c.operation == operation);
            let paths: Vec<&str> = of.map(|culprit| culprit.module.as_str()).collect();
            let name = format!("share-{}", shares.len());
            let with = self.probe(
                self.a,
                &name,
                batches,
                Some((forced, &paths)),
                pids,
                &[NORMALIZE],
            )?;
            // Where the last module itself is replaced, its own output does not show it.
            let report = match operation {
                Operation::Normalize => compare(own_a, forced)?,
                _ => compare(own_a, &with)?,
            };
            shares.push(Share {
                operation,
                modules: paths.len(),
                mean_abs: mean_abs(&report),
            });
        }
        Ok(shares)
    }

    /// Runs one side over some batches and keeps the values of taps of these passages.
    fn probe(
        &self,
        runner: &Runner,
        name: &str,
        batches: &[ProbeBatch],
        force: Option<(&Path, &[&str])>,
        pids: &BTreeSet<usize>,
        taps: &[&str],
    ) -> Result<PathBuf, ExplainError> {
        let out = self.scratch.join(name);
        let pattern = |path: &&str| ModulePattern::new(*path);
        let run = force.map(|(run, _)| RecordedRun::open(run)).transpose()?;
        let forcing = match (&run, force) {
            (Some(run), Some((_, modules))) => {
                Some(Forcing::new(run, modules.iter().map(pattern).collect())?)
            }
            _ => None,
        };
        let capture = Capture {
            artifact_values: false,
            taps: taps.iter().map(pattern).collect(),
            tap_values: true,
            passages: Some(pids.clone()),
        };
        runner.probe(batches, forcing.as_ref(), capture, &out)?;
        Ok(out)
    }
}

/// The batches as a probe of the subject runs them.
fn probed(runner: &Runner, all: &[Batch], batches: &[&Batch]) -> Vec<ProbeBatch> {
    let pad = |batch: &Batch| match runner.pad() {
        Pad::Batch => None,
        Pad::List => Some(longest_of_list(all, batch)),
    };
    let batches = batches.iter();
    batches
        .map(|batch| ProbeBatch {
            number: batch.number,
            pids: batch.pids.clone(),
            pad: pad(batch),
        })
        .collect()
}

/// The same batches with these passages alone, for the referee, to which neighbours do not matter.
fn alone(batches: &[ProbeBatch], pids: &BTreeSet<usize>) -> Vec<ProbeBatch> {
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

fn compare(a: &Path, b: &Path) -> Result<DiffReport, ExplainError> {
    let (a, b) = (Side::open(a)?, Side::open(b)?);
    Ok(diff(&a, &b, &DiffOptions::default(), &mut |_| ())?)
}

fn row<'a>(report: &'a DiffReport, path: &str) -> Option<&'a DiffRow> {
    report.rows.iter().find(|row| row.name == path)
}

/// The mean absolute difference of the embeddings.
fn mean_abs(report: &DiffReport) -> f64 {
    let numbers = row(report, NORMALIZE).and_then(|row| row.fields[0].numbers.as_ref());
    numbers.map_or(0.0, |numbers| numbers.report.mean_abs)
}

fn culprit(module: &Module, report: &DiffReport) -> Option<Culprit> {
    let operation = module.operation?;
    let row = row(report, &module.path)?;
    if row.outcome != Outcome::Different {
        return None;
    }
    let passages = row.passages.unwrap_or_default();
    let numbers = row.fields[0]
        .numbers
        .as_ref()
        .map(|numbers| &numbers.report);
    Some(Culprit {
        module: module.path.clone(),
        operation,
        width: row.fields[0]
            .a
            .as_ref()
            .and_then(|form| form.shape.last().copied())
            .unwrap_or(0),
        passages: passages.differing,
        of: passages.common,
        elements: numbers.map_or(0, |report| report.differing),
        elements_of: numbers.map_or(0, |report| report.elements),
        max_abs: numbers
            .and_then(|report| report.max_abs.as_ref())
            .map_or(0.0, |peak| peak.value),
        worst_ulps: numbers
            .and_then(|report| report.ulps.as_ref())
            .and_then(|ulps| Some(ulps.worst.as_ref()?.ulps)),
        cut_out: [false; 2],
        errors: None,
    })
}

/// Whether a module's outputs in `run` are what one of the modules that it reads computed in `inputs`.
fn gives_back(run: &RecordedRun, module: &str, inputs: &RecordedRun, reads: &[String]) -> bool {
    let hashes = |run: &RecordedRun, path: &str| -> BTreeMap<usize, RowsHash> {
        let taps = run.taps().iter().filter(|tap| tap.tap == path);
        let rows = taps.flat_map(|tap| tap.passages.iter());
        rows.map(|rows| (rows.pid, rows.hash)).collect()
    };
    let outputs = hashes(run, module);
    !outputs.is_empty() && reads.iter().any(|read| hashes(inputs, read) == outputs)
}
