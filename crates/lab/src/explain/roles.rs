//! What part each artifact plays in a difference.

use std::collections::{BTreeMap, BTreeSet};

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BATCHES, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, D, DOCLENS, EMBS, IVF,
    IVF_LENGTHS, LOCAL_SAMPLE_EMBS, NUM_PASSAGES, PASSAGES, PLAN, RESIDUALS, SAMPLE,
    SAMPLE_HELDOUT, SAMPLED_PIDS, TENSORIZE_OUTPUT, VALUES,
};
use serde::{Deserialize, Serialize};

use crate::diff::{Bits, DiffReport, DiffRow, Presence, RowKind};

/// One field of an artifact; the only one has the empty name.
type Place = (&'static str, &'static str);

/// What an artifact is made from.
pub(super) struct Lineage {
    /// The artifact.
    pub artifact: &'static str,
    /// What it is made from, field by field, so that lengths do not pass for values.
    pub from: &'static [Place],
    /// What a difference in these can be lost in on the way.
    pub absorbs: &'static str,
}

const fn made(artifact: &'static str, from: &'static [Place], absorbs: &'static str) -> Lineage {
    Lineage {
        artifact,
        from,
        absorbs,
    }
}

const ROUNDING: &str = "rounding to half precision";

/// How artifacts are made from each other, in the order of the graph. Sources are made from nothing.
pub(super) const LINEAGE: [Lineage; 21] = [
    made(PASSAGES, &[], ""),
    made(NUM_PASSAGES, &[], ""),
    made(
        SAMPLED_PIDS,
        &[(NUM_PASSAGES, "")],
        "the draw of the sample",
    ),
    made(
        TENSORIZE_OUTPUT,
        &[(PASSAGES, "text"), (PASSAGES, "ends")],
        "the tokenizer, which sees no difference between the texts",
    ),
    made(
        BATCHES,
        &[(TENSORIZE_OUTPUT, "ids"), (TENSORIZE_OUTPUT, "lengths")],
        "the encoder",
    ),
    made(
        D,
        &[(BATCHES, "D_"), (BATCHES, "mask_")],
        "the mask: only tokens that are not kept differ",
    ),
    made(
        DOCLENS,
        &[(BATCHES, "mask_"), (TENSORIZE_OUTPUT, "lengths")],
        "counting: as many tokens are kept",
    ),
    made(EMBS, &[(D, "")], ROUNDING),
    made(
        LOCAL_SAMPLE_EMBS,
        &[(SAMPLED_PIDS, ""), (DOCLENS, ""), (EMBS, "")],
        "the sample, which holds none of the passages that differ",
    ),
    made(
        PLAN,
        &[(SAMPLED_PIDS, ""), (DOCLENS, "")],
        "rounding the number of centroids to a power of two",
    ),
    made(
        SAMPLE,
        &[(LOCAL_SAMPLE_EMBS, "")],
        "the split, whose held-out part has all that differs",
    ),
    made(
        SAMPLE_HELDOUT,
        &[(LOCAL_SAMPLE_EMBS, "")],
        "the split, whose training part has all that differs",
    ),
    made(
        CENTROIDS,
        &[(SAMPLE, ""), (PLAN, "num_partitions")],
        "k-means, whose means round to the same",
    ),
    made(
        BUCKET_CUTOFFS,
        &[(SAMPLE_HELDOUT, ""), (CENTROIDS, "")],
        "the quantiles, which fall on values that agree",
    ),
    made(
        BUCKET_WEIGHTS,
        &[(SAMPLE_HELDOUT, ""), (CENTROIDS, "")],
        "the quantiles, which fall on values that agree",
    ),
    made(
        AVG_RESIDUAL,
        &[(SAMPLE_HELDOUT, ""), (CENTROIDS, "")],
        "the mean, which rounds to the same",
    ),
    made(
        CODES,
        &[(EMBS, ""), (CENTROIDS, "")],
        "the choice of the nearest centroid, which is the same one",
    ),
    made(
        RESIDUALS,
        &[
            (EMBS, ""),
            (CENTROIDS, ""),
            (BUCKET_CUTOFFS, ""),
            (CODES, ""),
        ],
        "the buckets, of which every residual falls into the same",
    ),
    made(
        VALUES,
        &[(CODES, "")],
        "sorting: as many embeddings choose each centroid",
    ),
    made(
        IVF,
        &[(CODES, ""), (DOCLENS, "")],
        "making passages unique per centroid",
    ),
    made(
        IVF_LENGTHS,
        &[(CODES, ""), (DOCLENS, ""), (PLAN, "num_partitions")],
        "counting passages once per centroid",
    ),
];

