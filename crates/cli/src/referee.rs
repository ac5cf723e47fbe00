//! The referee of two sides: on which inputs, and under which settings, it runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use concord_engine::log::BuildLog;
use concord_engine::native::Native;
use concord_engine::origin::Origin;
use concord_engine::settings::{IndexSettings, OwnSettings};
use concord_lab::{Side, SideKind};
use concord_model::stages::Passages;
use concord_subject::python::Downloads;
use concord_tensor::BitHash;
use serde_json::Value as Json;

use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs};
use crate::output::Failure;
use crate::subjects::Subjects;

/// The referee of two sides that were recorded: on what they were made from, as the arguments say it or the
/// sides do.
pub fn of_recorded(
    sides: [&Side; 2],
    asked: &SubjectInputs,
    index: &IndexArguments,
    compute: &ComputeArguments,
) -> Result<Native, Failure> {
    let settings = index.settings_or(|name| setting(sides, name))?;
    let inputs = completed(asked, sides)?;
    let subjects =
        Subjects::new(&inputs, index, compute, Downloads::Keep).map_err(|error| -> Failure {
            if inputs.checkpoint == asked.checkpoint && inputs.collection == asked.collection {
                return error;
            }
            format!(
                "{error}; the referee runs on what {} was made from: if that lies elsewhere, give it by \
                 --checkpoint and --collection",
                sides[0].name()
            )
            .into()
        })?;
    for side in sides {
        check(&subjects, &OwnSettings::default(), &settings, side)?;
    }
    subjects.referee(&OwnSettings::default(), settings)
}

/// Refuses a tensor file, behind which there is nothing that could be run.
pub fn has_inputs(side: &Side) -> Result<(), Failure> {
    if side.kind() != SideKind::File {
        return Ok(());
    }
    Err(format!(
        "--referee: {} is a tensor file, and nothing in it says what it was computed from: name the run or \
         the index that it is of",
        side.name()
    )
    .into())
}

/// Refuses a side that was made from something else than a referee that shares its inputs with these
/// subjects, which have `own` for themselves.
pub fn check(
    subjects: &Subjects<'_>,
    own: &OwnSettings,
    settings: &IndexSettings,
    side: &Side,
) -> Result<(), Failure> {
    let name = side.name();
    let recorded = |input: &str| side.inputs().and_then(|inputs| inputs.get(input));
    let checkpoint = subjects.checkpoint(own)?;
    if recorded("checkpoint").is_some_and(|hash| *hash != checkpoint.hash()) {
        return Err(format!(
            "--referee: {} is not the checkpoint that {name} was made with: give that one by --checkpoint",
            checkpoint.name()
        )
        .into());
    }
    let collection = subjects.collection();
    let another = match (recorded("collection"), side.passages()?) {
        (Some(hash), _) => *hash != Passages::new(collection).hash(),
        (None, passages) => passages.is_some_and(|passages| passages != collection.len()),
    };
    if another {
        return Err(format!(
            "--referee: {name} was not made from that collection (of {} passages): give its own by --collection, \
             and by --passages how many of it",
            collection.len()
        )
        .into());
    }
    for (input, hash) in side.inputs().into_iter().flatten() {
        let Some(artifact) = input.strip_prefix("swap ") else {
            continue;
        };
        let mut given = settings.swaps.iter();
        if !given.any(|swap| swap.artifact() == artifact && swap.hash() == *hash) {
            return Err(format!(
                "--referee: `{artifact}` was given to {name} instead of computed: give it again by --swap"
            )
            .into());
        }
    }
    Ok(())
}

/// A setting that both sides were made with; `None` where neither says.
fn setting(sides: [&Side; 2], name: &str) -> Result<Option<usize>, Failure> {
    let said = sides.map(|side| side.option(name).and_then(Json::as_u64));
    if let [Some(a), Some(b)] = said
        && a != b
    {
        return Err(format!(
            "--referee: A and B were made with different `{name}` ({a} and {b}): say by --{} with which the \
             referee is to run",
            name.replace('_', "-")
        )
        .into());
    }
    let said = said.into_iter().flatten().next();
    Ok(said.map(usize::try_from).transpose()?)
}

/// What is asked for, and where nothing is, what the sides say of where their inputs lie.
fn completed(asked: &SubjectInputs, sides: [&Side; 2]) -> Result<SubjectInputs, Failure> {
    let mut inputs = asked.clone();
    if inputs.passages.is_none() {
        let [a, b] = sides.map(Side::passages);
        inputs.passages = a?.or(b?).and_then(NonZeroUsize::new);
    }
    if inputs.checkpoint.is_none() {
        inputs.checkpoint = location(sides, "checkpoint", |origin| origin.checkpoint);
        if inputs.checkpoint.is_none() {
            made_from(sides, "checkpoint", inputs.checkpoint()?.hash())?;
        }
    }
    if inputs.collection.is_none() {
        let path = location(sides, "collection", |origin| origin.collection);
        inputs.collection = path.map(PathBuf::from);
        if inputs.collection.is_none() {
            let embedded = Passages::new(&*inputs.collection()?).hash();
            made_from(sides, "collection", embedded)?;
        }
    }
    Ok(inputs)
}

/// Where an input lay when the first side was made that says so: in the log of an index, or in the
/// configuration of one that another program built. Runs do not say it.
fn location(sides: [&Side; 2], input: &str, of: fn(Origin) -> String) -> Option<String> {
    let said = |side: &Side| match BuildLog::read(side.path()) {
        Some(log) => Some(of(log.origin)),
        None => side.option(input)?.as_str().map(str::to_owned),
    };
    sides.into_iter().find_map(said)
}

/// Whether it is from the embedded input, whose hash is `embedded`, that a side was made; an error that says
/// what to give, if not.
fn made_from(sides: [&Side; 2], input: &str, embedded: BitHash) -> Result<(), Failure> {
    let recorded = |side: &Side| side.inputs().and_then(|inputs| inputs.get(input).copied());
    if sides.iter().any(|side| recorded(side) == Some(embedded)) {
        return Ok(());
    }
    Err(format!(
        "--referee: neither {} nor {} says where the {input} lies that it was made from: give it by --{input}",
        sides[0].name(),
        sides[1].name()
    )
    .into())
}
