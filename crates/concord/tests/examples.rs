//! The programs under `examples/`, run as a reader would run them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where `cargo test` has put an example.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.is_file(),
        "{} is not there: `cargo test -p concord` builds examples, `--test` alone does not",
        program.display()
    );
    Command::new(program)
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(name)
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

/// What the design promises: these ten lines and no others.
const FIRST_INDEX: &str = r#"
    let checkpoint = concord::Checkpoint::load("colbert-ir/colbertv2.0")?;
    concord::Builder::new(&checkpoint).nbits(2).build("collection.tsv", "index")?;
    let searcher = concord::Searcher::open("index")?;          // owned, Arc inside, checks what the program checks
    for hit in searcher.search("parking fine", 10)? { println!("{} {}", hit.id, hit.score); }
"#;

#[test]
fn the_first_index_is_built_and_searched_as_written() {
    let source = include_str!("../examples/first_index.rs");
    assert!(source.contains(FIRST_INDEX.trim_matches('\n')));

    // A cache in which the hub's checkpoint is a tiny one, and no way to the hub itself.
    let home = tempfile::tempdir().unwrap();
    let repository = home
        .path()
        .join(".cache/huggingface/hub/models--colbert-ir--colbertv2.0");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = repository.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), commit).unwrap();
    for entry in fs::read_dir(golden("checkpoint")).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), snapshot.join(file.file_name())).unwrap();
    }
    fs::copy(golden("collection.tsv"), home.path().join("collection.tsv")).unwrap();

    let nowhere = "http://127.0.0.1:9";
    let output = example("first_index")
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("USERPROFILE", home.path())
        .env("HTTPS_PROXY", nowhere)
        .env("HTTP_PROXY", nowhere)
        .env("ALL_PROXY", nowhere)
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    let hits: Vec<(u32, f32)> = lines
        .lines()
        .map(|line| {
            let (id, score) = line.split_once(' ').unwrap();
            (id.parse().unwrap(), score.parse().unwrap())
        })
        .collect();
    assert_eq!(hits.len(), 10, "{lines}");
    assert!(hits.is_sorted_by(|a, b| a.1 >= b.1), "{lines}");
    let metadata = fs::read_to_string(home.path().join("index/metadata.json")).unwrap();
    assert!(metadata.contains("\"nbits\": 2"), "{metadata}");
}

#[test]
fn an_index_is_built_searched_verified_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (index, again) = (folder.path().join("index"), folder.path().join("again"));
    let (collection, checkpoint) = (golden("collection.tsv"), golden("checkpoint"));

    for out in [&index, &again] {
        let output = example("build")
            .args([&collection, out, &checkpoint])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with("120 passages, "), "{said}");
    }

    let output = example("search")
        .arg(&index)
        .args(["the museum opens on sunday", "rain"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 2 + 2 * 3, "{said}");

    let output = example("verify")
        .args([&index, &collection, &checkpoint])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(" 0 differ"), "{}", text(&output));

    let output = example("diff").args([&index, &again]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let reference = golden("torch-1.13.1/index");
    let output = example("diff").args([&index, &reference]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("different"), "{}", text(&output));
}
