//! Checks every byte of an index and, given its collection, computes all of it again.
//!
//! `cargo run --release --example verify -- index [collection.tsv [CHECKPOINT]]`

use std::error::Error;
use std::process::ExitCode;

use concord::{Checkpoint, EMBEDDED};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [index, rest @ ..] = arguments.as_slice() else {
        return Err("usage: verify INDEX [COLLECTION [CHECKPOINT]]".into());
    };
    let verified = concord::verify(index)?;
    for finding in &verified.findings {
        println!("{finding}");
    }
    let mut same = verified.findings.is_empty();
    println!(
        "{} files, {} findings",
        verified.files,
        verified.findings.len()
    );
    if let Some(collection) = rest.first() {
        let checkpoint = Checkpoint::load(rest.get(1).map_or(EMBEDDED, String::as_str))?;
        let rebuilt = concord::rebuild(index, collection, &checkpoint)?;
        println!(
            "{} artifacts computed again, {} differ",
            rebuilt.compared,
            rebuilt.differing.len()
        );
        same &= rebuilt.differing.is_empty();
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
