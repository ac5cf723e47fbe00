//! The place where an index or a run is to appear.

use std::fs;

use crate::folder;
use crate::golden;
use crate::program::{Ended, Workplace, words};

const BUILD: &str = "index COLLECTION --checkpoint CHECKPOINT --out index";

#[test]
fn an_output_that_holds_something_else_is_left_alone() {
    let place = Workplace::new();
    fs::create_dir(place.path("index")).unwrap();
    place.file("index/thesis.txt", "three years of work");
    place
        .run(BUILD)
        .refused(&["index", "holds something", "--out"]);
    assert_eq!(
        fs::read(place.path("index/thesis.txt")).unwrap(),
        b"three years of work"
    );
    assert_eq!(place.names(), ["index"]);
}

#[test]
fn an_output_that_is_a_file_is_left_alone() {
    let place = Workplace::new();
    place.file("index", "three years of work");
    place
        .run(BUILD)
        .refused(&["index", "holds something", "--out"]);
    place
        .run("index COLLECTION --checkpoint CHECKPOINT --out index/inside")
        .refused(&["index/inside", "Not a directory"]);
    assert_eq!(
        fs::read(place.path("index")).unwrap(),
        b"three years of work"
    );
    assert_eq!(place.names(), ["index"]);
}

#[test]
fn an_index_of_the_reference_is_left_alone() {
    let place = Workplace::new();
    let theirs = golden::folder().join("torch-1.13.1/index");
    folder::copy(&theirs, &place.path("index"));
    place.run(BUILD).refused(&["index", "no index of Concord"]);
    let after = folder::files(&place.path("index"));
    folder::assert_same(
        &after,
        &folder::files(&theirs),
        "the index of the reference",
    );
    assert_eq!(place.names(), ["index"]);
}

#[test]
fn an_empty_folder_is_as_good_as_none() {
    let place = Workplace::new();
    fs::create_dir(place.path("index")).unwrap();
    place.golden_index("index");
    assert_eq!(place.names(), ["index"]);
}

#[test]
fn the_folder_that_one_is_in_can_be_the_output() {
    let place = Workplace::new();
    let here = place.path("here");
    fs::create_dir(&here).unwrap();
    let mut command = place.command(words("index COLLECTION --checkpoint CHECKPOINT --out ."));
    Ended::of(command.current_dir(&here)).with_code(0);
    place.done("verify here");
    assert_eq!(place.names(), ["here"]);
}

#[test]
fn an_index_of_something_else_is_left_alone_and_the_difference_named() {
    let place = Workplace::new();
    let before = folder::files(&place.golden_index("index"));
    place.file("other.tsv", "0\tsome other text\n");
    for (line, difference) in [
        (format!("{BUILD} --nbits 4"), "nbits is 2 there and 4 here"),
        (
            format!("{BUILD} --seed 1"),
            "seed is 12345 there and 1 here",
        ),
        (format!("{BUILD} --pad-ivf"), "pad_ivf is false there"),
        (format!("{BUILD} --subject native,gelu=tanh"), "gelu=tanh"),
        (
            BUILD.replace("COLLECTION", "other.tsv"),
            "another collection",
        ),
    ] {
        place.run(&line).refused(&["index", difference, "--out"]);
    }
    let after = folder::files(&place.path("index"));
    folder::assert_same(&after, &before, "the first index");
    assert_eq!(place.names(), ["index", "other.tsv"]);
}

#[test]
fn an_index_that_is_there_already_is_not_built_again() {
    let place = Workplace::new();
    let before = folder::files(&place.golden_index("index"));
    let ended = place.done(&format!("{BUILD} --batch 3 --threads 1"));
    assert!(
        ended.out.contains("holds this index already"),
        "{}",
        ended.out
    );
    let after = folder::files(&place.path("index"));
    folder::assert_same(&after, &before, "the index, its log included");
}

#[test]
fn a_run_does_not_replace_anything() {
    let place = Workplace::new();
    place.file("run", "three years of work");
    place
        .run("record native --checkpoint CHECKPOINT --collection COLLECTION --out run")
        .refused(&["run exists", "--out"]);
    assert_eq!(fs::read(place.path("run")).unwrap(), b"three years of work");
    assert_eq!(place.names(), ["run"]);
}

#[test]
fn folders_above_the_output_are_made() {
    let place = Workplace::new();
    place.golden_index("a/b/index");
    assert_eq!(folder::names(&place.path("a/b")), ["index"]);
}
