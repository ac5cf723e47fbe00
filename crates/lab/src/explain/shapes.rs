//! Whether the batches of passages are a cause, and what of them.
//!
//! Where the two sides put passages into other batches, a module may differ because of its code or because of
//! the batch that it was called with. Two more probes on the first side's values tell them apart: the first
//! side in the second side's batches (nothing but the batch differs) and the second side in the first side's
//! (nothing but the code does). What of a batch it is, [`alone`] measures where it is the batch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use concord_pipeline::RecordedRun;
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use super::alone::{self, Deciding, Shown};
use super::batches::Batch;
use super::error::ExplainError;
use super::made_batches::{Others, Setting};
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
    /// How many passages come before this one.
    #[serde(default)]
    pub place: usize,
}

/// What the probes of shapes gave.
pub(super) struct Shaped {
    /// The passages for which the first side's module differs from itself in the second side's batches.
    pub in_b_batches: BTreeMap<String, BTreeSet<usize>>,
    /// The passages for which the second side's module differs from the first's in the first's batches.
    pub in_a_batches: BTreeMap<String, BTreeSet<usize>>,
    /// What of the batch decides at modules of `in_b_batches`; see [`Shaped::decide`].
    pub decided: BTreeMap<String, Deciding>,
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
    Ok(Shaped {
        in_b_batches: differing(own, &in_b)?,
        in_a_batches: differing(own, &in_a)?,
        decided: BTreeMap::new(),
    })
}

impl Shaped {
    /// Measures what of the batch decides at each of these modules, which differ in the second side's batches for the
    /// passage that is given with them. `runner`: the first side, `own` its run over `batches_a`; `tokens`: those
    /// of every passage.
    pub(super) fn decide(
        &mut self,
        probes: &Probes<'_>,
        runner: &Runner,
        own: &Path,
        [batches_a, batches_b]: [&[ProbeBatch]; 2],
        tokens: &BTreeMap<usize, usize>,
        modules: &[(&str, usize)],
    ) -> Result<(), ExplainError> {
        let mut shown = BTreeMap::<usize, Shown<'_>>::new();
        for &(module, pid) in modules {
            let setting = |batches| setting(runner, batches, pid, tokens);
            if let (Some(a), Some(b)) = (setting(batches_a), setting(batches_b)) {
                let settings = [a, b];
                let shown = shown.entry(pid).or_insert_with(|| Shown {
                    pid,
                    settings,
                    modules: Vec::new(),
                });
                shown.modules.push(module);
            }
        }
        let shown: Vec<Shown<'_>> = shown.into_values().collect();
        let others = Others {
            tokens,
            positions: runner.checkpoint().bert_config().max_position_embeddings,
        };
        self.decided = alone::decided(probes, runner, own, &others, &shown)?;
        Ok(())
    }
}

/// What a passage's batch is like to a subject, and where in it the passage is.
fn setting(
    runner: &Runner,
    batches: &[ProbeBatch],
    pid: usize,
    tokens: &BTreeMap<usize, usize>,
) -> Option<Setting> {
    let holds = |batch: &&ProbeBatch| batch.pids.contains(&pid);
    let batch = batches.iter().find(holds)?;
    let place = batch.pids.iter().position(|&other| other == pid)?;
    let all: Vec<usize> = batch
        .pids
        .iter()
        .map(|pid| tokens.get(pid).copied())
        .collect::<Option<_>>()?;
    Some(match runner {
        Runner::Native(_) => Setting::Packed {
            rows: all.iter().sum(),
            place: all[..place].iter().sum(),
        },
        Runner::Torch(_) => Setting::Padded {
            passages: all.len(),
            tokens: batch.pad.or(all.iter().max().copied())?,
            place,
        },
    })
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
            place: batch.pids.iter().position(|&other| other == pid)?,
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
