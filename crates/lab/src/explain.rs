//! Why two builds differ.
//!
//! [`explain`] asks, in this order: does each side agree with itself; did both start from the same; which
//! artifacts differ though all they are made from is the same; what follows when one side's artifact is
//! put into the other's graph; and, inside the encoder, which modules compute something else on the same
//! inputs.
//!
//! The decision behind it: nothing is inferred from where a difference is first seen, because a
//! difference that travels looks like one that is made. Every stage and every module of the second side
//! is run on the *first side's inputs*, so that each answers for itself, several causes are all found, and
//! what only passes a difference on is never named. What the sides do not allow (a recorded run cannot
//! be run again) is listed as not tested, instead of being guessed.

mod alone;
mod attention;
mod batches;
mod causes;
mod culprit;
mod cut_out;
mod encoder;
mod equal_inputs;
mod error;
mod inputs;
mod made_batches;
mod made_up;
mod masks;
mod options;
mod outputs;
mod probes;
mod referee;
mod reproducer;
mod roles;
mod script;
mod shapes;
mod share;
mod stages;
mod ways;

use std::path::Path;

use concord_engine::graph;
use concord_pipeline::artifact::{BATCHES, EMBS};
use concord_pipeline::{Progress, RecordedRun};
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use crate::diff::{DiffOptions, DiffReport, Outcome, RowKind, Verdict, diff};
use crate::side::Side;

pub use alone::{Deciding, How};
pub use batches::{Batch, Batches};
pub use causes::{Cause, Why};
pub use concord_model::architecture::{Operation, layer_of};
pub use culprit::{ByOption, Culprit};
pub use cut_out::Absent;
pub use encoder::{EncoderFinding, Forced};
pub use equal_inputs::{Departure, InBetween};
pub use error::ExplainError;
pub use inputs::{InputDifference, InputKind};
pub use made_batches::Dimension;
pub use masks::{Attended, MaskDifference, MaskPair};
pub use options::{OptionDifference, OptionKind};
pub use referee::Errors;
pub use reproducer::{Unshown, reproducers};
pub use roles::{Part, Role};
pub use script::Reproducer;
pub use shapes::{BatchShape, ShapePair};
pub use share::Share;
pub use stages::{Closure, OnOtherInputs, Then};
pub use ways::{Contrast, Formulas, Orders, Way};

use encoder::{Asked, EncoderSide};
use stages::Stages;

/// One of the two sides of the question.
pub struct ExplainedSide<'a> {
    pub name: String,
    /// Its recorded run, with the values of its artifacts where stages are to be run again.
    pub run: &'a Side,
    /// The same subject recorded once more, to hold it against itself.
    pub again: Option<&'a Side>,
    /// The subject, if it can be run.
    pub runner: Option<&'a Runner>,
}

/// The question: why does `b` differ from `a`?
pub struct Question<'a> {
    pub a: ExplainedSide<'a>,
    pub b: ExplainedSide<'a>,
    /// The native engine in double precision on the same inputs, for the truth.
    pub referee: Option<&'a Runner>,
    /// An empty folder for what is run on the way.
    pub scratch: &'a Path,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the first side is called.
    pub a: String,
    /// What the second side is called.
    pub b: String,
    /// Whether the two are the same.
    pub verdict: Verdict,
    /// What each side disagrees with itself in: names of artifacts and modules; `None` where it was not
    /// run twice.
    pub unstable: [Option<Vec<String>>; 2],
    /// What the two did not have in common before anything was computed.
    pub inputs: Vec<InputDifference>,
    /// In what else they describe themselves differently.
    pub options: Vec<OptionDifference>,
    /// The part of every artifact, in the order of the graph.
    pub parts: Vec<Part>,
    /// The second side's stages on the first side's inputs, for what differs after the encoder.
    pub on_other_inputs: Option<Vec<OnOtherInputs>>,
    /// What follows when the second side has the first side's artifact.
    pub closures: Vec<Closure>,
    /// What is inside the encoder; `None` where it makes the same.
    pub encoder: Option<EncoderFinding>,
    /// What could not be tested, and why.
    pub not_tested: Vec<String>,
}

