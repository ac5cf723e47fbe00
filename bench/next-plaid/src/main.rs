//! next-plaid, as `bench/indexes.py` measures it. `search` waits for [requests](rounds).

mod next_plaid;
#[path = "../../peers/src/npy.rs"]
mod npy;
#[path = "../../peers/src/queries.rs"]
mod queries;
#[path = "../../peers/src/rounds.rs"]
mod rounds;
#[path = "../../peers/src/searches.rs"]
mod searches;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use next_plaid::NextPlaid;
use queries::QueryEmbeddings;

#[derive(Parser)]
#[command(about)]
enum Command {
    /// Build an index.
    Build {
        /// A folder with the embeddings of passages.
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        nbits: usize,
        #[arg(long)]
        niters: usize,
        #[arg(long)]
        out: PathBuf,
    },
    /// Measure the search of an index.
    Search {
        /// A folder with queries.
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        index: PathBuf,
        /// Named for what is recorded; the libraries go by variables.
        #[arg(long)]
        threads: usize,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Build {
            data,
            nbits,
            niters,
            out,
        } => {
            println!("{}", next_plaid::build(&data, nbits, niters, &out)?);
            Ok(())
        }
        Command::Search { data, index, .. } => {
            let opened = NextPlaid::open(&index);
            let both = opened.and_then(|index| Ok((index, QueryEmbeddings::read(&data)?)));
            let name = format!("next-plaid {}", next_plaid::VERSION);
            let served = match both {
                Ok((index, queries)) => rounds::serve(&name, |request, rest| {
                    searches::answer(&index, &queries, request, rest)
                }),
                Err(reason) => rounds::refuse(&reason),
            };
            served.map_err(|error| error.to_string())
        }
    }
}
