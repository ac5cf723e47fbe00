//! `concord matrix`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use concord_engine::settings::OwnSettings;
use concord_lab::matrix::{PairReport, bisect};
use concord_lab::{DiffOptions, Side, Verdict, diff};
use concord_model::stages::Passages;
use concord_pipeline::publish::write_json;
use concord_pipeline::{Capture, ModulePattern, RecordedRun};
use concord_report::{bisection_sentence, matrix_table};
use concord_subject::agent::PROGRAM;
use concord_subject::python::{Downloads, Engine, TorchVersion};
use concord_subject::specification::{SubjectSpec, expand};
use concord_subject::torch::recipe;
use concord_tensor::{BitHash, read_regular};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, refuse, refuse_overruled};
use crate::output::{Failure, Outcome, print, print_json, status, warn};
use crate::progress::TerminalProgress;
use crate::subjects::{Subjects, show};

/// Compare subjects, each with the next: which two change the index?
///
/// Every subject is recorded, with the hashes of all modules, into a folder below OUT. A matrix that was
/// interrupted goes on where it was when the same command is given again.
#[derive(Args)]
#[command(after_help = "Examples:
  concord matrix torch==2.0.0 torch==2.0.1 torch==2.1.0 --passages 100 --out matrix
  concord matrix torch==2.0.1..2.2.0 --low-disk --out matrix
  concord matrix torch==1.13.1..2.2.0 --until-different --out matrix
  concord matrix native native,gemm=split-k:4 native,gelu=tanh --out matrix

Ends with 0 if nothing differs, 1 if something does, 2 on trouble.")]
pub struct MatrixCommand {
    /// The subjects, in order; torch==2.0.1..2.2.0 is every version in that range that is published
    #[arg(required = true, value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Add this engine to the torch subjects that name none: bert or colbert
    #[arg(long, value_name = "ENGINE", value_parser = str::parse::<Engine>)]
    engine: Option<Engine>,
    /// The folder that holds the runs, and the result as matrix.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Search for two neighbours that differ by halving, instead of comparing all
    #[arg(long)]
    until_different: bool,
    /// Keep one environment of PyTorch on disk at a time: those made here are removed after use, and
    /// downloaded packages with them
    #[arg(long)]
    low_disk: bool,
    #[command(flatten)]
    inputs: SubjectInputs,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the runs in a folder have in common, so that runs of something else are not mixed with them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Common {
    inputs: BTreeMap<String, BitHash>,
    options: BTreeMap<String, String>,
}

/// The most bytes that are read of what the runs have in common.
const MAX_COMMON: u64 = 4 << 20;

const COMMON: &str = "common.json";
const RESULT: &str = "matrix.json";

struct Matrix<'a> {
    command: &'a MatrixCommand,
    subjects: Subjects<'a>,
    specs: Vec<SubjectSpec>,
    compared: BTreeMap<(usize, usize), PairReport>,
}

impl MatrixCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let mut matrix = Matrix::new(&self)?;
        let count = matrix.specs.len();
        let (pairs, found) = if self.until_different {
            let found = bisect(count, |a, b| matrix.is_same(a, b))?;
            let pairs: Vec<PairReport> = matrix.compared.values().cloned().collect();
            let found = match found {
                Some(first) => Some(matrix.pair(first, first + 1)?.clone()),
                None => None,
            };
            (pairs, found)
        } else {
            for first in 0..count - 1 {
                matrix.pair(first, first + 1)?;
            }
            (matrix.compared.values().cloned().collect(), None)
        };
        let result = json!({"pairs": pairs, "found": found});
        write_json(&self.out.join(RESULT), &result)?;
        if self.json {
            print_json(&result)?;
        } else {
            print(&matrix_table(&pairs, &environment::style()))?;
            if self.until_different {
                let ends = [0, count - 1].map(|at| spec(&matrix.specs[at]));
                print(&bisection_sentence(found.as_ref(), &ends[0], &ends[1]))?;
            }
        }
        if pairs.iter().any(|pair| pair.verdict == Verdict::Different) {
            return Ok(Outcome::Different);
        }
        match pairs.iter().find(|pair| !pair.is_same()) {
            Some(open) => Err(cannot_tell(open)),
            None => Ok(Outcome::Same),
        }
    }
}

