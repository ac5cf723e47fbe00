//! What `bench/encoders.py` measures that is written in Rust. Each subcommand but `tokenize` is a process
//! that waits for [requests](rounds).

#[cfg(feature = "candle")]
mod candle;
mod collection;
mod concord;
mod indexes;
mod linear;
mod npy;
mod peaks;
mod queries;
mod rounds;
mod searches;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use concord_corpus::{Collection, Queries};
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_model::precision::Precision;
use serde_json::Value;

use indexes::{Asked, ConcordIndex};
use peaks::Peak;
use queries::QueryEmbeddings;
use searches::Searches;
use tokens::Tokens;

#[derive(Parser)]
#[command(about)]
enum Command {
    /// Write the token ids that every engine encodes.
    Tokenize {
        #[arg(long)]
        checkpoint: String,
        #[arg(long)]
        collection: PathBuf,
        #[arg(long)]
        passages: usize,
        #[arg(long)]
        query: String,
        #[arg(long)]
        out: PathBuf,
    },
    /// Measure what the cores can do at most.
    Peaks {
        #[arg(long)]
        threads: usize,
    },
    /// Measure one linear layer of Concord.
    Linear {
        #[arg(long)]
        precision: String,
        #[arg(long)]
        threads: usize,
    },
    /// Write the embeddings of a collection and of queries, of which indexes are built.
    Embed {
        #[arg(long)]
        checkpoint: String,
        #[arg(long)]
        collection: PathBuf,
        #[arg(long)]
        queries: PathBuf,
        #[arg(long)]
        out: PathBuf,
    },
    /// Measure the search of Concord's index.
    SearchConcord {
        #[command(flatten)]
        searched: Searched,
        #[command(flatten)]
        asked: Asked,
    },
    /// Measure an encoder.
    #[command(flatten)]
    Encoder(Engine),
}

#[derive(clap::Args)]
struct Searched {
    /// A folder with queries.
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    index: PathBuf,
    #[arg(long)]
    threads: usize,
}

#[derive(Subcommand)]
enum Engine {
    /// Measure Concord's encoder.
    Concord {
        #[command(flatten)]
        input: Input,
        #[arg(long)]
        precision: String,
    },
    /// Measure candle's encoder.
    #[cfg(feature = "candle")]
    Candle {
        #[command(flatten)]
        input: Input,
    },
}

#[derive(clap::Args)]
struct Input {
    /// A folder.
    #[arg(long)]
    checkpoint: String,
    /// What `tokenize` wrote.
    #[arg(long)]
    tokens: PathBuf,
    #[arg(long)]
    threads: usize,
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
        Command::Tokenize {
            checkpoint,
            collection,
            passages,
            query,
            out,
        } => {
            let collection = Collection::open(collection).map_err(|e| e.to_string())?;
            Tokens::of(&load(&checkpoint)?, &collection, passages, &query)?.write(&out)
        }
        Command::Peaks { threads } => serve("peaks", Ok(()), |(), request, _| {
            let peak = <Peak as clap::ValueEnum>::from_str(request, false)?;
            peak.measure(threads).map(Value::from)
        }),
        Command::Linear { precision, threads } => {
            let name = format!("linear in {precision}");
            serve(
                &name,
                linear::check(&precision),
                |(), request, _| match request {
                    "linear" => linear::measure(&precision, threads).map(Value::from),
                    unknown => rounds::unknown(unknown),
                },
            )
        }
        Command::Embed {
            checkpoint,
            collection,
            queries,
            out,
        } => {
            let collection = Collection::open(collection).map_err(|e| e.to_string())?;
            let queries = Queries::open(queries).map_err(|e| e.to_string())?;
            collection::embed(&load(&checkpoint)?, &collection, &queries, &out)
        }
        Command::SearchConcord { searched, asked } => {
            let opened = ConcordIndex::open(&searched.index, searched.threads, asked);
            search("Concord", &searched, opened)
        }
        Command::Encoder(engine) => encoder(engine),
    }
}

fn search(
    name: &str,
    searched: &Searched,
    opened: Result<impl Searches, String>,
) -> Result<(), String> {
    let both = opened.and_then(|index| Ok((index, QueryEmbeddings::read(&searched.data)?)));
    serve(name, both, |(index, queries), request, rest| {
        searches::answer(index, queries, request, rest)
    })
}

fn encoder(engine: Engine) -> Result<(), String> {
    match engine {
        Engine::Concord { input, precision } => {
            let of_word = || -> Result<concord::Concord, String> {
                let precision: Precision = precision.parse().map_err(|e| format!("{e}"))?;
                let tokens = Tokens::read(&input.tokens)?;
                let checkpoint = load(&input.checkpoint)?;
                concord::Concord::new(&checkpoint, precision, input.threads, tokens)
            };
            let name = format!("Concord {precision}");
            serve(&name, of_word(), |concord, request, rest| {
                concord.answer(request, rest)
            })
        }
        #[cfg(feature = "candle")]
        Engine::Candle { input } => {
            let of_files = || -> Result<candle::Candle, String> {
                let tokens = Tokens::read(&input.tokens)?;
                candle::Candle::new(input.checkpoint.as_ref(), tokens)
            };
            let name = format!("candle {}", candle::VERSION);
            serve(&name, of_files(), |candle, request, rest| {
                candle.answer(request, rest)
            })
        }
    }
}

/// Serves what was made, or says why it was not.
fn serve<T>(
    name: &str,
    made: Result<T, String>,
    answer: impl Fn(&T, &str, &str) -> Result<Value, String>,
) -> Result<(), String> {
    let served = match made {
        Ok(made) => rounds::serve(name, |request, rest| answer(&made, request, rest)),
        Err(reason) => rounds::refuse(&reason),
    };
    served.map_err(|e| e.to_string())
}

/// The checkpoint in a folder: what every engine can read.
fn load(folder: &str) -> Result<Checkpoint, String> {
    if !Path::new(folder).is_dir() {
        return Err(format!("{folder} is no folder with a checkpoint"));
    }
    let unused = HubOptions::new("");
    Checkpoint::load(folder, &unused).map_err(|e| e.to_string())
}
