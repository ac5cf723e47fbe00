//! What comes from files cannot command a terminal, nor fill it.

use std::fs;

use crate::golden;
use crate::program::{Ended, Workplace};

/// What would move the cursor, colour text, ring, or turn the direction of text round.
const ACTIVE: &str = "\u{1b}[2J\u{1b}[31m\u{7}\u{9b}1m\u{202e}";

#[track_caller]
fn is_shown(ended: &Ended, escaped: &str) {
    for text in [&ended.out, &ended.err] {
        let active = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(active), "{text:?}");
    }
    let both = format!("{}{}", ended.out, ended.err);
    assert!(both.contains(escaped), "{both}");
}

/// A run whose manifest says `subject`, as one that was recorded before runs had hashes of their files.
fn run_of(place: &Workplace, name: &str, subject: &str) {
    place.done(&format!(
        "record native --checkpoint CHECKPOINT --collection COLLECTION --out {name}"
    ));
    let path = place.path(name).join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["subject"] = subject.into();
    fs::write(&path, manifest.to_string()).unwrap();
    fs::remove_file(place.path(name).join("SHA256SUMS")).unwrap();
}

#[test]
fn the_subject_of_a_run_is_written_out_and_cut() {
    let place = Workplace::new();
    run_of(&place, "a", &format!("native{ACTIVE}"));
    run_of(&place, "b", &"x".repeat(2_000_000));
    let ended = place.run("diff a b").with_code(0);
    is_shown(
        &ended,
        "native\\u{1b}[2J\\u{1b}[31m\\u{7}\\u{9b}1m\\u{202e}",
    );
    assert!(ended.out.contains("… (2000000 characters) …"));
    assert!(ended.out.lines().all(|line| line.len() < 5_000));
}

#[test]
fn texts_and_ids_of_a_collection_are_written_out() {
    let place = Workplace::new();
    let text = format!("a brown {ACTIVE} fox");
    let passages = fs::read_to_string(golden::collection()).unwrap();
    let passages = passages.lines().map(|line| format!("{line} {ACTIVE}\n"));
    place.file("texts.tsv", passages.collect::<String>());
    place.done("index texts.tsv --checkpoint CHECKPOINT --out index");
    is_shown(&place.done("search index fox --k 2"), " \\u{1b}[2J");
    is_shown(
        &place.done("search index fox --k 2 --matches"),
        "\\u{1b}[2J",
    );
    place.file("queries.tsv", format!("q\u{1b}[31m1\t{text}\n"));
    is_shown(
        &place.done("search index --queries queries.tsv --format table --k 1"),
        "q\\u{1b}[31m1: a brown",
    );
    // What programs read has them as they are.
    let tsv = place.done("search index --queries queries.tsv --k 1");
    assert!(tsv.out.starts_with("q\u{1b}[31m1\t"), "{:?}", tsv.out);
}

#[test]
#[cfg(unix)]
fn names_of_files_are_written_out_in_errors_and_make_no_lines() {
    let place = Workplace::new();
    let name = format!("a{ACTIVE}\nconcord: all is well.npy");
    for (arguments, shown) in [
        (vec!["diff", &name, &name], "a\\u{1b}[2J"),
        (vec!["verify", &name], "\\u{1b}[2J"),
        (
            vec!["record", "native", "--collection", &name, "--out", "run"],
            "\\nconcord: all is well",
        ),
    ] {
        let ended = Ended::of(&mut place.command(arguments)).with_code(2);
        is_shown(&ended, shown);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
    place.file(&name, "no tensor");
    let ended = Ended::of(&mut place.command(["diff", &name, &name])).with_code(2);
    is_shown(&ended, "\\u{202e}\\nconcord: all is well.npy");
}

#[test]
fn a_long_value_does_not_make_a_long_error() {
    let place = Workplace::new();
    run_of(&place, "a", "native");
    let long = format!(
        "{{\"concord\": \"{}\", \"version\": 2}}",
        "é".repeat(1_500_000)
    );
    fs::write(place.path("a/manifest.json"), long).unwrap();
    let ended = place.run("diff a a").with_code(2);
    assert!(ended.err.len() < 20_000, "{} bytes", ended.err.len());
    assert!(ended.err.contains(" characters) …"), "{}", ended.err);
    place
        .run("diff a a")
        .refused(&["manifest.json", "record the run again"]);
}
