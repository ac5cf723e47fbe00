//! What two sides did not have in common before anything was computed.

use std::collections::BTreeMap;
use std::path::Path;

use concord_engine::graph;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_pipeline::artifact::{ORDER, PASSAGES, TENSORIZE_OUTPUT};
use concord_pipeline::{ArtifactRecord, RecordedRun};
use concord_subject::runner::Runner;
use concord_subject::specification::SubjectSpec;
use concord_tensor::BitHash;
use serde::{Deserialize, Serialize};

use super::error::ExplainError;
use crate::diff::{About, Bits, CHECKPOINT, CHECKPOINT_FILES, DiffReport, Remark, swapped};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Checkpoint,
    /// The collection: other texts, or another number of them.
    Collection,
    /// The collection: the same texts in another order.
    Order,
    /// The token ids made of the texts.
    Tokens,
    /// An artifact that was given instead of computed.
    Given,
    /// An option that results depend on.
    Option,
}

impl InputKind {
    /// Whether nothing that follows says anything of the subjects when it differs. An artifact that was given says
    /// nothing of the stage that would have made it, and leaves the others as they are.
    pub fn is_essential(self) -> bool {
        !matches!(self, InputKind::Option | InputKind::Given)
    }
}

/// Something that the two sides did not have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDifference {
    pub kind: InputKind,
    /// In words.
    pub what: String,
    /// The artifacts whose stages it is given to: that they differ is its doing, not theirs.
    pub given_to: Vec<String>,
}

fn owned(artifacts: impl Iterator<Item = &'static str>) -> Vec<String> {
    artifacts.map(str::to_owned).collect()
}

/// `runners`: the subjects, where they can be run, for the checkpoints that they have.
pub(super) fn differences(
    report: &DiffReport,
    a: &RecordedRun,
    b: &RecordedRun,
    runners: [Option<&Runner>; 2],
) -> Result<Vec<InputDifference>, ExplainError> {
    let mut found = Vec::new();
    for remark in report.remarks.iter().filter(|r| r.is_difference()) {
        let said = |side: &Option<String>| side.clone().unwrap_or_else(|| "computed".to_owned());
        let sides = (said(&remark.a), said(&remark.b));
        let difference = match (remark.about, remark.name.as_str()) {
            (About::Input, "collection") => collection(a, b)?,
            (About::Input, CHECKPOINT | CHECKPOINT_FILES) => InputDifference {
                kind: InputKind::Checkpoint,
                what: checkpoints(remark, [a, b], runners),
                given_to: owned(graph::made_from_input(CHECKPOINT)),
            },
            (About::Input, name) => {
                let swapped = swapped(name);
                let artifact = swapped.filter(|artifact| ORDER.contains(artifact));
                let given = swapped.unwrap_or(name);
                InputDifference {
                    kind: InputKind::Given,
                    what: match (&remark.a, &remark.b) {
                        (Some(_), Some(_)) => format!("A and B were given other `{given}`"),
                        (given_to_a, _) => format!(
                            "`{given}` was given instead of computed, to {}",
                            if given_to_a.is_some() { "A" } else { "B" }
                        ),
                    },
                    given_to: artifact.map(str::to_owned).into_iter().collect(),
                }
            }
            (About::Option, name) => {
                let given_to = owned(graph::decided_by_option(name));
                if given_to.is_empty() {
                    continue;
                }
                InputDifference {
                    kind: InputKind::Option,
                    what: format!("{name} is {} and {}", sides.0, sides.1),
                    given_to,
                }
            }
            (About::Contract | About::Unsealed, _) => continue,
        };
        found.push(difference);
    }
    let same_texts = !found
        .iter()
        .any(|difference| matches!(difference.kind, InputKind::Collection | InputKind::Order));
    let tokens = report.rows.iter().find(|row| row.name == TENSORIZE_OUTPUT);
    if let Some(row) = tokens
        && same_texts
    {
        let differing = row
            .fields
            .iter()
            .filter(|field| matches!(field.bits, Bits::Different(_)));
        let fields: Vec<&str> = differing.map(|field| field.name.as_str()).collect();
        if !fields.is_empty() {
            found.push(InputDifference {
                kind: InputKind::Tokens,
                what: format!(
                    "the tokens of the same texts differ (tensorize_output: {})",
                    fields.join(", ")
                ),
                given_to: Vec::new(),
            });
        }
    }
    Ok(found)
}

