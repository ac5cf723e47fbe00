//! `concord add`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use concord_engine::change::{Adding, add, add_embeddings};
use concord_engine::options::NativeOptions;
use concord_kernels::compute::Compute;

use crate::changed::{MadeFrom, print_addition};
use crate::environment;
use crate::inputs::{ComputeArguments, EmbeddingArguments};
use crate::metadata_arguments::MetadataArguments;
use crate::output::{Failure, Outcome};
use crate::progress::TerminalProgress;

/// Add passages to an index.
///
/// They are compressed with the codec that the index has, and come behind the passages that are there. The index is
/// exchanged for the new one in one step: who reads the old one goes on reading it, and a process that is killed has
/// changed nothing. It does not matter in how many steps passages are added: the bytes are the same. How far what was
/// added lies from what the codec was trained on is said, and when it is to be trained anew (`concord compact --retrain`).
#[derive(Args)]
#[command(after_help = "Examples:
  concord add index more.tsv
  concord add index corpus.jsonl --replace
  concord add index more.tsv --checkpoint ./checkpoint --json
  concord add index --embeddings more.npy --doclens doclens.npy --ids ids.txt
  concord add index more.tsv --metadata more-metadata.jsonl")]
pub struct AddCommand {
    /// The index
    index: PathBuf,
    /// The passages: ColBERT's TSV (pid TAB text) or BEIR's corpus.jsonl
    #[arg(required_unless_present = "embeddings", conflicts_with = "embeddings")]
    collection: Option<PathBuf>,
    #[command(flatten)]
    given: EmbeddingArguments,
    #[command(flatten)]
    metadata: MetadataArguments,
    /// Delete passages of the index that have an id of these, instead of refusing these
    #[arg(long)]
    replace: bool,
    /// The checkpoint [default: where the index's log says it was]
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "embeddings")]
    checkpoint: Option<String>,
    #[command(flatten)]
    compute: ComputeArguments,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl AddCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.given.any()?;
        let progress = TerminalProgress::new();
        let report = match &self.collection {
            Some(collection) => {
                let adding = Adding {
                    collection: Arc::new(self.metadata.collection(collection)?),
                    checkpoint: self.checkpoint.clone(),
                    hub: environment::hub(),
                    compute: NativeOptions {
                        batch: self.compute.batch,
                        compute: self.compute.options()?,
                        ..NativeOptions::default()
                    },
                };
                add(&self.index, &adding, self.replace, &progress)?
            }
            None => {
                let compute = Compute::new(&self.compute.options_of_given_embeddings()?)?;
                let passages = self.metadata.embeddings(&self.given.files())?;
                add_embeddings(&self.index, passages, compute, self.replace, &progress)?
            }
        };
        let made_from = match self.collection {
            Some(_) => MadeFrom::Texts,
            None => MadeFrom::Embeddings,
        };
        print_addition(&self.index, &report, made_from, self.json)?;
        Ok(Outcome::Same)
    }
}
