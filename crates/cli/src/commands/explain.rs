//! `concord explain`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use concord_index::format::IndexTensors;
use concord_lab::explain::{ExplainedSide, Explanation, Question, Unshown, explain, reproducers};
use concord_lab::{Side, Verdict};
use concord_pipeline::publish::{write_file, writing};
use concord_pipeline::{Capture, ModulePattern, RecordedRun, Scratch};
use concord_report::{explanation_json, explanation_text, issue_text};
use concord_subject::python::Downloads;
use concord_subject::runner::Runner;
use concord_subject::specification::{SpecError, SubjectSpec};
use concord_tensor::{BitHash, Durability};

use crate::environment;
use crate::inputs::{
    ComputeArguments, IndexArguments, SubjectInputs, refuse, refuse_overruled, warn_if_unsealed,
};
use crate::output::{Failure, Outcome, print, print_json, status, warn};
use crate::progress::TerminalProgress;
use crate::subjects::{Subjects, share_transformers};

/// Explain where two builds part, and why.
///
/// Subjects are run twice each, so that what differs from itself is not taken for a difference. Then every
/// stage and every module of B is run on what A's had before it: what still differs is a cause.
///
/// What a subject says of itself (checkpoint=, nbits=, doc_maxlen=, kmeans_niters=, seed=) comes before the options of
/// the same names, which are for the side that says nothing.
#[derive(Args)]
#[command(after_help = "Examples:
  concord explain torch==2.7.1 torch==2.8.0 --passages 1000
  concord explain native native,checkpoint=./other,doc_maxlen=40
  concord explain native native,gemm=split-k:4 --checkpoint ./checkpoint --collection collection.tsv
  concord explain run-of-yesterday native
  concord explain run-from-the-gpu other-run

