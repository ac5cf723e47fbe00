//! `concord delete`.

use std::path::PathBuf;

use clap::Args;
use concord_engine::change::delete;

use crate::changed::print_change;
use crate::id_files::ids_in;
use crate::output::{Failure, Outcome};
use crate::progress::TerminalProgress;

/// Delete passages from an index.
///
/// They are not found any more. The other passages keep their numbers, also those behind them, until `concord compact`.
#[derive(Args)]
#[command(after_help = "Examples:
  concord delete index 17 18
  concord delete index --ids-from ids.txt --json")]
pub struct DeleteCommand {
    /// The index
    index: PathBuf,
    /// The ids of the passages
    #[arg(required_unless_present = "ids_from")]
    ids: Vec<String>,
    /// A file with more ids, one a line
    #[arg(long, value_name = "FILE")]
    ids_from: Option<PathBuf>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl DeleteCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let mut ids = self.ids;
        if let Some(path) = &self.ids_from {
            ids.extend(ids_in(path)?);
        }
        let named = ids.iter().map(String::as_str);
        let report = delete(&self.index, named, &TerminalProgress::new())?;
        print_change(&self.index, &report, self.json)?;
        Ok(Outcome::Same)
    }
}
