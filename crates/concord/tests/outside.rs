//! A program outside the workspace that depends on the library.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

const MANIFEST: &str = r#"
[package]
name = "outside"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
concord = { path = "CONCORD" }
"#;

const PROGRAM: &str = r#"
use concord::{Builder, Checkpoint};
use concord::Searcher;

fn main() -> Result<(), concord::Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let checkpoint = Checkpoint::load(&arguments[1])?;
    Builder::new(&checkpoint).build(&arguments[2], "index")?;
    let hits = Searcher::open("index")?.search("the museum opens on sunday", 3)?;
    println!("{}", hits.len());
    Ok(())
}
"#;

#[test]
fn a_program_of_its_own_builds_and_searches_with_two_uses() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = crate_folder.join("../../tests/golden");
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path();
    let concord = crate_folder.display().to_string().replace('\\', "/");
    let manifest = fs::read_to_string(crate_folder.join("../../Cargo.toml")).unwrap();
    let profiles = &manifest[manifest.find("[profile.dev]").unwrap()..];
    fs::create_dir(project.join("src")).unwrap();
    fs::write(
        project.join("Cargo.toml"),
        format!("{}\n{profiles}", MANIFEST.replace("CONCORD", &concord)),
    )
    .unwrap();
    fs::write(project.join("src/main.rs"), PROGRAM).unwrap();
    fs::copy(
        crate_folder.join("../../Cargo.lock"),
        project.join("Cargo.lock"),
    )
    .unwrap();
    // With the workspace's versions and profiles, what the tests were compiled with is not compiled again.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--target-dir"])
        .arg(target)
        .arg("--")
        .args([golden.join("checkpoint"), golden.join("collection.tsv")])
        .current_dir(project)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n", "{errors}");
}
