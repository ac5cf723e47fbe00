//! Runs that were altered after they were recorded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::folder;
use crate::program::Workplace;

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

fn two_runs() -> Workplace {
    let place = Workplace::new();
    for (name, subject) in [("a", "native"), ("b", "native,gemm=split-k:4")] {
        place.done(&format!(
            "record {subject} {ON} --taps linear --keep all --out {name}"
        ));
    }
    place
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    let place = place % bytes.len();
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The blob of the first chunk of an artifact, or of a tap.
fn blob(run: &Path, name: &str) -> PathBuf {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let event = events.lines().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["artifact"] == name || event["tap"] == name).then_some(event)
    });
    let event = event.unwrap();
    let hash = event["blob"]
        .as_str()
        .or(event["fields"][0]["hash"].as_str());
    let digits = hash.unwrap().replace("sha256:", "");
    run.join("blobs")
        .join(&digits[..2])
        .join(digits + ".safetensors")
}

#[test]
fn a_flipped_bit_in_a_value_is_damage_and_no_difference() {
    let place = two_runs();
    place.run("diff a b").with_code(1);
    for name in ["embs", "D", "linear"] {
        let blob = blob(&place.path("a"), name);
        let len = fs::metadata(&blob).unwrap().len() as usize;
        // In the header, in the first element, and in the last.
        for at in [20, len / 2, len - 1] {
            flip(&blob, at);
            let file = blob.file_name().unwrap().to_str().unwrap();
            place.run("diff a b").refused(&[file]);
            place.run("diff b a --json").refused(&[file]);
            flip(&blob, at);
        }
    }
    let embs = blob(&place.path("a"), "embs");
    flip(&embs, usize::MAX / 2);
    let file = embs.file_name().unwrap().to_str().unwrap();
    place
        .run("index COLLECTION --checkpoint CHECKPOINT --swap embs=a --out index")
        .refused(&[file]);
    assert_eq!(place.names(), ["a", "b"]);
}

#[test]
fn a_flipped_bit_in_another_file_of_a_run_is_named() {
    let place = two_runs();
    for name in ["manifest.json", "events.jsonl", "SHA256SUMS"] {
        let path = place.path("b").join(name);
        for at in [1, 40, 77, 1_000_003] {
            flip(&path, at);
            place.run("diff a b").refused(&[name]);
            let explained = place.run("explain a b").with_code(2);
            assert!(explained.err.contains(name), "{}", explained.err);
            place.run(&format!("diff native b {ON}")).refused(&[name]);
            place
                .run("index COLLECTION --checkpoint CHECKPOINT --swap embs=b --out index")
                .refused(&[name]);
            flip(&path, at);
        }
    }
    place.run("diff a b").with_code(1);
}

#[test]
fn a_flipped_bit_in_a_value_is_damage_wherever_explain_and_the_referee_read_it() {
    let place = two_runs();
    let live = format!("explain a native,gemm=split-k:4 {ON} --once");
    let damaged = |name: &str, lines: &[&str]| {
        let blob = blob(&place.path("a"), name);
        let len = fs::metadata(&blob).unwrap().len() as usize;
        flip(&blob, len - 1);
        let file = blob.file_name().unwrap().to_str().unwrap();
        for line in lines {
            let ended = place.run(line).with_code(2);
            assert!(ended.err.contains(file), "{name}: {line}: {}", ended.err);
            assert!(ended.err.contains("is damaged"), "{}", ended.err);
            assert_eq!(ended.out, "", "{line}");
        }
        flip(&blob, len - 1);
    };
    let referee = format!("diff a b --referee {ON}");
    // Values that differ are read to be compared.
    for name in ["embs", "D", "batches", "centroids"] {
        let lines = [&live, "explain a b", "explain b a --json", &referee];
        damaged(name, &lines);
    }
    // So are those of modules, where both sides have them.
    damaged("linear", &["explain a b", "explain b a", &referee]);
    // What is the same by its hash is read where a stage of the other side is given it.
    for name in ["doclens", "sampled_pids"] {
        damaged(name, &[&live]);
    }
    // And what nobody reads changes nothing that is said.
    let whole = place.run(&live).with_code(1).out;
    for name in ["tensorize_output", "passages", "plan"] {
        let blob = blob(&place.path("a"), name);
        let len = fs::metadata(&blob).unwrap().len() as usize;
        flip(&blob, len - 1);
        assert_eq!(place.run(&live).with_code(1).out, whole, "{name}");
        flip(&blob, len - 1);
    }
}

#[test]
fn what_cannot_be_checked_is_said() {
    let place = two_runs();
    fs::remove_file(place.path("b/SHA256SUMS")).unwrap();
    let ended = place.run("diff a b").with_code(1);
    assert!(
        ended
            .out
            .contains("note: b was recorded without SHA256SUMS"),
        "{}",
        ended.out
    );
    let ended = place.run("explain a b").with_code(1);
    assert!(
        ended.err.contains("b was recorded without SHA256SUMS"),
        "{}",
        ended.err
    );
}

#[test]
fn a_damaged_note_or_value_of_an_unfinished_build_is_computed_again_and_that_is_said() {
    let whole = Workplace::new();
    let expected = folder::index_files(&whole.golden_index("index"));
    let place = Workplace::new();
    let build = "index COLLECTION --checkpoint CHECKPOINT --out index";
    // As a build leaves it that was killed before the last step.
    place.done(build);
    fs::rename(place.path("index"), place.path("other")).unwrap();
    fs::create_dir_all(place.path(".index.building/store")).unwrap();
    fs::write(place.path("aside"), "").unwrap();
    let mut killed = place.command(crate::program::words(build));
    killed.stderr(std::process::Stdio::null());
    let mut killed = killed.spawn().unwrap();
    let memory = place.path(".index.building/store/memory");
    while fs::read_dir(&memory).map_or(0, Iterator::count) == 0 {
        if killed.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let damaged: Vec<PathBuf> = match fs::read_dir(&memory) {
        Ok(notes) => notes
            .map(|note| note.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect(),
        Err(_) => Vec::new(),
    };
    for note in &damaged {
        let at = fs::read_to_string(note).unwrap().find("sha256:").unwrap() + 9;
        flip(note, at);
    }
    let ended = place.done(build);
    if !damaged.is_empty() {
        assert!(ended.err.contains("is computed again"), "{}", ended.err);
    }
    folder::assert_same(
        &folder::index_files(&place.path("index")),
        &expected,
        "after damage",
    );
}
