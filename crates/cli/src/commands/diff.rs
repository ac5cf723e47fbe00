//! `concord diff`.

use std::path::Path;
use std::slice;

use clap::Args;
use concord_engine::settings::OwnSettings;
use concord_lab::diff::{judge, to_be_judged};
use concord_lab::{DiffOptions, DiffProgress, DiffReport, Side, Verdict, diff};
use concord_pipeline::{Capture, Progress, Scratch};
use concord_report::diff_table;
use concord_subject::python::Downloads;
use concord_subject::runner::Runner;
use concord_subject::specification::{SpecError, SubjectSpec};

use crate::environment;
use crate::inputs::{
    ComputeArguments, IndexArguments, SubjectInputs, refuse, refuse_overruled, tolerance,
};
use crate::output::{Failure, Outcome, print, print_json, status, warn};
use crate::progress::TerminalProgress;
use crate::referee;
use crate::subjects::{Subjects, share_transformers};

/// Compare two runs, indexes, tensor files or subjects, artifact by artifact.
///
/// One row per artifact, in the order in which a build makes them: whether shape and bits are the same,
/// whether the values are close by torch.allclose, and by how much they differ. Subjects are run first. Of files,
/// every value is compared, those included that are no tensors.
#[derive(Args)]
#[command(after_help = "Examples:
  concord diff index-before index-after
  concord diff run-a run-b --json
  concord diff a/centroids.pt b/centroids.pt
  concord diff native native,gemm=split-k:4
  concord diff native native,checkpoint=./other
  concord diff torch==2.0.1 torch==2.1.0 --passages 100
  concord diff native native,gemm=chunk:112 --checkpoint ./checkpoint --collection collection.tsv
  concord diff torch==2.0.1,amp=bf16 torch==2.1.0,amp=bf16 --passages 100 --referee
  concord diff index-before index-after --referee