impl Explanation {
    /// The artifacts whose own stage computes something else: those that differ on equal inputs, and
    /// those that also differ when the stage has the other side's inputs. One that a stage makes of another
    /// of its own results is not among them where that one is.
    pub fn culprits(&self) -> Vec<&str> {
        let differs_on_other_inputs = |part: &Part| {
            let mut tested = self.on_other_inputs.iter().flatten();
            tested.any(|found| found.artifact == part.artifact && !found.same)
        };
        let mut culprits: Vec<&str> = Vec::new();
        for part in &self.parts {
            let made_of_culprit =
                roles::within_stage(&part.artifact).is_some_and(|other| culprits.contains(&other));
            let is_culprit = match part.role {
                Role::Culprit => true,
                Role::Victim => differs_on_other_inputs(part) && !made_of_culprit,
                _ => false,
            };
            if is_culprit {
                culprits.push(&part.artifact);
            }
        }
        culprits
    }
}

/// Answers the question.
///
/// # Errors
/// When a run cannot be read, or a subject not be run.
pub fn explain(
    question: &Question<'_>,
    progress: &dyn Progress,
) -> Result<Explanation, ExplainError> {
    let (a, b) = (&question.a, &question.b);
    let (run_a, run_b) = (recorded(a.run)?, recorded(b.run)?);
    let report = compared(a.run, b.run)?;
    let mut not_tested = Vec::new();
    let unstable = [unstable(a)?, unstable(b)?];
    for (side, found) in [a, b].into_iter().zip(&unstable) {
        if found.is_none() {
            let why = match side.runner {
                Some(_) => "was run once",
                None => "is a recorded run",
            };
            not_tested.push(format!(
                "{} {why}: whether it agrees with itself is not known",
                side.name
            ));
        }
    }
    not_tested.extend(inputs::unstated(&report));
    let inputs = inputs::differences(&report, run_a, run_b, [a.runner, b.runner])?;
    let given = inputs.iter().flat_map(|input| &input.given_to);
    let parts = roles::parts(&report, &given.map(String::as_str).collect());
    let mut explanation = Explanation {
        a: a.name.clone(),
        b: b.name.clone(),
        verdict: report.verdict.clone(),
        unstable,
        inputs,
        options: options::differences(
            &report.remarks,
            [run_a, run_b].map(|run| run.manifest().subject.as_str()),
        ),
        parts,
        on_other_inputs: None,
        closures: Vec::new(),
        encoder: None,
        not_tested,
    };
    // On other inputs everything may differ, and nothing of it says anything of the subjects.
    if explanation.verdict == Verdict::Same {
        return Ok(explanation);
    }
    let comparable = explanation
        .inputs
        .iter()
        .all(|input| !input.kind.is_essential());
    if comparable {
        after_the_encoder(&mut explanation, b, [run_b, run_a], progress)?;
    }
    let is_culprit = |part: &Part| part.artifact == BATCHES && part.role == Role::Culprit;
    let taps_differ = report
        .rows
        .iter()
        .any(|row| row.kind == RowKind::Tap && row.outcome == Outcome::Different);
    // With other weights the modules can still be held against each other, with other tokens they cannot.
    let same_tokens = explanation.inputs.iter().all(|input| {
        matches!(
            input.kind,
            InputKind::Option | InputKind::Checkpoint | InputKind::Given
        )
    });
    if same_tokens && (explanation.parts.iter().any(is_culprit) || taps_differ) {
        // What has other widths cannot be given to the other side's modules.
        let same_widths = stages::width_of(run_a, EMBS) == stages::width_of(run_b, EMBS);
        let can_run = comparable && same_widths && a.runner.is_some() && b.runner.is_some();
        let disagrees =
            |side: &Option<Vec<String>>| side.as_ref().is_some_and(|rows| !rows.is_empty());
        let unstable = [0, 1].map(|side| disagrees(&explanation.unstable[side]));
        let sides = [(a, run_a, unstable[0]), (b, run_b, unstable[1])];
        let [side_a, side_b] = sides.map(|(asked, run, unstable)| EncoderSide {
            runner: asked.runner.filter(|_| can_run),
            run,
            unstable,
        });
        let asked = Asked {
            referee: question.referee,
            options: &explanation.options,
            scratch: question.scratch,
        };
        let found = encoder::look_inside(&side_a, &side_b, &asked)?;
        if found.forced.is_none() {
            explanation.not_tested.push(
                "the modules of one side were not run on the other side's inputs, which takes two subjects \
                 that can be run on the same inputs"
                    .to_owned(),
            );
        }
        if found.forced.is_none()
            && let Some(first) = found.departures.as_ref().and_then(|found| found.first())
            && first.operation == Operation::Attention
        {
            let silent = match masks::unknown([run_a, run_b], &first.module) {
                [false, false] => None,
                [true, false] => Some("A's run does"),
                [false, true] => Some("B's run does"),
                [true, true] => Some("the runs do"),
            };
            explanation.not_tested.extend(silent.map(|silent| {
                format!(
                    "whether both had the same attention mask at `{}`: {silent} not keep it",
                    first.module
                )
            }));
        }
        explanation.encoder = Some(found);
    }
    Ok(explanation)
}

