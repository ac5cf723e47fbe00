//! Says which artifacts of two indexes differ.
//!
//! `cargo run --release --example diff -- index-before index-after`

use std::error::Error;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [before, after] = arguments.as_slice() else {
        return Err("usage: diff INDEX INDEX".into());
    };
    let diff = concord::diff(before, after)?;
    for artifact in &diff.artifacts {
        let said = if artifact.same { "same" } else { "different" };
        println!("{:15} {said}", artifact.name);
    }
    Ok(if diff.same() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