Ends with 0 if nothing differs, 1 if something does, 2 on trouble.")]
pub struct DiffCommand {
    /// A run, an index folder, a tensor file, or a subject such as native,gemm=split-k:4
    a: String,
    /// What to compare it with
    b: String,
    /// Relative tolerance of allclose
    #[arg(long, value_name = "R", value_parser = tolerance, allow_negative_numbers = true, default_value = "1e-5")]
    rtol: f64,
    /// Absolute tolerance of allclose
    #[arg(long, value_name = "A", value_parser = tolerance, allow_negative_numbers = true, default_value = "1e-8")]
    atol: f64,
    /// Say which of the two is nearer the truth, artifact by artifact
    ///
    /// Where they differ, native,precision=f64 is run on what both were made from, and the values of both are
    /// held against it: floats by their mean absolute error (the largest, in brackets, is that of one element
    /// out of all), integers by the share that agrees. Means within 2 % of each other are equally near. It
    /// computes in double precision from the text on, so the error of an artifact is accumulated: it has
    /// in it the errors of all that came before. Where runs and indexes do not say what they were made
    /// from, give it by --checkpoint and --collection
    #[arg(long)]
    referee: bool,
    #[command(flatten)]
    inputs: SubjectInputs,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

/// Bytes of an artifact whose comparison is worth showing progress for.
const LARGE: u64 = 256 << 20;

/// One side before anything is run.
enum GivenSide {
    Recorded(Box<Side>),
    Subject(SubjectSpec),
}

/// One side: what is compared, and the folder it was recorded in if it was run for this.
struct Opened {
    side: Side,
    _recorded: Option<Scratch>,
}

impl DiffCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        // What is wrong with the second is said before the first is run.
        let mut asked = [asked(&self.a)?, asked(&self.b)?];
        let mut names = [self.a.clone(), self.b.clone()];
        if let [GivenSide::Subject(a), GivenSide::Subject(b)] = &mut asked {
            share_transformers(a, b, &mut names);
        }
        let is_subject = |asked: &GivenSide| matches!(asked, GivenSide::Subject(_));
        let subjects = if asked.iter().any(is_subject) {
            let (inputs, index, compute) = (&self.inputs, &self.index, &self.compute);
            refuse_overruled(inputs.given().chain(index.given()), specs(&asked))?;
            let subjects = Subjects::new(inputs, index, compute, Downloads::Keep)?;
            subjects.load(specs(&asked))?;
            Some(subjects)
        } else {
            self.check_unused()?;
            None
        };
        let own = match &subjects {
            Some(subjects) if self.referee => self.own_of_all(&asked, subjects)?,
            _ => OwnSettings::default(),
        };
        if let Some(subjects) = &subjects {
            for side in &asked {
                if let GivenSide::Subject(subject) = side {
                    subjects.check(subject)?;
                }
            }
        }
        if self.referee {
            self.check(&asked, &own, subjects.as_ref())?;
        }
        let [a, b] = asked;
        let a = opened(&names[0], a, subjects.as_ref())?;
        let b = opened(&names[1], b, subjects.as_ref())?;
        let mut options = DiffOptions::default();
        options.tolerance.rtol = self.rtol;
        options.tolerance.atol = self.atol;
        let progress = TerminalProgress::new();
        let mut report = diff(&a.side, &b.side, &options, &mut |row| show(&progress, row))?;
        if self.referee {
            self.judge(&mut report, [&a.side, &b.side], &own, subjects.as_ref())?;
        }
        if self.json {
            print_json(&report)?;
        } else {
            print(&diff_table(&report, &environment::style()))?;
        }
        let damaged = report.a.damage.is_some() || report.b.damage.is_some();
        match report.verdict {
            Verdict::CannotTell { .. } if damaged => Err(
                "an index of which a file is not as it was written is the same as no other; `concord verify` lists \
                 what is damaged"
                    .into(),
            ),
            _ => Outcome::of(&report.verdict),
        }
    }

    /// Refuses options that say how something is run where nothing is.
    fn check_unused(&self) -> Result<(), Failure> {
        if self.referee {
            return Ok(());
        }
        let given = self.inputs.given().chain(self.index.all_given());
        let (a, b) = (&self.a, &self.b);
        refuse(
            given.chain(self.compute.given()),
            &format!(
                "{a} and {b} are compared as they lie there, and nothing is run; leave it out, or give --referee or a \
                 subject"
            ),
        )
    }

    /// Refuses what a referee cannot judge, as far as it can be told before anything is run.
    fn check(
        &self,
        asked: &[GivenSide],
        own: &OwnSettings,
        subjects: Option<&Subjects<'_>>,
    ) -> Result<(), Failure> {
        for asked in asked {
            let GivenSide::Recorded(side) = asked else {
                continue;
            };
            referee::has_inputs(side)?;
            if let Some(subjects) = subjects {
                referee::check(subjects, own, &own.over(self.index.settings()?), side)?;
            }
        }
        Ok(())
    }

    /// What the subjects have for themselves, where the referee can share it with all of them.
    fn own_of_all(
        &self,
        asked: &[GivenSide],
        subjects: &Subjects<'_>,
    ) -> Result<OwnSettings, Failure> {
        let own: Vec<&OwnSettings> = specs(asked).filter_map(SubjectSpec::own).collect();
        let [first, others @ ..] = own.as_slice() else {
            return Ok(OwnSettings::default());
        };
        let runs_on = |own: &OwnSettings| -> Result<_, Failure> {
            let settings = own.over(self.index.settings()?);
            Ok([
                ("checkpoint", subjects.checkpoint(own)?.hash().to_string()),
                ("nbits", format!("{:?}", settings.nbits)),
                ("doc_maxlen", format!("{:?}", settings.doc_maxlen)),
                ("kmeans_niters", format!("{:?}", settings.kmeans_niters)),
                ("seed", settings.seed.to_string()),
            ])
        };
        let of_first = runs_on(first)?;
        for other in others {
            let differing = of_first.iter().zip(runs_on(other)?);
            if let Some(((name, _), _)) = differing.into_iter().find(|(a, b)| *a != b) {
                return Err(format!(
                    "--referee: A and B are to be run with two values of {name}=, and a referee runs with one: leave \
                     --referee out"
                )
                .into());
            }
        }
        Ok((*first).clone())
    }

    /// Runs the referee, if it has something to say, and puts it into the report.
    fn judge(
        &self,
        report: &mut DiffReport,
        sides: [&Side; 2],
        own: &OwnSettings,
        subjects: Option<&Subjects<'_>>,
    ) -> Result<(), Failure> {
        let [a, b] = sides;
        let Some(mut capture) = to_be_judged(report, a, b) else {
            let reason = match report.verdict {
                Verdict::Same => "nothing differs",
                _ => "of nothing that differs have both sides values in one shape",
            };
            status(format_args!(
                "{reason}, so there is nothing to judge, and no referee was run"
            ));
            return Ok(());
        };
        let native = match subjects {
            Some(subjects) => subjects.referee(own, self.index.settings()?)?,
            None => {
                let (inputs, index, compute) = (&self.inputs, &self.index, &self.compute);
                referee::of_recorded(sides, inputs, index, compute)?
            }
        };
        // Another program may have tapped what the native engine does not have.
        capture
            .taps
            .retain(|module| native.check_modules(slice::from_ref(module)).is_ok());
        let name = format!("{}, the referee", native.specification());
        let truth = run(&name, &Runner::Native(Box::new(native)), capture)?;
        let progress = TerminalProgress::new();
        judge(report, a, b, &truth.side, &mut |row| show(&progress, row))?;
        Ok(())
    }
}

