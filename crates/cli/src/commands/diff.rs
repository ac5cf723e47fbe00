//! `concord diff`.

use std::cell::OnceCell;
use std::path::Path;

use clap::Args;
use concord_lab::{DiffOptions, Side, Verdict, diff};
use concord_pipeline::{Capture, Progress};
use concord_report::diff_table;
use concord_subject::python::Downloads;
use concord_subject::word::{Subject, WordError};
use tempfile::TempDir;

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, tolerance};
use crate::output::{Failure, Outcome, print, print_json, remark, tell};
use crate::progress::Shown;
use crate::subjects::Subjects;

/// Compare two runs, indexes, tensor files or subjects, artifact by artifact.
///
/// One row per artifact, in the order in which a build makes them: whether shape and bits are the same,
/// whether the values are close by torch.allclose, and by how much they differ. Subjects are run first.
#[derive(Args)]
#[command(after_help = "Examples:
  concord diff index-before index-after
  concord diff run-a run-b --json
  concord diff a/centroids.pt b/centroids.pt
  concord diff native native,gemm=split-k:4
  concord diff torch==2.0.1 torch==2.1.0 --passages 100
  concord diff native native,gemm=chunk:112 --checkpoint ./checkpoint --collection collection.tsv

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

/// One side: what is compared, and the folder it was recorded in if it was run for this.
struct Opened {
    side: Side,
    _recorded: Option<TempDir>,
}

impl DiffCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        // What is wrong with the second is said before the first is run.
        let (of_a, of_b) = (subject(&self.a)?, subject(&self.b)?);
        let subjects = OnceCell::new();
        let a = self.open(&self.a, of_a, &subjects)?;
        let b = self.open(&self.b, of_b, &subjects)?;
        let mut options = DiffOptions::default();
        options.tolerance.rtol = self.rtol;
        options.tolerance.atol = self.atol;
        let progress = Shown::new();
        let report = diff(&a.side, &b.side, &options, &mut |row| {
            if row.total > LARGE {
                progress.advanced(row.name, row.done, row.total, "bytes");
            }
        })?;
        if self.json {
            print_json(&report)?;
        } else {
            print(&diff_table(&report, &environment::style()))?;
        }
        match report.verdict {
            Verdict::Same => Ok(Outcome::Same),
            Verdict::Different => Ok(Outcome::Different),
            Verdict::CannotTell { .. } => {
                Err("what both sides kept is not enough to tell whether they are the same".into())
            }
        }
    }

    /// Opens what lies at `name`, or runs the subject that the word names.
    fn open<'a>(
        &'a self,
        name: &str,
        subject: Option<Subject>,
        subjects: &OnceCell<Subjects<'a>>,
    ) -> Result<Opened, Failure> {
        let Some(subject) = subject else {
            return Ok(Opened {
                side: Side::open(Path::new(name))?,
                _recorded: None,
            });
        };
        let subjects = match subjects.get() {
            Some(subjects) => subjects,
            None => {
                let loaded = self.subjects()?;
                subjects.get_or_init(|| loaded)
            }
        };
        run_subject(subjects, name, subject)
    }

    fn subjects(&self) -> Result<Subjects<'_>, Failure> {
        Subjects::new(&self.inputs, &self.index, &self.compute, Downloads::Keep)
    }
}

/// The subject that the word names, or `None` where a file or folder of that name lies.
fn subject(name: &str) -> Result<Option<Subject>, Failure> {
    if Path::new(name).exists() {
        return Ok(None);
    }
    match name.parse() {
        Ok(subject) => Ok(Some(subject)),
        Err(WordError::Unknown(_)) => Err(format!(
            "{name} does not exist: there is no file or folder of that name, and no such subject \
             (`native` or `torch==2.4.1`, with options after commas)"
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn run_subject(subjects: &Subjects<'_>, name: &str, subject: Subject) -> Result<Opened, Failure> {
    tell(format_args!("running {name}"));
    let live = subjects.live(subject)?;
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let capture = Capture {
        artifact_values: true,
        ..Capture::default()
    };
    remark(&live.record(capture, &run, &Shown::new())?);
    Ok(Opened {
        side: Side::open(&run)?.named(name),
        _recorded: Some(folder),
    })
}