Ends with 0 if nothing differs, 1 if something does, 2 on trouble.")]
pub struct ExplainCommand {
    /// A recorded run, or a subject such as torch==2.7.1 or native,gemm=split-k:4
    a: String,
    /// What to compare it with
    b: String,
    #[command(flatten)]
    inputs: SubjectInputs,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Run each subject once: whether it agrees with itself is then not known
    #[arg(long)]
    once: bool,
    /// Leave out the same computation in double precision, which says which side is nearer the truth
    #[arg(long)]
    no_referee: bool,
    /// Write, for each operation that is a cause, a Python script that shows it without Concord, with what it
    /// prints on both sides and a text for an issue tracker, into folders in this new folder
    #[arg(long, value_name = "DIR")]
    reproducers: Option<PathBuf>,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

/// A side, run where it is a subject.
struct Opened {
    name: String,
    run: Side,
    again: Option<Side>,
    runner: Option<Runner>,
}

/// A side before anything is run.
enum Ready {
    Recorded(PathBuf),
    Runner(Box<Runner>),
}

impl ExplainCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let scratch = Scratch::new()?;
        self.refuse_what_only_diff_takes()?;
        let mut specs = [self.subject(&self.a)?, self.subject(&self.b)?];
        let mut names = [self.a.clone(), self.b.clone()];
        let [spec_a, spec_b] = &mut specs;
        share_transformers(spec_a, spec_b, &mut names);
        let some_run = specs
            .iter()
            .any(|spec| !matches!(spec, SubjectSpec::Recorded(_)));
        self.check(&specs, some_run)?;
        let subjects = if some_run {
            let (inputs, index, compute) = (&self.inputs, &self.index, &self.compute);
            Some(Subjects::new(inputs, index, compute, Downloads::Keep)?)
        } else {
            None
        };
        if let Some(subjects) = &subjects {
            specs.iter().try_for_each(|spec| subjects.check(spec))?;
        }
        let own = specs[0].own().cloned().unwrap_or_default();
        let [spec_a, spec_b] = specs;
        // Both, before either is run: what is wrong with the second is then said at once.
        let runner_a = ready(spec_a, subjects.as_ref())?;
        let runner_b = ready(spec_b, subjects.as_ref())?;
        let a = self.open(&names[0], runner_a, &scratch, "a")?;
        let b = self.open(&names[1], runner_b, &scratch, "b")?;
        let referee = match (&subjects, &a.runner, &b.runner) {
            // Two checkpoints have no common truth.
            (Some(subjects), Some(a), Some(b))
                if !self.no_referee && a.checkpoint().hash() == b.checkpoint().hash() =>
            {
                let referee = subjects.referee(&own, self.index.settings()?)?;
                Some(Runner::Native(Box::new(referee)))
            }
            _ => None,
        };
        let probes = scratch.path().join("probes");
        std::fs::create_dir(&probes)?;
        status(format_args!("asking where they part"));
        let question = Question {
            a: a.asked(),
            b: b.asked(),
            referee: referee.as_ref(),
            scratch: &probes,
        };
        let explanation = explain(&question, &TerminalProgress::new())?;
        if let Some(folder) = &self.reproducers {
            write_reproducers(folder, &explanation, &a, &b)?;
        }
        if self.json {
            print_json(&explanation_json(&explanation))?;
        } else {
            print(&explanation_text(&explanation, &environment::style()))?;
        }
        Outcome::of(&explanation.verdict)
    }

    /// Refuses what would have no effect, and a folder that is not new, before anything is run.
    fn check(&self, specs: &[SubjectSpec; 2], some_run: bool) -> Result<(), Failure> {
        if !some_run {
            let flag = |name: &str, given| (given, (name.to_owned(), String::new()));
            let flags = [flag("once", self.once), flag("no-referee", self.no_referee)];
            let flags = flags
                .into_iter()
                .filter_map(|(given, flag)| given.then_some(flag));
            let reproducers = self
                .reproducers
                .as_ref()
                .map(|folder| ("reproducers".to_owned(), folder.display().to_string()));
            let given = self.inputs.given().chain(self.index.all_given());
            let given = given
                .chain(self.compute.given())
                .chain(flags)
                .chain(reproducers);
            refuse(given, "both sides are recorded runs, and nothing is run")?;
        }
        self.inputs.check_patience(specs.iter())?;
        refuse_overruled(self.inputs.given().chain(self.index.given()), specs)?;
        if let Some(folder) = &self.reproducers {
            let is_new = match std::fs::read_dir(folder) {
                Ok(mut entries) => entries.next().is_none(),
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            };
            if !is_new {
                let folder = folder.display();
                return Err(format!(
                    "--reproducers {folder}: it is there already; choose another folder, or remove it"
                )
                .into());
            }
        }
        for spec in specs {
            if let SubjectSpec::Recorded(path) = spec {
                warn_if_unsealed(path);
            }
        }
        Ok(())
    }

    /// Refuses an index or a tensor file, of which nothing can be run again, with the command that compares it.
    fn refuse_what_only_diff_takes(&self) -> Result<(), Failure> {
        let are_files = [&self.a, &self.b].map(|name| Path::new(name).is_file());
        for name in [&self.a, &self.b] {
            let path = Path::new(name);
            let what = if IndexTensors::is_at(path) && !RecordedRun::is_at(path) {
                "an index, which holds what a build ends with and not what its modules computed"
            } else if path.is_file() {
                "a file, which does not say from what its values were computed"
            } else {
                continue;
            };
            let diff = match are_files {
                [a, b] if a != b => "`concord diff` compares it with another file".to_owned(),
                _ => format!("`{}` compares what there is", self.as_diff()),
            };
            return Err(format!(
                "{name} is {what}: {diff}; to find out why two builds differ, give `concord explain` the subjects, or \
                 runs that `concord record` has made of them"
            )
            .into());
        }
        Ok(())
    }

    /// The command that compares the same two sides without asking why they differ.
    fn as_diff(&self) -> String {
        let mut words = vec!["concord".to_owned(), "diff".to_owned()];
        words.extend([self.a.clone(), self.b.clone()].map(|side| quoted(&side)));
        // Where both lie there, nothing is run, and options that say how would be refused.
        if [&self.a, &self.b]
            .iter()
            .any(|side| !Path::new(side).exists())
        {
            let given = self.inputs.given().chain(self.index.all_given());
            for (name, value) in given.chain(self.compute.given()) {
                words.push(format!("--{}", name.replace('_', "-")));
                words.push(quoted(&value));
            }
        }
        words.join(" ")
    }

    fn subject(&self, name: &str) -> Result<SubjectSpec, Failure> {
        match name.parse() {
            Ok(SubjectSpec::Recorded(path)) if !RecordedRun::is_at(&path) => Err(format!(
                "{name} is a folder, but no recorded run: there is no manifest.json with events.jsonl in it"
            )
            .into()),
            Ok(subject) => Ok(subject),
            Err(SpecError::Unknown(_)) => Err(format!(
                "{name} is neither a recorded run nor a subject (`native` or `torch==2.4.1`, with options \
                 after commas)"
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    fn open(
        &self,
        name: &str,
        ready: Ready,
        scratch: &Scratch,
        side: &str,
    ) -> Result<Opened, Failure> {
        let name = name.to_owned();
        let runner = match ready {
            Ready::Recorded(run) => {
                return Ok(Opened {
                    name,
                    run: Side::open(&run)?,
                    again: None,
                    runner: None,
                });
            }
            Ready::Runner(runner) => *runner,
        };
        let run = record(&runner, &name, watched(), &scratch.path().join(side))?;
        let again = match self.once {
            true => None,
            false => Some(recorded_again(&runner, &name, &run, scratch, side)?),
        };
        Ok(Opened {
            name,
            run,
            again,
            runner: Some(runner),
        })
    }
}

/// The side, ready to be run where it is a subject.
fn ready(subject: SubjectSpec, subjects: Option<&Subjects<'_>>) -> Result<Ready, Failure> {
    match (subject, subjects) {
        (SubjectSpec::Recorded(run), _) => Ok(Ready::Recorded(run)),
        (subject, Some(subjects)) => Ok(Ready::Runner(Box::new(subjects.runner(subject)?))),
        (_, None) => Err("nothing can be run".into()),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=.,:/@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The subject run once more, to hold it against its first `run`.
///
/// Unwatched: that its artifacts are the same then also says that watching changed nothing, and it costs least. Where
/// they are not, it is run a third time, watched, because only modules say where it does not repeat itself.
fn recorded_again(
    runner: &Runner,
    name: &str,
    run: &Side,
    scratch: &Scratch,
    side: &str,
) -> Result<Side, Failure> {
    let again = record(
        runner,
        &format!("{name} once more"),
        Capture {
            durability: Durability::Scratch,
            ..Capture::default()
        },
        &scratch.path().join(format!("{side}-again")),
    )?;
    if same_artifacts(run, &again) {
        return Ok(again);
    }
    let out = scratch.path().join(format!("{side}-watched-again"));
    let capture = Capture {
        taps: vec![ModulePattern::new("*")],
        durability: Durability::Scratch,
        ..Capture::default()
    };
    let name = format!("{name} a third time, because it does not repeat itself");
    let watched = record(runner, &name, capture, &out)?;
    // Otherwise it repeats itself while it is watched: what is unlike is what it makes unwatched.
    Ok(match same_artifacts(run, &watched) {
        true => again,
        false => watched,
    })
}

/// Whether two runs of one subject have the same artifacts.
fn same_artifacts(a: &Side, b: &Side) -> bool {
    let artifacts = |side: &'_ Side| -> Option<Vec<(String, BitHash)>> {
        let artifacts = side.run()?.artifacts().iter();
        Some(artifacts.map(|a| (a.name.clone(), a.hash)).collect())
    };
    artifacts(a) == artifacts(b)
}

/// Writes the scripts that show what was found.
fn write_reproducers(
    folder: &Path,
    explanation: &Explanation,
    a: &Opened,
    b: &Opened,
) -> Result<(), Failure> {
    if explanation.verdict == Verdict::Same {
        status(format_args!(
            "no reproducers: nothing differs, so there is nothing to show"
        ));
        return Ok(());
    }
    let [runner_a, runner_b] = match (&a.runner, &b.runner) {
        (Some(a), Some(b)) => [a, b],
        _ => {
            let recorded = if a.runner.is_none() { a } else { b };
            status(format_args!(
                "no reproducers: {} is a recorded run, and a script is written where both sides are run and it was seen \
                 to show the difference",
                recorded.name
            ));
            return Ok(());
        }
    };
    for (side, runner) in [(a, runner_a), (b, runner_b)] {
        let why = match runner {
            Runner::Native(_) => "computes without PyTorch, and a script is PyTorch's".to_owned(),
            Runner::Torch(torch) => match torch.device() {
                None => continue,
                Some(device) => format!("computes on {device}, and a script on the CPU"),
            },
        };
        status(format_args!("no reproducers: {} {why}", side.name));
        return Ok(());
    }
    let encoder = explanation.encoder.as_ref();
    let forced = encoder.and_then(|encoder| encoder.forced.as_ref());
    let forced = forced.filter(|forced| !forced.culprits.is_empty());
    let Some(forced) = forced else {
        let inputs = explanation
            .inputs
            .iter()
            .find(|input| input.kind.is_essential());
        let why = match inputs {
            Some(_) => {
                "the two did not start from the same, so their modules were not held against each other"
            }
            None => {
                "no module of the encoder was seen to compute something else on the same inputs"
            }
        };
        status(format_args!("no reproducers: {why}"));
        return Ok(());
    };
    let (scripts, unshown) = reproducers(forced, runner_a, runner_b)?;
    for Unshown { operation, why } in unshown {
        status(format_args!("no reproducer for {operation}: {why}"));
    }
    for script in scripts {
        let place = folder.join(&script.name);
        std::fs::create_dir_all(&place).map_err(writing(&place))?;
        let expected = format!(
            "{}: {}\n{}: {}\n",
            a.name, script.expected_a, b.name, script.expected_b
        );
        for (file, text) in [
            ("reproduce.py", script.script.clone()),
            ("expected.txt", expected),
            ("issue.md", issue_text(&script, &a.name, &b.name)),
        ] {
            write_file(&place.join(file), |out| out.write_all(text.as_bytes()))?;
        }
        status(format_args!(
            "{}: wrote a script that shows it",
            place.display()
        ));
    }
    Ok(())
}

impl Opened {
    fn asked(&self) -> ExplainedSide<'_> {
        ExplainedSide {
            name: self.name.clone(),
            run: &self.run,
            again: self.again.as_ref(),
            runner: self.runner.as_ref(),
        }
    }
}

/// The values of all artifacts and the hashes of all modules.
fn watched() -> Capture {
    Capture {
        artifact_values: true,
        taps: vec![ModulePattern::new("*")],
        durability: Durability::Scratch,
        ..Capture::default()
    }
}

/// Records a subject at `out` and opens what it recorded.
fn record(runner: &Runner, name: &str, capture: Capture, out: &Path) -> Result<Side, Failure> {
    status(format_args!("running {name}"));
    warn(&runner.record(capture, out, &TerminalProgress::new())?);
    // A run that cannot be opened is found out here, where its name is known.
    Ok(Side::open(out)?)
}