/// The subjects among the sides.
fn specs(asked: &[GivenSide]) -> impl Iterator<Item = &SubjectSpec> {
    asked.iter().filter_map(|asked| match asked {
        GivenSide::Subject(subject) => Some(subject),
        GivenSide::Recorded(_) => None,
    })
}

/// What lies at `name`, or the subject that it specifies.
fn asked(name: &str) -> Result<GivenSide, Failure> {
    let path = Path::new(name);
    if path.exists() {
        return Ok(GivenSide::Recorded(Box::new(Side::open(path)?)));
    }
    match name.parse() {
        Ok(subject) => Ok(GivenSide::Subject(subject)),
        Err(SpecError::Unknown(_)) => Err(format!(
            "{name} does not exist: there is no file or folder of that name, and no such subject \
             (`native` or `torch==2.4.1`, with options after commas)"
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// The side, run where it is a subject.
fn opened(
    name: &str,
    asked: GivenSide,
    subjects: Option<&Subjects<'_>>,
) -> Result<Opened, Failure> {
    match (asked, subjects) {
        (GivenSide::Recorded(side), _) => Ok(Opened {
            side: *side,
            _recorded: None,
        }),
        (GivenSide::Subject(subject), Some(subjects)) => {
            let capture = Capture {
                artifact_values: true,
                ..Capture::default()
            };
            run(name, &subjects.runner(subject)?, capture)
        }
        (GivenSide::Subject(_), None) => Err(format!("{name} cannot be run").into()),
    }
}

fn run(name: &str, runner: &Runner, capture: Capture) -> Result<Opened, Failure> {
    status(format_args!("running {name}"));
    let folder = Scratch::new()?;
    let run = folder.path().join("run");
    warn(&runner.record(capture, &run, &TerminalProgress::new())?);
    Ok(Opened {
        side: Side::open(&run)?.named(name),
        _recorded: Some(folder),
    })
}

fn show(progress: &TerminalProgress, row: DiffProgress<'_>) {
    if row.total > LARGE {
        progress.advanced(row.name, row.done, row.total, "bytes");
    }
}
