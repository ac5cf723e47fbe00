//! `concord explain`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use concord_lab::explain::{ExplainedSide, Explanation, Question, explain, reproducers};
use concord_lab::{Side, Verdict};
use concord_pipeline::publish::{write_file, writing};
use concord_pipeline::{Capture, ModulePattern, RecordedRun, RunError, Scratch};
use concord_report::{explanation_text, issue_text};
use concord_subject::python::Downloads;
use concord_subject::runner::Runner;
use concord_subject::specification::{SpecError, SubjectSpec};
use concord_tensor::BitHash;

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, refuse, warn_if_unsealed};
use crate::output::{Failure, Outcome, print, print_json, status, warn};
use crate::progress::TerminalProgress;
use crate::subjects::{Subjects, share_transformers};

/// Explain where two builds part, and why.
///
/// Subjects are run twice each, so that what differs from itself is not taken for a difference. Then every
/// stage and every module of B is run on what A's had before it: what still differs is a cause.
#[derive(Args)]
#[command(after_help = "Examples:
  concord explain torch==2.7.1 torch==2.8.0 --passages 1000
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
    run: PathBuf,
    again: Option<PathBuf>,
    runner: Option<Runner>,
}

impl ExplainCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let scratch = Scratch::new()?;
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
        let [spec_a, spec_b] = specs;
        let a = self.open(&names[0], spec_a, subjects.as_ref(), &scratch, "a")?;
        let b = self.open(&names[1], spec_b, subjects.as_ref(), &scratch, "b")?;
        let referee = match &subjects {
            Some(subjects) if a.runner.is_some() && b.runner.is_some() && !self.no_referee => {
                let referee = subjects.referee(self.index.settings()?)?;
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
            print_json(&explanation)?;
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

    fn subject(&self, name: &str) -> Result<SubjectSpec, Failure> {
        match name.parse() {
            Ok(subject) => Ok(subject),
            Err(SpecError::Unknown(_)) => Err(format!(
                "{name} is neither a recorded run nor a subject (`native` or `torch==2.4.1`, with options \
                 after commas); indexes and files are for `concord diff`"
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    fn open(
        &self,
        name: &str,
        subject: SubjectSpec,
        subjects: Option<&Subjects<'_>>,
        scratch: &Scratch,
        side: &str,
    ) -> Result<Opened, Failure> {
        let name = name.to_owned();
        let subjects = match (&subject, subjects) {
            (SubjectSpec::Recorded(path), _) => {
                return Ok(Opened {
                    name,
                    run: path.clone(),
                    again: None,
                    runner: None,
                });
            }
            (_, Some(subjects)) => subjects,
            (_, None) => return Err(format!("{name} cannot be run").into()),
        };
        let runner = subjects.runner(subject)?;
        let run = scratch.path().join(side);
        record(&runner, &name, watched(), &run)?;
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

/// The subject run once more, to hold it against its first `run`.
///
/// Unwatched: that its artifacts are the same then also says that watching changed nothing, and it costs least. Where
/// they are not, it is run a third time, watched, because only modules say where it does not repeat itself.
fn recorded_again(
    runner: &Runner,
    name: &str,
    run: &Path,
    scratch: &Scratch,
    side: &str,
) -> Result<PathBuf, Failure> {
    let again = scratch.path().join(format!("{side}-again"));
    record(
        runner,
        &format!("{name} once more"),
        Capture::default(),
        &again,
    )?;
    if same_artifacts(run, &again)? {
        return Ok(again);
    }
    let watched = scratch.path().join(format!("{side}-watched-again"));
    let capture = Capture {
        taps: vec![ModulePattern::new("*")],
        ..Capture::default()
    };
    let name = format!("{name} a third time, because it does not repeat itself");
    record(runner, &name, capture, &watched)?;
    // Otherwise it repeats itself while it is watched: what is unlike is what it makes unwatched.
    Ok(match same_artifacts(run, &watched)? {
        true => again,
        false => watched,
    })
}

/// Whether two runs of one subject have the same artifacts.
fn same_artifacts(a: &Path, b: &Path) -> Result<bool, Failure> {
    let hashes = |run: &Path| -> Result<Vec<(String, BitHash)>, RunError> {
        let run = RecordedRun::open(run)?;
        let artifacts = run.artifacts().iter();
        Ok(artifacts
            .map(|artifact| (artifact.name.clone(), artifact.hash))
            .collect())
    };
    Ok(hashes(a)? == hashes(b)?)
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
    let forced = explanation
        .encoder
        .as_ref()
        .and_then(|encoder| encoder.forced.as_ref());
    let (Some(forced), Some(runner_a), Some(runner_b)) = (forced, &a.runner, &b.runner) else {
        status(format_args!(
            "no reproducers: they show modules of two PyTorch subjects that were run"
        ));
        return Ok(());
    };
    if let (Runner::Torch(a), Runner::Torch(b)) = (runner_a, runner_b)
        && !a.computes_as(b)
    {
        status(format_args!(
            "no reproducers: the two differ in more than the version of PyTorch, and a script is the same for \
             both"
        ));
        return Ok(());
    }
    let (scripts, silent) = reproducers(forced, runner_a, runner_b)?;
    for operation in silent {
        status(format_args!(
            "no reproducer for {operation}: it does not show on made-up numbers"
        ));
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
            again: self.again.as_deref(),
            runner: self.runner.as_ref(),
        }
    }
}

/// The values of all artifacts and the hashes of all modules.
fn watched() -> Capture {
    Capture {
        artifact_values: true,
        taps: vec![ModulePattern::new("*")],
        ..Capture::default()
    }
}

fn record(runner: &Runner, name: &str, capture: Capture, out: &Path) -> Result<(), Failure> {
    status(format_args!("running {name}"));
    warn(&runner.record(capture, out, &TerminalProgress::new())?);
    // A run that cannot be opened is found out here, where its name is known.
    Side::open(out)?;
    Ok(())
}
