//! Index folders: what is put in their place, what is wrong with them, and what they depend on.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::folder::{self, assert_same, index_files};
use crate::golden;
use crate::program::Workplace;

const BUILD: &str = "index COLLECTION --checkpoint CHECKPOINT --out index";

/// Takes the hash out of a manifest, as those of earlier versions have none.
fn without_hash(index: &Path) {
    let path = index.join("concord.json");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.rsplit_once(",\n  \"hash\": \"").unwrap();
    fs::write(&path, format!("{before}\n}}\n")).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn names_of_inputs_are_in_the_log_and_change_nothing_else() {
    let place = Workplace::new();
    let first = index_files(&place.golden_index("index"));
    folder::copy(&golden::checkpoint(), &place.path("another-name"));
    fs::copy(golden::collection(), place.path("c.tsv")).unwrap();
    let build = |out: &str| {
        place.done(&format!(
            "index c.tsv --checkpoint another-name --out {out}"
        ));
    };
    build("other");
    assert_same(
        &index_files(&place.path("other")),
        &first,
        "inputs of other names",
    );
    let log = fs::read_to_string(place.path("other").join(folder::LOG)).unwrap();
    assert!(
        log.contains("c.tsv") && log.contains("another-name"),
        "{log}"
    );
    for file in ["metadata.json", "plan.json", "concord.json"] {
        let text = String::from_utf8(first[file].clone()).unwrap();
        assert!(
            !text.contains("collection.tsv") && !text.contains("/checkpoint"),
            "{file}"
        );
    }
    let ended = place.done("index c.tsv --checkpoint another-name --out index");
    assert!(
        ended.out.contains("holds this index already"),
        "{}",
        ended.out
    );
    place.done("search other fox");
    place.done("diff index other");
}

#[test]
fn an_index_is_replaced_when_it_is_asked_for() {
    let place = Workplace::new();
    place.golden_index("index");
    place
        .run(&format!("{BUILD} --nbits 4"))
        .refused(&["nbits", "--replace"]);
    place.done(&format!("{BUILD} --nbits 4 --replace"));
    place.done("index COLLECTION --checkpoint CHECKPOINT --nbits 4 --out fresh");
    let [a, b] = ["index", "fresh"].map(|index| index_files(&place.path(index)));
    assert_same(&a, &b, "replaced");
    let ended = place.done(&format!("{BUILD} --nbits 4 --replace"));
    assert!(
        ended.out.contains("holds this index already"),
        "{}",
        ended.out
    );
    // What is at the place of the index, and is none, is never removed.
    place.file("index/notes.txt", "mine");
    place
        .run(&format!("{BUILD} --replace"))
        .refused(&["notes.txt", "move it away"]);
    assert_eq!(fs::read(place.path("index/notes.txt")).unwrap(), b"mine");
    place.done("index COLLECTION --checkpoint CHECKPOINT --replace --out new");
    assert_eq!(place.names(), ["fresh", "index", "new"]);
}

#[test]
fn an_index_that_is_damaged_is_not_said_to_be_there() {
    let place = Workplace::new();
    place.golden_index("index");
    fs::remove_file(place.path("index/0.codes.pt")).unwrap();
    place
        .run(BUILD)
        .refused(&["damaged", "0.codes.pt", "--replace"]);
    place.done(&format!("{BUILD} --replace"));
    place.done("verify index");
}

#[test]
fn the_output_is_looked_at_before_the_work() {
    let place = Workplace::new();
    fs::create_dir(place.path("empty")).unwrap();
    symlink("empty", place.path("link")).unwrap();
    place.done(&BUILD.replace("--out index", "--out link"));
    assert!(place.path("link").is_symlink());
    place.done("verify empty");
    assert_eq!(place.names(), ["empty", "link"]);

    symlink("ring", place.path("ring")).unwrap();
    let refused = |out: &str, said: &[&str]| {
        let ended = place.run(&BUILD.replace("--out index", &format!("--out {out}")));
        assert!(
            !ended.err.contains("passages"),
            "nothing was encoded: {}",
            ended.err
        );
        ended.refused(said);
    };
    refused("ring", &["ring"]);
    place.file("file", "");
    refused("file", &["file", "choose another --out"]);
    symlink("file", place.path("to-file")).unwrap();
    refused("to-file", &["to-file", "choose another --out"]);
    fs::create_dir(place.path("full")).unwrap();
    place.file("full/thesis.txt", "");
    symlink("full", place.path("to-full")).unwrap();
    refused("to-full", &["to-full", "choose another --out"]);
    if fs::create_dir("/proc/concord").is_err() {
        refused("/proc/concord", &["/proc"]);
    }
}

#[test]
fn an_altered_manifest_is_found_and_one_without_a_hash_is_told() {
    let place = Workplace::new();
    let index = place.golden_index("index");
    let ended = place.done("verify index");
    assert!(
        ended.out.contains("their manifest, every byte"),
        "{}",
        ended.out
    );
    without_hash(&index);
    let ended = place.done("verify index");
    assert!(ended.err.contains("no hash of its own"), "{}", ended.err);
    assert!(!ended.out.contains("their manifest"), "{}", ended.out);
    let ended = place.done("verify index --json");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["manifest_has_hash"], false);
    place.done("search index fox");

    place.golden_index("other");
    edit(
        &place.path("other/concord.json"),
        "\"seed\": 12345",
        "\"seed\": 12344",
    );
    let ended = place.run("verify other").with_code(1);
    assert!(
        ended.out.contains("concord.json") && ended.out.contains("altered"),
        "{}",
        ended.out
    );
    place
        .run("search other fox")
        .refused(&["concord.json", "altered"]);
    place
        .run("diff index other")
        .refused(&["concord.json", "altered"]);
    place.run("verify other --rebuild COLLECTION").with_code(1);
}

