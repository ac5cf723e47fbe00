//! Indexes in which a file is missing, cut short or altered.

use std::fs;
use std::path::Path;

use crate::folder;
use crate::golden;
use crate::program::Workplace;

/// `verify` finds what `damage` did to a file, and `search` refuses to search; both name the file.
#[track_caller]
fn is_found(file: &str, damage: impl FnOnce(&Path), said: &str) {
    let place = Workplace::new();
    let index = place.golden_index("index");
    damage(&index.join(file));
    let ended = place.run("verify index").with_code(1);
    assert!(
        ended.out.contains(file) && ended.out.contains(said),
        "{}",
        ended.out
    );
    place.run("search index fox").refused(&["index", file]);
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn cut_short(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_missing_file_is_found() {
    is_found("0.codes.pt", remove, "missing");
    is_found("doclens.0.json", remove, "missing");
}

#[test]
fn a_file_cut_short_is_found() {
    is_found("0.residuals.pt", cut_short, "bytes");
}

#[test]
fn an_altered_bit_is_found() {
    is_found("0.residuals.pt", flip_a_bit, "altered");
    is_found("centroids.pt", flip_a_bit, "altered");
    is_found("metadata.json", flip_a_bit, "altered");
}

#[test]
fn a_file_that_does_not_belong_there_is_found() {
    let place = Workplace::new();
    let index = place.golden_index("index");
    fs::write(index.join("1.codes.pt"), "").unwrap();
    let ended = place.run("verify index").with_code(1);
    assert!(ended.out.contains("1.codes.pt"), "{}", ended.out);
}

#[test]
fn findings_are_listed_as_json() {
    let place = Workplace::new();
    let index = place.golden_index("index");
    remove(&index.join("buckets.pt"));
    flip_a_bit(&index.join("ivf.pid.pt"));
    let ended = place.run("verify index --json").with_code(1);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["same"], false);
    let mut findings: Vec<(&str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["file"].as_str().unwrap(), f["problem"].as_str().unwrap()))
        .collect();
    findings.sort_unstable();
    assert_eq!(
        findings,
        [("buckets.pt", "missing"), ("ivf.pid.pt", "altered")]
    );
}

#[test]
fn an_index_as_it_was_built_is_confirmed_also_by_building_it_again() {
    let place = Workplace::new();
    place.golden_index("index");
    let ended = place.done("verify index --rebuild COLLECTION --batch 5 --threads 1");
    assert!(ended.out.contains("every byte"), "{}", ended.out);
    let (same, all) = ended
        .out
        .split_once("built again: ")
        .and_then(|(_, rest)| rest.split_once(" artifacts"))
        .and_then(|(counts, _)| counts.split_once(" of "))
        .unwrap();
    assert_eq!(same, all);
}

#[test]
fn building_again_from_another_collection_is_refused_by_name() {
    let place = Workplace::new();
    place.golden_index("index");
    place.file("other.tsv", "0\tsome other text\n");
    place.run("verify index --rebuild other.tsv").refused(&[
        "other.tsv",
        "collection",
        "built from",
    ]);
}

#[test]
fn what_is_no_index_is_not_taken_for_one() {
    let place = Workplace::new();
    place.file("a-file", "");
    for line in ["verify nowhere", "verify a-file", "search nowhere fox"] {
        let path = line.split(' ').nth(1).unwrap();
        place.run(line).refused(&[path, "no ColBERT index"]);
    }
}

#[test]
fn a_missing_chunk_of_the_references_index_is_found_though_it_has_no_manifest() {
    let place = Workplace::new();
    let index = place.path("index");
    folder::copy(
        &golden::folder().join("torch-1.13.1/index-chunks-of-50"),
        &index,
    );
    place.done("verify index");
    remove(&index.join("1.residuals.pt"));
    place
        .run("verify index")
        .refused(&["index", "1.residuals.pt"]);
}
