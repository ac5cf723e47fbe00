//! The commands, one file each.

mod add;
mod agent;
mod compact;
mod delete;
mod demo;
mod diff;
mod env;
mod explain;
mod export_model;
mod index;
mod matrix;
mod merge;
mod record;
mod reveal;
mod search;
mod sweep;
mod verify;

use clap::Subcommand;

use crate::output::{Failure, Outcome};

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Show all of it on embedded data, without network or files
    Demo(demo::DemoCommand),
    /// Build an index of a collection
    Index(index::IndexCommand),
    /// Add passages to an index
    Add(add::AddCommand),
    /// Delete passages from an index
    Delete(delete::DeleteCommand),
    /// Drop the deleted passages of an index for good
    Compact(compact::CompactCommand),
    /// Merge indexes into a new one
    Merge(merge::MergeCommand),
    /// Search an index
    Search(search::SearchCommand),
    /// Check every byte of an index
    Verify(verify::VerifyCommand),
    /// Run a subject and keep what it computed
    Record(record::RecordCommand),
    /// Compare two runs, indexes, tensor files or subjects, artifact by artifact
    Diff(diff::DiffCommand),
    /// Explain where two builds part, and why
    Explain(explain::ExplainCommand),
    /// Find the order in which an operation adds, or the formula that it computes
    Reveal(reveal::RevealCommand),
    /// Find out which shapes of a batch change the bits of a module
    Sweep(sweep::SweepCommand),
    /// Compare subjects, each with the next
    Matrix(matrix::MatrixCommand),
    /// Make, list and remove the Python environments of PyTorch subjects
    Env(env::EnvCommand),
    /// Write the agent, which records inside PyTorch, to standard output
    Agent(agent::AgentCommand),
    /// Write the embedded checkpoint to a folder
    ExportModel(export_model::ExportModelCommand),
}

impl Command {
    pub fn run(self) -> Result<Outcome, Failure> {
        match self {
            Command::Demo(command) => command.run(),
            Command::Index(command) => command.run(),
            Command::Add(command) => command.run(),
            Command::Delete(command) => command.run(),
            Command::Compact(command) => command.run(),
            Command::Merge(command) => command.run(),
            Command::Search(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Record(command) => command.run(),
            Command::Diff(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Reveal(command) => command.run(),
            Command::Sweep(command) => command.run(),
            Command::Matrix(command) => command.run(),
            Command::Env(command) => command.run(),
            Command::Agent(command) => command.run(),
            Command::ExportModel(command) => command.run(),
        }
    }
}