impl MatrixCommand {
    /// Refuses what would have no effect with these subjects.
    fn check(&self, specs: &[SubjectSpec]) -> Result<(), Failure> {
        let is_torch = |spec: &SubjectSpec| matches!(spec, SubjectSpec::Torch(_));
        if !specs.iter().any(is_torch) {
            let engine = self
                .engine
                .map(|engine| ("engine".to_owned(), engine.to_string()));
            let low_disk = self
                .low_disk
                .then(|| ("low-disk".to_owned(), String::new()));
            let given = engine.into_iter().chain(low_disk);
            refuse(given, "no subject is a PyTorch one")?;
        } else if let Some(engine) = self.engine
            && !self
                .subjects
                .iter()
                .any(|given| with_engine(given, Some(engine)) != *given)
        {
            let given = ("engine".to_owned(), engine.to_string());
            refuse([given], "every PyTorch subject names its own")?;
        }
        self.inputs.check_patience(specs.iter())?;
        refuse_overruled(self.inputs.given().chain(self.index.given()), specs)?;
        if specs
            .iter()
            .all(|spec| matches!(spec, SubjectSpec::Recorded(_)))
        {
            // Checkpoint and collection are those that the folder is of.
            let given = self.index.all_given().chain(self.compute.given());
            refuse(given, "all subjects are recorded runs, and nothing is run")?;
        }
        Ok(())
    }
}

