//! The stages after the encoder, one side's on the other side's inputs.

use std::collections::BTreeSet;
use std::path::Path;

use concord_engine::graph::{self, GRAPH};
use concord_engine::swap::Swap;
use concord_pipeline::artifact::{ORDER, position};
use concord_pipeline::{Progress, RecordedRun};
use concord_subject::downstream::Downstream;
use concord_subject::runner::Runner;
use concord_tensor::BitHash;
use serde::{Deserialize, Serialize};

use super::error::ExplainError;

/// An artifact that the second side's stage made of the first side's inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnOtherInputs {
    pub artifact: String,
    /// Whether it is then the first side's.
    pub same: bool,
}

/// One of the recorded sides.
pub(super) struct Recorded<'a> {
    pub run: &'a RecordedRun,
    pub folder: &'a Path,
}

impl Recorded<'_> {
    fn hash(&self, artifact: &str) -> Option<BitHash> {
        let mut artifacts = self.run.artifacts().iter();
        Some(artifacts.find(|record| record.name == artifact)?.hash)
    }

    /// The size of an artifact's last dimension.
    pub fn width_of(&self, artifact: &str) -> Option<usize> {
        let mut artifacts = self.run.artifacts().iter();
        let record = artifacts.find(|record| record.name == artifact)?;
        let field = record.chunks.first()?.fields.first()?;
        field.shape.last().copied()
    }
}

/// The artifacts among `wanted` whose stages also make one of `given`: those were told something else, so
/// what they make of the same inputs says nothing of how they compute.
pub(super) fn told_otherwise<'w>(wanted: &[&'w str], given: &BTreeSet<&str>) -> Vec<&'w str> {
    let told = |artifact: &&str| {
        graph::maker(artifact).is_some_and(|(stage, _)| {
            let mut made = stage.outputs.iter();
            graph::needs(stage).is_some() && made.any(|made| given.contains(made.name))
        })
    };
    wanted.iter().copied().filter(told).collect()
}

/// Runs each stage of `runner`, whose run is `own`, on the inputs that the stage had in `other`, where
/// something of what it makes is among `wanted`. `None` where its stages cannot be run one by one.
pub(super) fn on_other_inputs(
    runner: &Runner,
    own: &Recorded<'_>,
    other: &Recorded<'_>,
    wanted: &[&str],
    progress: &dyn Progress,
) -> Result<Option<Vec<OnOtherInputs>>, ExplainError> {
    let mut found = Vec::new();
    for stage in GRAPH {
        let makes = stage.outputs.iter().map(|output| output.name);
        let makes: Vec<&str> = makes.filter(|made| wanted.contains(made)).collect();
        let Some(needs) = graph::needs(stage).filter(|_| !makes.is_empty()) else {
            continue;
        };
        let swaps = needs
            .iter()
            .map(|artifact| Swap::of(artifact, other.folder))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(stages) = Downstream::of(runner, own.folder, swaps)? else {
            return Ok(None);
        };
        for record in stages.artifacts(&makes, progress)? {
            found.push(OnOtherInputs {
                same: other.hash(&record.name) == Some(record.hash),
                artifact: record.name,
            });
        }
    }
    Ok(Some(found))
}

/// The second side's graph with an artifact of the first in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The artifact that was put in place.
    pub swapped: String,
    /// What follows it, in the order of the graph.
    pub then: Vec<Then>,
}

/// An artifact after a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Then {
    pub artifact: String,
    /// Whether the two sides had it the same before.
    pub same_before: bool,
    /// Whether the second side's is now the first side's.
    pub same_now: bool,
}

impl Closure {
    /// How many of the artifacts that follow agree now, and how many there are.
    pub fn agreeing(&self) -> (usize, usize) {
        let now = self.then.iter().filter(|then| then.same_now).count();
        (now, self.then.len())
    }
}

/// Puts `artifact` of `other` into the graph of `runner`, whose run is `own`.
pub(super) fn closure(
    runner: &Runner,
    own: &Recorded<'_>,
    other: &Recorded<'_>,
    artifact: &'static str,
    progress: &dyn Progress,
) -> Result<Option<Closure>, ExplainError> {
    let swaps = vec![Swap::of(artifact, other.folder)?];
    let Some(stages) = Downstream::of(runner, own.folder, swaps)? else {
        return Ok(None);
    };
    let after: Vec<&str> = ORDER
        .into_iter()
        .filter(|name| position(name) > position(artifact))
        .filter(|name| other.hash(name).is_some() && own.hash(name).is_some())
        .collect();
    let then = stages.artifacts(&after, progress)?.into_iter();
    Ok(Some(Closure {
        swapped: artifact.to_owned(),
        then: then
            .map(|record| Then {
                same_before: own.hash(&record.name) == other.hash(&record.name),
                same_now: other.hash(&record.name) == Some(record.hash),
                artifact: record.name,
            })
            .collect(),
    }))
}
