//! `concord record`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use concord_index::random::python_sample;
use concord_pipeline::{Capture, ModulePattern, RecordedRun};
use concord_subject::python::Downloads;
use serde_json::json;

use crate::inputs::{
    ComputeArguments, IndexArguments, SubjectInputs, refuse_overruled, seed, whole,
};
use crate::output::{Failure, Outcome, print, print_json, warn};
use crate::progress::TerminalProgress;
use crate::subjects::Subjects;

/// What is kept beside hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// Hashes only
    Hashes,
    /// The values of the taps
    Taps,
    /// The values of the artifacts
    Artifacts,
    /// The values of artifacts and taps
    All,
}

/// Run a subject and keep what it computed.
///
/// A run is a folder with a manifest, one event per artifact chunk and per tap, and the tensors that
/// were kept. Two runs are compared by `concord diff`.
#[derive(Args)]
#[command(after_help = "Examples:
  concord record native --out run
  concord record torch==2.4.1,batch=8 --taps '*' --keep hashes --out torch-run
  concord record torch==1.13.1,engine=colbert --checkpoint ./checkpoint --out colbert-run
  concord record native,nbits=4,doc_maxlen=40 --collection collection.tsv --out short
  concord record native,gemm=split-k:4 --checkpoint ./checkpoint --collection collection.tsv \\
      --taps bert.encoder.layer.0 --tap-passages 10 --keep all --out other-run")]
pub struct RecordCommand {
    /// The subject: native or torch==VERSION, with options after commas
    subject: String,
    #[command(flatten)]
    inputs: SubjectInputs,
    /// The folder that will hold the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What is kept beside hashes
    #[arg(long, value_enum, default_value = "artifacts")]
    keep: Keep,
    /// Take taps at a module and all inside it; `*` stands for any run of characters between dots
    #[arg(long = "taps", value_name = "MODULE")]
    taps: Vec<String>,
    /// Take taps of that many passages, chosen by the seed
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), conflicts_with = "pids")]
    tap_passages: Option<u32>,
    /// The seed of that choice
    #[arg(long, value_name = "N", value_parser = seed, default_value_t = 0, requires = "tap_passages")]
    tap_seed: u32,
    /// Take taps of these passages
    #[arg(long, value_name = "PID,…", value_parser = whole, value_delimiter = ',')]
    pids: Vec<usize>,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
}

impl RecordCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let subject = self.subject.parse()?;
        self.inputs.check_patience(std::iter::once(&subject))?;
        refuse_overruled(self.inputs.given().chain(self.index.given()), [&subject])?;
        if self.keep == Keep::Taps && self.taps.is_empty() {
            return Err("--keep taps keeps the values of taps, and there are none: name modules by --taps, or all by \
                        --taps '*'"
                .into());
        }
        let subjects = Subjects::new(&self.inputs, &self.index, &self.compute, Downloads::Keep)?;
        let capture = self.capture(subjects.collection().len())?;
        let runner = subjects.runner(subject)?;
        let notices = runner.record(capture, &self.out, &TerminalProgress::new())?;
        warn(&notices);
        let run = RecordedRun::open(&self.out)?;
        if self.json {
            print_json(&json!({
                "out": self.out,
                "manifest": run.manifest(),
                "artifacts": run.artifacts(),
                "taps": run.taps().len(),
            }))?;
        } else {
            let (artifacts, taps) = (run.artifacts().len(), run.taps().len());
            print(&format!(
                "{}: {artifacts} artifacts, {taps} taps\n",
                self.out.display()
            ))?;
        }
        Ok(Outcome::Same)
    }

    fn capture(&self, passages: usize) -> Result<Capture, Failure> {
        if let Some(pid) = self.pids.iter().find(|&&pid| pid >= passages) {
            return Err(format!("--pids {pid}: the collection has {passages} passages").into());
        }
        let chosen = match self.tap_passages {
            Some(count) => {
                let population = u32::try_from(passages)?;
                let sample = python_sample(self.tap_seed, population, count.min(population));
                Some(sample.into_iter().map(|pid| pid as usize).collect())
            }
            None if self.pids.is_empty() => None,
            None => Some(self.pids.iter().copied().collect::<BTreeSet<_>>()),
        };
        if chosen.is_some() && self.taps.is_empty() {
            return Err(
                "passages were chosen but no taps: name modules by --taps, or all by --taps '*'"
                    .into(),
            );
        }
        Ok(Capture {
            artifact_values: matches!(self.keep, Keep::Artifacts | Keep::All),
            taps: self.taps.iter().map(ModulePattern::new).collect(),
            tap_values: matches!(self.keep, Keep::Taps | Keep::All),
            passages: chosen,
            ..Capture::default()
        })
    }
}
