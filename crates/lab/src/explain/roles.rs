//! What part each artifact plays in a difference.

use std::collections::{BTreeMap, BTreeSet};

use concord_engine::graph;
use concord_pipeline::artifact::ORDER;
use concord_pipeline::{Field, Reading};
use serde::{Deserialize, Serialize};

use crate::diff::{Bits, DiffReport, DiffRow, Presence, RowKind, TensorForm};

/// The artifact of the same stage that this one is made of: a stage cannot be given it.
pub(super) fn within_stage(artifact: &str) -> Option<&'static str> {
    graph::maker(artifact)?.1.made_from_outputs.first().copied()
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub artifact: String,
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
    ORDER
        .into_iter()
        .filter_map(|artifact| Some(part(artifact, rows.get(artifact)?, &rows, given)))
        .collect()
}

fn part(
    artifact: &str,
    row: &DiffRow,
    rows: &BTreeMap<&str, &DiffRow>,
    given: &BTreeSet<&str>,
) -> Part {
    let own = row.fields.iter().map(|field| state(&field.bits));
    let own = together(own);
    let sources = graph::sources(artifact);
    let inputs: Vec<(Field, State)> = sources
        .into_iter()
        .map(|field| (field, input_state(field, rows)))
        .collect();
    let from = together(inputs.iter().map(|(_, state)| *state));
    let role = match (own, from) {
        (State::Unknown, _) => Role::Unknown,
        (State::Different, _) if inputs.is_empty() => Role::Source,
        (State::Different, _) if given.contains(artifact) => Role::Given,
        (State::Same, State::Different) => Role::Absorbed,
        (State::Same, _) => Role::Untouched,
        (State::Different, State::Same) => Role::Culprit,
        (State::Different, State::Different) => Role::Victim,
        (State::Different, State::Unknown) => Role::Unknown,
    };
    let differing = inputs.iter().filter(|(_, s)| *s == State::Different);
    // An artifact with several fields is named once.
    let differing: BTreeSet<&str> = differing.map(|(field, _)| field.artifact).collect();
    let absorbed_by = graph::maker(artifact).map(|(_, output)| output.absorbed_by.to_owned());
    Part {
        artifact: artifact.to_owned(),
        role,
        differing_inputs: differing.into_iter().map(str::to_owned).collect(),
        absorbed_by: absorbed_by.filter(|_| role == Role::Absorbed),
    }
}

fn state(bits: &Bits) -> State {
    match bits {
        Bits::Same(_) => State::Same,
        Bits::Different(_) => State::Different,
        Bits::Unknown(_) => State::Unknown,
    }
}

fn input_state(input: Field, rows: &BTreeMap<&str, &DiffRow>) -> State {
    let field = rows.get(input.artifact).and_then(|row| {
        let mut fields = row.fields.iter();
        fields.find(|found| found.name == input.name)
    });
    match (input.reading, field) {
        (_, None) => State::Unknown,
        (Reading::Values, Some(field)) => state(&field.bits),
        (Reading::Rows, Some(field)) => {
            let rows = |form: &Option<TensorForm>| form.as_ref()?.shape.first().copied();
            match (rows(&field.a), rows(&field.b)) {
                (Some(a), Some(b)) if a == b => State::Same,
                (Some(_), Some(_)) => State::Different,
                _ => State::Unknown,
            }
        }
    }
}

/// Different if any is; otherwise unknown if any is.
fn together(states: impl Iterator<Item = State>) -> State {
    states.fold(State::Same, |all, one| match (all, one) {
        (State::Different, _) | (_, State::Different) => State::Different,
        (State::Unknown, _) | (_, State::Unknown) => State::Unknown,
        (State::Same, State::Same) => State::Same,
    })
}
