//! `concord index`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use concord_engine::build::{BuildError, BuildReport, Layout, Output, build};
use concord_engine::buildable::Buildable;
use concord_engine::embeddings::{GivenIndex, GivenSettings};
use concord_engine::native::Native;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_kernels::compute::Compute;
use concord_pipeline::Staging;
use serde_json::json;

use crate::inputs::{
    ComputeArguments, EmbeddingArguments, IndexArguments, checkpoint, native_options, positive,
};
use crate::metadata_arguments::MetadataArguments;
use crate::output::{Failure, Outcome, print, print_json, warn};
use crate::progress::TerminalProgress;

/// Build an index of a collection.
///
/// The index is ColBERT's own, and the same bit for bit for any batch size, number of threads and
/// instruction set. It appears at OUT when it is whole; an interrupted build goes on where it was when
/// the same command is given again. With --embeddings it is built from what another program made of the
/// passages, and needs no checkpoint.
#[derive(Args)]
#[command(after_help = "Examples:
  concord index collection.tsv --checkpoint concord-mini --out index
  concord index collection.tsv --checkpoint colbert-ir/colbertv2.0 --out index
  concord index corpus.jsonl --checkpoint ./checkpoint --nbits 2 --threads 4 --out index
  concord index collection.tsv --checkpoint ./checkpoint --out index --replace
  concord index collection.tsv --checkpoint ./checkpoint --swap centroids=old-index --out index
  concord index --embeddings passages.npy --doclens doclens.npy --ids ids.txt --out index
  concord index collection.tsv --checkpoint concord-mini --metadata metadata.jsonl --out index")]
pub struct IndexCommand {
    /// The collection: ColBERT's TSV (pid TAB text) or BEIR's corpus.jsonl
    #[arg(required_unless_present = "embeddings", conflicts_with = "embeddings")]
    collection: Option<PathBuf>,
    /// The checkpoint: a folder, an id of the Hugging Face hub (owner/name), or concord-mini, which is
    /// part of this program
    #[arg(
        long,
        value_name = "CHECKPOINT",
        required_unless_present = "embeddings",
        conflicts_with = "embeddings"
    )]
    checkpoint: Option<String>,
    #[command(flatten)]
    given: EmbeddingArguments,
    #[command(flatten)]
    metadata: MetadataArguments,
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
    /// Train so many centroids, where there is so much to train them on [default: 2^⌊log2(16·√embeddings)⌋, as the
    /// reference does]
    #[arg(long, value_name = "N", value_parser = positive)]
    partitions: Option<NonZeroUsize>,
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
        self.given.any()?;
        let report = match (&self.collection, &self.checkpoint) {
            (Some(collection), Some(checkpoint)) => self.of_texts(collection, checkpoint)?,
            _ => self.of_embeddings()?,
        };
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

    fn of_texts(&self, texts: &Path, named: &str) -> Result<BuildReport, Failure> {
        let options = native_options(&self.subject)?;
        let options = self.compute.applied_to(options, &self.index)?;
        let collection = Arc::new(self.metadata.collection(texts)?);
        let checkpoint = Arc::new(checkpoint(named)?);
        let settings = IndexSettings {
            partitions: self.partitions,
            ..self.index.settings()?
        };
        let native = Native::new(checkpoint, collection, options, settings)?;
        self.build(&native, &Origin::of(named, texts))
    }

    fn of_embeddings(&self) -> Result<BuildReport, Failure> {
        if self.subject != "native" {
            return Err("--subject would have no effect: nothing is encoded".into());
        }
        if self.absolute_paths {
            return Err(
                "--absolute-paths would have no effect: there is no checkpoint and no collection"
                    .into(),
            );
        }
        let settings = GivenSettings {
            partitions: self.partitions,
            ..self.index.of_given_embeddings()?
        };
        let compute = self.compute.options_of_given_embeddings()?;
        let compute = Compute::new(&compute)?;
        let passages = self.metadata.embeddings(&self.given.files())?;
        let progress = TerminalProgress::new();
        let given = GivenIndex::new(passages, settings, compute, &progress)?;
        self.build(&given, &Origin::default())
    }

    fn build(
        &self,
        what: &(impl Buildable + Sync),
        origin: &Origin,
    ) -> Result<BuildReport, Failure> {
        let layout = Layout {
            pad_ivf: self.pad_ivf,
            absolute_paths: self.absolute_paths,
        };
        let output = Output {
            path: &self.out,
            replace: self.replace,
        };
        let built = build(what, layout, origin, output, &TerminalProgress::new());
        built.map_err(|error| self.with_what_is_kept(error))
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