#[test]
fn diff_says_in_what_two_indexes_are_the_same_and_in_what_they_are_not() {
    let place = Workplace::new();
    let [a, b] = ["a", "b"].map(|name| place.golden_index(name));
    fs::remove_file(b.join("concord.json")).unwrap();
    // The log says whose index it is, so one of its files is gone.
    let ended = place.run("diff a b").with_code(2);
    assert!(
        ended.out.contains("B is damaged: concord.json"),
        "{}",
        ended.out
    );
    fs::remove_file(b.join("concord.log.json")).unwrap();
    let ended = place.done("diff a b");
    assert!(
        ended.out.contains("in 9 of ") && ended.out.contains("not compared"),
        "{}",
        ended.out
    );
    edit(&b.join("metadata.json"), "\"nbits\": 2", "\"nbits\": 4");
    let ended = place.run("diff a b").with_code(1);
    assert!(
        ended.out.contains("in how they are read: `nbits`"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("option `nbits` differs (2 and 4)"),
        "{}",
        ended.out
    );
    edit(&a.join("plan.json"), "\"nbits\": 2", "\"nbits\": 8");
    let ended = place.run("diff a b").with_code(1);
    assert!(
        ended.out.contains("A is damaged: plan.json was altered"),
        "{}",
        ended.out
    );
    let ended = place.run("diff a a").with_code(2);
    assert!(ended.err.contains("damaged"), "{}", ended.err);
    fs::remove_file(a.join("concord.json")).unwrap();
    edit(
        &b.join("metadata.json"),
        "\"num_chunks\": 1",
        "\"num_chunks\": 0",
    );
    fs::remove_file(b.join("0.codes.pt")).unwrap();
    place
        .run("diff a b")
        .refused(&["b/metadata.json", "num_chunks"]);
    place
        .run("diff b b")
        .refused(&["b/metadata.json", "num_chunks"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_told_and_nothing_waits_for_it() {
    for file in [
        "metadata.json",
        "concord.json",
        "centroids.pt",
        "doclens.0.json",
    ] {
        let place = Workplace::new();
        let index = place.golden_index("index");
        place.golden_index("whole");
        fs::remove_file(index.join(file)).unwrap();
        let made = Command::new("mkfifo")
            .arg(index.join(file))
            .status()
            .unwrap();
        assert!(made.success());
        for line in [
            "verify index",
            "search index fox",
            "diff index whole",
            BUILD,
        ] {
            let ended = place.run(line);
            assert_ne!(ended.code, Some(0), "{line}, {file}");
            let said = format!("{}{}", ended.out, ended.err);
            assert!(
                said.contains(file) || said.contains("neither"),
                "{line}, {file}: {said}"
            );
        }
    }
}

#[test]
fn an_index_of_concord_without_its_manifest_is_not_verified() {
    let place = Workplace::new();
    place.done("index COLLECTION --checkpoint CHECKPOINT --out index");
    let manifest = place.path("index").join("concord.json");
    fs::remove_file(&manifest).unwrap();
    place
        .run("verify index")
        .refused(&["concord.json is missing"]);
    // A link to nothing is no manifest either, and not the absence of one.
    symlink("nothing", &manifest).unwrap();
    for line in ["verify index", "search index fox", "diff index index"] {
        place
            .run(line)
            .refused(&["concord.json", "a link to a file that is not there"]);
    }
}

#[test]
fn words_that_match_are_shown_also_where_a_passage_has_no_embeddings() {
    let place = Workplace::new();
    let index = place.golden_index("index");
    fs::remove_file(index.join("concord.json")).unwrap();
    let path = index.join("doclens.0.json");
    let mut lengths: Vec<u64> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    lengths[1] += lengths[0];
    lengths[0] = 0;
    fs::write(&path, serde_json::to_vec(&lengths).unwrap()).unwrap();
    place.done(
        "search index fox --matches --k 200 --ncells 512 --ndocs 10000 --threshold -9 --checkpoint CHECKPOINT \
         --collection COLLECTION",
    );
}