impl<'a> Matrix<'a> {
    fn new(command: &'a MatrixCommand) -> Result<Matrix<'a>, Failure> {
        let downloads = if command.low_disk {
            Downloads::Discard
        } else {
            Downloads::Keep
        };
        let (inputs, index, compute) = (&command.inputs, &command.index, &command.compute);
        // What is wrong with a specification is said before anything is loaded.
        let environments = environment::environments(downloads);
        let mut specs = Vec::new();
        for given in &command.subjects {
            let given = with_engine(given, command.engine);
            specs.extend(expand(&given, |range| {
                let versions = environments.expand(range, &mut |progress| show(&progress));
                Ok::<Vec<TorchVersion>, Failure>(versions?)
            })?);
        }
        if specs.len() < 2 {
            return Err(format!(
                "a matrix compares each subject with the next, and there is only {}: name another, or a \
                 range such as torch==2.0.1..2.2.0",
                specs.first().map_or("none".to_owned(), spec)
            )
            .into());
        }
        command.check(&specs)?;
        let subjects = Subjects::new(inputs, index, compute, downloads)?;
        subjects.load(&specs)?;
        // What does not go together is said before the folder is there. A native subject is checked where it is put
        // together, which takes no longer than loading its weights.
        for subject in &specs {
            match subject {
                SubjectSpec::Native(_) => drop(subjects.runner(subject.clone())?),
                SubjectSpec::Torch(_) | SubjectSpec::Recorded(_) => subjects.check(subject)?,
            }
        }
        let matrix = Matrix {
            command,
            subjects,
            specs,
            compared: BTreeMap::new(),
        };
        matrix.claim_folder()?;
        Ok(matrix)
    }

    /// Makes the folder, or sees to it that what is there belongs to this matrix.
    fn claim_folder(&self) -> Result<(), Failure> {
        let out = &self.command.out;
        let path = out.join(COMMON);
        let common = self.common()?;
        if path.exists() {
            let bytes = read_regular(&path, MAX_COMMON)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let there: Option<Common> = serde_json::from_slice(&bytes).ok();
            if there.as_ref() != Some(&common) {
                return Err(format!(
                    "{} holds runs on other inputs, or with other options: choose another --out, or \
                     remove it",
                    out.display()
                )
                .into());
            }
            return Ok(());
        }
        match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => {
                let out = out.display();
                return Err(format!("{out} holds something else: choose another --out").into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if out.is_file() => {
                let out = out.display();
                return Err(format!(
                    "{out} is a file, and the runs need a folder: choose another --out"
                )
                .into());
            }
            Err(error) => return Err(format!("cannot read {}: {error}", out.display()).into()),
        }
        fs::create_dir_all(out)
            .map_err(|error| format!("cannot make {}: {error}", out.display()))?;
        Ok(write_json(&path, &common)?)
    }

    fn common(&self) -> Result<Common, Failure> {
        let command = self.command;
        let checkpoint = self.subjects.checkpoint(&OwnSettings::default())?;
        let mut inputs = BTreeMap::from([
            ("checkpoint".to_owned(), checkpoint.hash()),
            (
                "collection".to_owned(),
                Passages::new(self.subjects.collection()).hash(),
            ),
            ("agent".to_owned(), BitHash::of_bytes(PROGRAM.as_bytes())),
        ]);
        for swap in command.index.settings()?.swaps {
            inputs.insert(format!("swap {}", swap.artifact()), swap.hash());
        }
        // What is swapped in is among the inputs, by its hash.
        let options = command.index.given().chain(command.compute.given());
        Ok(Common {
            inputs,
            options: options.collect(),
        })
    }

    /// The comparison of two subjects, made if it is not there.
    fn pair(&mut self, a: usize, b: usize) -> Result<&PairReport, Failure> {
        if !self.compared.contains_key(&(a, b)) {
            let sides = [self.side(a)?, self.side(b)?];
            let report = diff(&sides[0], &sides[1], &DiffOptions::default(), &mut |_| ())?;
            let pair = PairReport::of(&report);
            status(format_args!("{} and {}: {}", pair.a, pair.b, short(&pair)));
            self.compared.insert((a, b), pair);
        }
        Ok(&self.compared[&(a, b)])
    }

    /// Whether two subjects are the same, as far as that can be told.
    fn is_same(&mut self, a: usize, b: usize) -> Result<bool, Failure> {
        let pair = self.pair(a, b)?;
        match pair.verdict {
            Verdict::Same => Ok(true),
            Verdict::Different => Ok(false),
            Verdict::CannotTell { .. } => Err(cannot_tell(pair)),
        }
    }

    /// The run of a subject, recorded if it is not there.
    fn side(&self, at: usize) -> Result<Side, Failure> {
        let subject = &self.specs[at];
        if let SubjectSpec::Recorded(path) = subject {
            return Ok(Side::open(path)?);
        }
        let name = spec(subject);
        let out = self.command.out.join(file_name(&name));
        if !RecordedRun::is_at(&out) {
            status(format_args!("recording {name}"));
            self.record(subject, &out)?;
        }
        let side = Side::open(&out)?.named(&name);
        self.check_checkpoint(subject, &side)?;
        Ok(side)
    }

    /// Refuses a run of an earlier call whose subject names a checkpoint that is another one now.
    fn check_checkpoint(&self, subject: &SubjectSpec, side: &Side) -> Result<(), Failure> {
        let own = subject.own().filter(|own| own.checkpoint.is_some());
        let Some(own) = own else {
            return Ok(());
        };
        let now = self.subjects.checkpoint(own)?;
        let then = side.inputs().and_then(|inputs| inputs.get("checkpoint"));
        if then == Some(&now.hash()) {
            return Ok(());
        }
        Err(format!(
            "{} is a run of {} on another checkpoint than {} is now: choose another --out, or remove it",
            side.path().display(),
            side.name(),
            now.name()
        )
        .into())
    }

    fn record(&self, subject: &SubjectSpec, out: &Path) -> Result<(), Failure> {
        let recipe = match subject {
            SubjectSpec::Torch(options) => Some(recipe(options)),
            SubjectSpec::Native(_) | SubjectSpec::Recorded(_) => None,
        };
        let environments = self.subjects.environments();
        let was_there = match &recipe {
            Some(recipe) => environments
                .list()?
                .iter()
                .any(|listed| listed.name == recipe.name()),
            None => true,
        };
        let runner = self.subjects.runner(subject.clone())?;
        let capture = Capture {
            artifact_values: true,
            taps: vec![ModulePattern::new("*")],
            ..Capture::default()
        };
        warn(&runner.record(capture, out, &TerminalProgress::new())?);
        drop(runner);
        if let Some(recipe) = recipe
            && self.command.low_disk
            && !was_there
        {
            environments.remove(&recipe.name())?;
        }
        Ok(())
    }
}

fn cannot_tell(pair: &PairReport) -> Failure {
    format!(
        "what was kept is not enough to tell whether {} and {} are the same",
        pair.a, pair.b
    )
    .into()
}

/// A comparison in a few words.
fn short(pair: &PairReport) -> String {
    if pair.is_same() {
        return "the same".to_owned();
    }
    let tap = pair.first_tap.as_ref().map(|tap| tap.module.as_str());
    let first = tap.or(pair.first_artifact.as_deref());
    first.map_or("cannot tell".to_owned(), |first| {
        format!("differ, first at {first}")
    })
}

/// The specification of a subject. What should change no bits is part of it: the matrix finds out whether
/// that is so.
fn spec(subject: &SubjectSpec) -> String {
    match subject {
        SubjectSpec::Native(options) => {
            let mut spec = options.to_string();
            if let Some(threads) = options.compute.threads() {
                spec += &format!(",threads={threads}");
            }
            if let Some(isa) = options.compute.isa() {
                spec += &format!(",isa={isa}");
            }
            spec
        }
        SubjectSpec::Torch(options) => options.to_string(),
        SubjectSpec::Recorded(path) => path.display().to_string(),
    }
}

/// The specification of a torch subject with an engine, if it has none.
fn with_engine(spec: &str, engine: Option<Engine>) -> String {
    match engine {
        Some(engine) if spec.starts_with("torch==") && !spec.contains(",engine=") => {
            format!("{spec},engine={engine}")
        }
        _ => spec.to_owned(),
    }
}

/// A name for the folder of a run: readable, and distinct for distinct subjects.
fn file_name(spec: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_=,".contains(c);
    if spec.len() <= 100 && spec.chars().all(plain) {
        return spec.to_owned();
    }
    let readable: String = spec.chars().take(60).filter(|c| plain(*c)).collect();
    let digits = BitHash::of_bytes(spec.as_bytes()).to_string();
    let digits = digits.rsplit(':').next().unwrap_or_default();
    format!("{readable}-{}", &digits[..12.min(digits.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_distinct_names_that_every_system_takes() {
        assert_eq!(
            file_name("torch==2.4.1,engine=bert"),
            "torch==2.4.1,engine=bert"
        );
        let a = file_name("native,bert.encoder.layer.*.output.dense:identity");
        let b = file_name("native,bert.encoder.layer.?.output.dense:identity");
        assert_ne!(a, b);
        assert!(
            !a.contains(['*', ':']) && a.starts_with("native,bert"),
            "{a}"
        );
    }

    #[test]
    fn an_engine_is_added_where_none_is_named() {
        let given = |spec| with_engine(spec, Some(Engine::Colbert));
        assert_eq!(given("torch==2.4.1"), "torch==2.4.1,engine=colbert");
        assert_eq!(
            given("torch==2.4.1,engine=bert"),
            "torch==2.4.1,engine=bert"
        );
        assert_eq!(given("native"), "native");
    }
}