/// The artifact of the same stage that this one is made of: a stage cannot be given it.
pub(super) fn within_stage(artifact: &str) -> Option<&'static str> {
    match artifact {
        RESIDUALS => Some(CODES),
        _ => None,
    }
}

/// What part an artifact plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is the same, and so is all that it is made from.
    Untouched,
    /// It differs though all that it is made from is the same: its stage computes something else.
    Culprit,
    /// It differs, and so does something that it is made from.
    Victim,
    /// It is the same though something that it is made from differs.
    Absorbed,
    /// It is a source and differs: the two did not start from the same.
    Source,
    /// It differs, and its stage was given another checkpoint, another option, or the artifact itself.
    Given,
    /// What is known of it, or of what it is made from, does not suffice.
    Unknown,
}

/// One artifact's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The artifact.
    pub artifact: String,
    /// Its part.
    pub role: Role,
    /// What it is made from that differs.
    pub differing_inputs: Vec<String>,
    /// For [`Role::Absorbed`]: where the difference is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absorbed_by: Option<String>,
}

/// Whether a field is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Same,
    Different,
    Unknown,
}

/// The parts of all artifacts that both sides have, in the order of the graph.
/// Those of `given` differ because their stages were given something else.
pub fn parts(report: &DiffReport, given: &BTreeSet<&str>) -> Vec<Part> {
    let rows: BTreeMap<&str, &DiffRow> = report
        .rows
        .iter()
        .filter(|row| row.kind == RowKind::Artifact && row.presence == Presence::Both)
        .map(|row| (row.name.as_str(), row))
        .collect();
    LINEAGE
        .iter()
        .filter_map(|lineage| Some(part(lineage, rows.get(lineage.artifact)?, &rows, given)))
        .collect()
}

fn part(
    lineage: &Lineage,
    row: &DiffRow,
    rows: &BTreeMap<&str, &DiffRow>,
    given: &BTreeSet<&str>,
) -> Part {
    let own = row.fields.iter().map(|field| state(&field.bits));
    let own = together(own);
    let inputs: Vec<(Place, State)> = lineage
        .from
        .iter()
        .map(|&place| (place, input_state(place, rows)))
        .collect();
    let from = together(inputs.iter().map(|(_, state)| *state));
    let role = match (own, from) {
        (State::Unknown, _) => Role::Unknown,
        (State::Different, _) if lineage.from.is_empty() => Role::Source,
        (State::Different, _) if given.contains(lineage.artifact) => Role::Given,
        (State::Same, State::Different) => Role::Absorbed,
        (State::Same, _) => Role::Untouched,
        (State::Different, State::Same) => Role::Culprit,
        (State::Different, State::Different) => Role::Victim,
        (State::Different, State::Unknown) => Role::Unknown,
    };
    let differing = inputs.iter().filter(|(_, s)| *s == State::Different);
    // An artifact with several fields is named once.
    let differing: BTreeSet<&str> = differing.map(|((artifact, _), _)| *artifact).collect();
    Part {
        artifact: lineage.artifact.to_owned(),
        role,
        differing_inputs: differing.into_iter().map(str::to_owned).collect(),
        absorbed_by: (role == Role::Absorbed).then(|| lineage.absorbs.to_owned()),
    }
}

fn state(bits: &Bits) -> State {
    match bits {
        Bits::Same(_) => State::Same,
        Bits::Different(_) => State::Different,
        Bits::Unknown(_) => State::Unknown,
    }
}

fn input_state((artifact, field): Place, rows: &BTreeMap<&str, &DiffRow>) -> State {
    let field = rows.get(artifact).and_then(|row| {
        let mut fields = row.fields.iter();
        fields.find(|found| found.name == field)
    });
    field.map_or(State::Unknown, |field| state(&field.bits))
}

/// Different if any is; otherwise unknown if any is.
fn together(states: impl Iterator<Item = State>) -> State {
    states.fold(State::Same, |all, one| match (all, one) {
        (State::Different, _) | (_, State::Different) => State::Different,
        (State::Unknown, _) | (_, State::Unknown) => State::Unknown,
        (State::Same, State::Same) => State::Same,
    })
}
