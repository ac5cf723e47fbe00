//! Builds an index, or goes on with one that was broken off.
//!
//! `cargo run --release --example build -- collection.tsv index [CHECKPOINT]`

use std::error::Error;

use concord::{Builder, Checkpoint, EMBEDDED};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [collection, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: build COLLECTION OUT [CHECKPOINT]".into());
    };
    let checkpoint = Checkpoint::load(rest.first().map_or(EMBEDDED, String::as_str))?;
    let built = Builder::new(&checkpoint)
        .on_progress(|step| eprintln!("{} {}/{} {}", step.stage, step.done, step.total, step.unit))
        .build(collection, out)?;
    for notice in &built.notices {
        eprintln!("note: {notice}");
    }
    println!(
        "{} passages, {} embeddings, {} centroids",
        built.passages, built.embeddings, built.centroids
    );
    Ok(())
}
