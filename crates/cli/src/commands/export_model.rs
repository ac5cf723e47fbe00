//! `concord export-model`.

use std::path::PathBuf;

use clap::Args;
use concord_engine::embedded;
use concord_pipeline::Staging;

use crate::output::{Failure, Outcome, print};

/// The finished folder inside the staging folder.
const FINISHED: &str = "checkpoint";

/// Write the embedded checkpoint to a folder.
///
/// The folder is an ordinary ColBERT checkpoint in f32, which colbert-ai loads. Concord takes it for
/// the same checkpoint as concord-mini: an index built with either has the same hashes.
#[derive(Args)]
#[command(after_help = "Example:
  concord export-model concord-mini")]
pub struct ExportModelCommand {
    /// The folder to make
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

impl ExportModelCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let out = &self.out;
        if out.symlink_metadata().is_ok() {
            let out = out.display();
            return Err(format!("{out} is there already: remove it, or choose another DIR").into());
        }
        let checkpoint = embedded::checkpoint()?;
        let staging = Staging::open(out)?.not_kept();
        if let Err(error) = embedded::write_checkpoint(&checkpoint, &staging.path(FINISHED)) {
            staging.discard()?;
            return Err(error.into());
        }
        staging.publish(FINISHED)?;
        print(&format!(
            "{}: the checkpoint {} in f32, {}\n",
            out.display(),
            checkpoint.name(),
            checkpoint.hash()
        ))?;
        Ok(Outcome::Same)
    }
}