/// The input of which nobody can say whether both sides had the same, in words, if there is one: a side does not
/// state it, or not by the rule that the other does.
pub(super) fn unstated(report: &DiffReport) -> Option<String> {
    let mut open = report.remarks.iter().filter(|remark| {
        let is_input = matches!(remark.about, About::Input);
        is_input && !remark.is_difference()
    });
    let first = open.next()?;
    let name = match first.name.as_str() {
        CHECKPOINT | CHECKPOINT_FILES => CHECKPOINT,
        name => name,
    };
    let (silent, says) = if first.a.is_some() {
        ("B", "A")
    } else {
        ("A", "B")
    };
    Some(format!(
        "whether both had the same {name}, of which {silent} does not state the `{}` that {says} does",
        first.name
    ))
}

/// In what two checkpoints differ: by name where both are at hand, and else by their hashes, as the remark says.
fn checkpoints(remark: &Remark, runs: [&RecordedRun; 2], runners: [Option<&Runner>; 2]) -> String {
    /// More are not told one by one.
    const TOLD: usize = 4;
    let [a, b] = [0, 1].map(|side| match runners[side] {
        Some(runner) => Some(runner.checkpoint().clone()),
        None => named_by(runs[side]),
    });
    let differences = match (a, b) {
        (Some(a), Some(b)) => a.differences(&b),
        _ => Vec::new(),
    };
    if differences.is_empty() {
        return remark.to_string();
    }
    let told = &differences[..differences.len().min(TOLD)];
    let more = match differences.len() - told.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("the checkpoints differ in {}{more}", told.join("; "))
}

/// The checkpoint that the subject of a run names for itself, if it is a folder here and still the one that the run
/// was made with.
fn named_by(run: &RecordedRun) -> Option<Checkpoint> {
    let subject: SubjectSpec = run.manifest().subject.parse().ok()?;
    let name = subject.own()?.checkpoint.clone()?;
    if !Path::new(&name).is_dir() {
        return None;
    }
    // A folder is read without looking at the hub.
    let checkpoint = Checkpoint::load(&name, &HubOptions::new("")).ok()?;
    let recorded = run.manifest().inputs.get(CHECKPOINT)?;
    (checkpoint.hash() == *recorded).then_some(checkpoint)
}

/// Whether two collections differ in their texts or only in their order.
fn collection(a: &RecordedRun, b: &RecordedRun) -> Result<InputDifference, ExplainError> {
    let of_a = texts(a)?;
    let of_b = texts(b)?;
    Ok(match (of_a, of_b) {
        (Some(a), Some(b)) if counted(&a) == counted(&b) => InputDifference {
            kind: InputKind::Order,
            what: format!(
                "the collections have the same {} passages in another order, from pid {} on",
                a.len(),
                a.iter().zip(&b).take_while(|(a, b)| a == b).count()
            ),
            given_to: Vec::new(),
        },
        (Some(a), Some(b)) => {
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            InputDifference {
                kind: InputKind::Collection,
                what: format!(
                    "the collections differ: {} and {} passages, the same up to pid {same}",
                    a.len(),
                    b.len()
                ),
                given_to: Vec::new(),
            }
        }
        _ => InputDifference {
            kind: InputKind::Collection,
            what: "the collections differ".to_owned(),
            given_to: Vec::new(),
        },
    })
}

fn counted(texts: &[BitHash]) -> BTreeMap<BitHash, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(*text).or_default() += 1;
    }
    counts
}

/// The hash of each passage's text, where the run kept them.
fn texts(run: &RecordedRun) -> Result<Option<Vec<BitHash>>, ExplainError> {
    let record = |record: &&ArtifactRecord| record.name == PASSAGES;
    let Some(passages) = run.artifacts().iter().find(record) else {
        return Ok(None);
    };
    let mut texts = Vec::new();
    for chunk in &passages.chunks {
        let field = |name: &str| {
            let field = chunk.fields.iter().find(|field| field.name == name);
            field.map(|field| run.tensor(field.hash))
        };
        let (Some(text), Some(ends)) = (field("text"), field("ends")) else {
            return Ok(None);
        };
        let (Some(text), Some(ends)) = (text?, ends?) else {
            return Ok(None);
        };
        let (text, ends) = (text.read()?, ends.read()?);
        let (bytes, mut start) = (text.as_slice::<u8>()?, 0);
        for &end in ends.as_slice::<i64>()? {
            let end = usize::try_from(end)
                .unwrap_or(start)
                .clamp(start, bytes.len());
            texts.push(BitHash::of_bytes(&bytes[start..end]));
            start = end;
        }
    }
    Ok(Some(texts))
}
