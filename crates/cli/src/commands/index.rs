//! `concord index`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_engine::build::{BuildError, BuildReport, Layout, Output, build};
use concord_engine::native::Native;
use concord_engine::origin::Origin;
use concord_pipeline::Staging;
use serde_json::json;

use crate::inputs::{ComputeArguments, IndexArguments, checkpoint, native_options};
use crate::output::{Failure, Outcome, print, print_json, warn};
use crate::progress::TerminalProgress;

/// Build an index of a collection.
///
/// The index is ColBERT's own, and the same bit for bit for any batch size, number of threads and
/// instruction set. It appears at OUT when it is whole; an interrupted build goes on where it was when
/// the same command is given again.
#[derive(Args)]
#[command(after_help = "Examples:
  concord index collection.tsv --checkpoint concord-mini --out index
  concord index collection.tsv --checkpoint colbert-ir/colbertv2.0 --out index
  concord index corpus.jsonl --checkpoint ./checkpoint --nbits 2 --threads 4 --out index
  concord index collection.tsv --checkpoint ./checkpoint --out index --replace
  concord index collection.tsv --checkpoint ./checkpoint --swap centroids=old-index --out index")]
pub struct IndexCommand {
    /// The collection: ColBERT's TSV (pid TAB text) or BEIR's corpus.jsonl
    collection: PathBuf,
    /// The checkpoint: a folder, an id of the Hugging Face hub (owner/name), or concord-mini, which is
    /// part of this program
    #[arg(long, value_name = "CHECKPOINT")]
    checkpoint: String,
    /// The folder that will hold the index
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the index of Concord that OUT holds, in one step, when the new one is whole
    #[arg(long)]
    replace: bool,
    /// Build with a variant of the native engine, such as native,gemm=split-k:4
    #[arg(long, value_name = "SUBJECT", default_value = "native")]
    subject: String,
    /// Pad the inverted file with zeros as the reference does (its own updater fails on such files)
    #[arg(long)]
    pad_ivf: bool,
    /// Write where checkpoint and collection lie into the index, so that colbert-ai finds them by itself; the index
    /// then depends on these paths
    #[arg(long)]
    absolute_paths: bool,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
}

impl IndexCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let options = native_options(&self.subject)?;
        let options = self.compute.applied_to(options, &self.index)?;
        let collection = Arc::new(Collection::open(&self.collection)?);
        let checkpoint = Arc::new(checkpoint(&self.checkpoint)?);
        let native = Native::new(checkpoint, collection, options, self.index.settings()?)?;
        let origin = Origin::of(&self.checkpoint, &self.collection);
        let layout = Layout {
            pad_ivf: self.pad_ivf,
            absolute_paths: self.absolute_paths,
        };
        let report = build(
            &native,
            layout,
            &origin,
            Output {
                path: &self.out,
                replace: self.replace,
            },
            &TerminalProgress::new(),
        )
        .map_err(|error| self.with_what_is_kept(error))?;
        warn(&report.notices);
        if self.json {
            print_json(&json!({
                "out": self.out,
                "already_there": report.already_there,
                "manifest": report.manifest,
                "log": report.log,
            }))?;
        } else {
            print(&self.summary(&report))?;
        }
        Ok(Outcome::Same)
    }

    /// What is finished stays when a build fails, and the next one goes on from it.
    fn with_what_is_kept(&self, error: BuildError) -> Failure {
        let staging = Staging::folder_for(&self.out);
        let notes = std::fs::read_dir(staging.join("store").join("memory"));
        if !matches!(error, BuildError::Staging(_) | BuildError::Occupied(_))
            && notes.is_ok_and(|mut notes| notes.next().is_some())
        {
            let staging = staging.display();
            return format!("{error}; finished work is kept in {staging}").into();
        }
        error.into()
    }

    fn summary(&self, report: &BuildReport) -> String {
        let out = self.out.display();
        if report.already_there {
            return format!("{out} holds this index already\n");
        }
        let size = report.size();
        let seconds = report.log.as_ref().map_or(0.0, |log| log.seconds);
        format!(
            "{out}: {} passages, {} embeddings, {} centroids, {:.1} MB, in {seconds:.1} s\n",
            size.passages,
            size.embeddings,
            size.centroids,
            size.bytes as f64 / 1e6,
        )
    }
}
