//! The `concord` program: arguments in, exit codes out, no logic of its own.
//!
//! Exit codes are those of `diff` and `grep`: 0 the same (or done), 1 different, 2 trouble.

mod changed;
mod chosen;
mod commands;
mod embedded_collection;
mod environment;
mod id_files;
mod inputs;
mod interruption;
mod matches;
mod metadata_arguments;
mod output;
mod progress;
mod referee;
mod subjects;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;

/// Build ColBERT indexes that are the same bit for bit, search them, and find out where two differ.
#[derive(Parser)]
#[command(
    name = "concord",
    version,
    max_term_width = 100,
    subcommand_required = true
)]
#[command(after_help = "Exit codes: 0 the same or done, 1 different, 2 trouble.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interruption::listen();
    let ended = arguments.command.run();
    // What went wrong because the process is stopped is not to be told.
    interruption::end_if_stopping();
    output::exit_code(ended)
}
