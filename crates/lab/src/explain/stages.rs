//! The stages after the encoder, one side's on the other side's inputs.

use std::collections::BTreeSet;

use concord_engine::graph::{self, GRAPH};
use concord_engine::swap::Swap;
use concord_pipeline::artifact::{ORDER, position};
use concord_pipeline::{ArtifactRecord, MemoryStore, Progress, RecordedRun};
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

/// The hash of an artifact of a run.
fn hash_in(run: &RecordedRun, artifact: &str) -> Option<BitHash> {
    let mut artifacts = run.artifacts().iter();
    Some(artifacts.find(|record| record.name == artifact)?.hash)
}

/// The size of the last dimension of an artifact of a run.
pub(super) fn width_of(run: &RecordedRun, artifact: &str) -> Option<usize> {
    let mut artifacts = run.artifacts().iter();
    let record = artifacts.find(|record| record.name == artifact)?;
    let field = record.chunks.first()?.fields.first()?;
    field.shape.last().copied()
}

/// The stages of a subject after its encoder, to be run with artifacts of another side in their way.
///
/// What one question had computed is not computed again for another: stages are functions of what their outputs are
/// made from.
pub(super) struct Stages<'a> {
    runner: &'a Runner,
    /// The subject's own run.
    own: &'a RecordedRun,
    /// The other side's.
    other: &'a RecordedRun,
    store: MemoryStore,
    progress: &'a dyn Progress,
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

impl<'a> Stages<'a> {
    pub(super) fn new(
        runner: &'a Runner,
        [own, other]: [&'a RecordedRun; 2],
        progress: &'a dyn Progress,
    ) -> Stages<'a> {
        Stages {
            runner,
            own,
            other,
            store: MemoryStore::new(),
            progress,
        }
    }

    /// These artifacts, with `swaps` of the other side in place. `None` where the stages cannot be run one by one.
    fn with(
        &self,
        swaps: Vec<Swap>,
        artifacts: &[&str],
    ) -> Result<Option<Vec<ArtifactRecord>>, ExplainError> {
        let Some(stages) = Downstream::of(self.runner, self.own, swaps)? else {
            return Ok(None);
        };
        Ok(Some(stages.artifacts(
            artifacts,
            &self.store,
            self.progress,
        )?))
    }

    /// Runs each stage on the inputs that the stage had on the other side, where something of what it makes is among
    /// `wanted`. `None` where the stages cannot be run one by one.
    pub(super) fn on_other_inputs(
        &self,
        wanted: &[&str],
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
                .map(|artifact| Swap::of_run(artifact, self.other))
                .collect::<Result<Vec<_>, _>>()?;
            let Some(made) = self.with(swaps, &makes)? else {
                return Ok(None);
            };
            for record in made {
                found.push(OnOtherInputs {
                    same: hash_in(self.other, &record.name) == Some(record.hash),
                    artifact: record.name,
                });
            }
        }
        Ok(Some(found))
    }

    /// Puts `artifact` of the other side into the graph.
    pub(super) fn closure(&self, artifact: &'static str) -> Result<Option<Closure>, ExplainError> {
        let (own, other) = (self.own, self.other);
        let after: Vec<&str> = ORDER
            .into_iter()
            .filter(|name| position(name) > position(artifact))
            .filter(|name| hash_in(other, name).is_some() && hash_in(own, name).is_some())
            .collect();
        let made = self.with(vec![Swap::of_run(artifact, other)?], &after)?;
        Ok(made.map(|made| Closure {
            swapped: artifact.to_owned(),
            then: made
                .into_iter()
                .map(|record| Then {
                    same_before: hash_in(own, &record.name) == hash_in(other, &record.name),
                    same_now: hash_in(other, &record.name) == Some(record.hash),
                    artifact: record.name,
                })
                .collect(),
        }))
    }
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
