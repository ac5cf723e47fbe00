//! `concord compact`.

use std::path::PathBuf;

use clap::Args;
use concord_engine::change::compact;

use crate::changed::print_change;
use crate::output::{Failure, Outcome};
use crate::progress::TerminalProgress;

/// Drop the deleted passages of an index for good.
///
/// The others are numbered anew, in the same order. Their ids stay what they are.
#[derive(Args)]
#[command(after_help = "Examples:
  concord compact index
  concord compact index --json")]
pub struct CompactCommand {
    /// The index
    index: PathBuf,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl CompactCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let report = compact(&self.index, &TerminalProgress::new())?;
        print_change(&self.index, &report, self.json)?;
        Ok(Outcome::Same)
    }
}
