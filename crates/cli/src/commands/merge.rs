//! `concord merge`.

use std::path::PathBuf;

use clap::Args;
use concord_engine::change::merge;

use crate::changed::print_change;
use crate::output::{Failure, Outcome};
use crate::progress::TerminalProgress;

/// Merge indexes into a new one.
///
/// They must have the same checkpoint, settings and codec, as shards have that are built with the codec of the first
/// (`concord index --swap`, for each of centroids, bucket_cutoffs, bucket_weights and avg_residual). The passages of
/// the first come first. Ids must be different; where no index has ids of its own, passages are numbered on.
#[derive(Args)]
#[command(after_help = "Examples:
  concord merge shard-0 shard-1 shard-2 --out index
  concord merge old new --out index --json")]
pub struct MergeCommand {
    /// The indexes
    #[arg(required = true, num_args = 2..)]
    indexes: Vec<PathBuf>,
    /// The folder that will hold the merged index
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl MergeCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let report = merge(&self.indexes, &self.out, &TerminalProgress::new())?;
        print_change(&self.out, &report, self.json)?;
        Ok(Outcome::Same)
    }
}