/// Runs the second side's stages after the encoder on the first side's inputs, and swaps in each culprit. `own` is the
/// second side's run, `other` the first's.
fn after_the_encoder(
    explanation: &mut Explanation,
    side: &ExplainedSide<'_>,
    [own, other]: [&RecordedRun; 2],
    progress: &dyn Progress,
) -> Result<(), ExplainError> {
    let Some(runner) = side.runner else {
        explanation.not_tested.push(format!(
            "{} is a recorded run: its stages were not run on the other side's inputs, so what differs \
             because its inputs do may hide a cause of its own",
            side.name
        ));
        return Ok(());
    };
    if let [Some(a), Some(b)] = [other, own].map(|run| stages::width_of(run, EMBS))
        && a != b
    {
        explanation.not_tested.push(format!(
            "the stages of {} on the other side's inputs: its embeddings have {b} dimensions and the other's {a}",
            side.name
        ));
        return Ok(());
    }
    let victims = explanation
        .parts
        .iter()
        .filter(|part| part.role == Role::Victim);
    let mut victims: Vec<&str> = victims.map(|part| part.artifact.as_str()).collect();
    let given = explanation.inputs.iter().flat_map(|input| &input.given_to);
    let told = stages::told_otherwise(&victims, &given.map(String::as_str).collect());
    victims.retain(|artifact| !told.contains(artifact));
    if !told.is_empty() {
        explanation.not_tested.push(format!(
            "whether their stages would make {} alike, because they were given other settings",
            told.join(", ")
        ));
    }
    let stages = Stages::new(runner, [own, other], progress);
    explanation.on_other_inputs = stages.on_other_inputs(&victims)?;
    if explanation.on_other_inputs.is_none() && !victims.is_empty() {
        explanation.not_tested.push(format!(
            "the stages of {} cannot be run one by one, so what differs because its inputs do may hide a \
             cause of its own",
            side.name
        ));
        return Ok(());
    }
    let mut swapped = Vec::new();
    for culprit in explanation.culprits() {
        if let Some(artifact) = graph::stand_in(culprit)
            && !swapped.contains(&artifact)
        {
            swapped.push(artifact);
        }
    }
    for artifact in swapped {
        if let Some(closure) = stages.closure(artifact)? {
            explanation.closures.push(closure);
        }
    }
    Ok(())
}

/// What a side disagrees with itself in.
fn unstable(side: &ExplainedSide<'_>) -> Result<Option<Vec<String>>, ExplainError> {
    let Some(again) = side.again else {
        return Ok(None);
    };
    let report = compared(side.run, again)?;
    let different = report
        .rows
        .iter()
        .filter(|row| row.outcome == Outcome::Different);
    Ok(Some(different.map(|row| row.name.clone()).collect()))
}

fn compared(a: &Side, b: &Side) -> Result<DiffReport, ExplainError> {
    Ok(diff(a, b, &DiffOptions::default(), &mut |_| ())?)
}

fn recorded(side: &Side) -> Result<&RecordedRun, ExplainError> {
    let not_a_run = || ExplainError::NotARun(side.path().to_owned());
    side.run().ok_or_else(not_a_run)
}
