//! `concord compact`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use concord_engine::change::{Adding, ChangeReport, compact, retrain, retrain_embeddings};
use concord_engine::embeddings::GivenPassages;
use concord_engine::options::NativeOptions;
use concord_kernels::compute::Compute;

use crate::changed::print_change;
use crate::environment;
use crate::inputs::{ComputeArguments, EmbeddingArguments, joined, refuse};
use crate::output::{Failure, Outcome};
use crate::progress::TerminalProgress;

/// Drop the deleted passages of an index for good.
///
/// The others are numbered anew, in the same order. Their ids stay what they are. With --retrain centroids and buckets
/// are trained anew for these passages, as `concord index` trains them: the index is then, byte for byte but for its
/// log, the one that `concord index` builds of them in this order, under these ids and with the settings that the index
/// has. An index keeps neither texts nor embeddings, so they are given again; texts are known by their hashes, wherever
/// in the files they stand, and embeddings by the ids of the passages. The ids of dropped passages are then forgotten.
#[derive(Args)]
#[command(after_help = "Examples:
  concord compact index
  concord compact index --json
  concord compact index --retrain --collection first.tsv more.tsv
  concord compact index --retrain --embeddings passages.npy more.npy --doclens doclens.npy --ids ids.txt")]
pub struct CompactCommand {
    /// The index
    index: PathBuf,
    /// Train centroids and buckets anew
    #[arg(long)]
    retrain: bool,
    /// The files that have the texts of the passages, beside any others: ColBERT's TSV or BEIR's corpus.jsonl
    #[arg(
        long,
        value_name = "FILE",
        num_args = 1..,
        requires = "retrain",
        conflicts_with = "embeddings"
    )]
    collection: Vec<PathBuf>,
    #[command(flatten)]
    given: EmbeddingArguments,
    /// The checkpoint [default: where the index's log says it was]
    #[arg(long, value_name = "CHECKPOINT", requires = "collection")]
    checkpoint: Option<String>,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl CompactCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let progress = TerminalProgress::new();
        let report = match self.retrain {
            true => self.retrained(&progress)?,
            false => {
                let because = "nothing is computed anew without --retrain";
                refuse(self.given.given(), because)?;
                refuse(self.compute.given(), because)?;
                compact(&self.index, &progress)?
            }
        };
        print_change(&self.index, &report, self.json)?;
        Ok(Outcome::Same)
    }

    fn retrained(&self, progress: &TerminalProgress) -> Result<ChangeReport, Failure> {
        if self.given.any()? {
            let compute = Compute::new(&self.compute.options_of_given_embeddings()?)?;
            let passages = GivenPassages::open(&self.given.files())?;
            return Ok(retrain_embeddings(
                &self.index,
                passages,
                compute,
                progress,
            )?);
        }
        if self.collection.is_empty() {
            return Err(
                "an index keeps neither texts nor embeddings: give --collection, or --embeddings, with those of all \
                 its passages"
                    .into(),
            );
        }
        let texts = Adding {
            collection: Arc::new(joined(&self.collection)?),
            checkpoint: self.checkpoint.clone(),
            hub: environment::hub(),
            compute: NativeOptions {
                batch: self.compute.batch,
                compute: self.compute.options()?,
                ..NativeOptions::default()
            },
        };
        Ok(retrain(&self.index, &texts, progress)?)
    }
}
