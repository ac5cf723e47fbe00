//! Builds that are killed, and builds that get in each other's way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::folder::{self, assert_same, index_files};
use crate::golden;
use crate::program::{Workplace, words};

/// How often a build is killed.
const MOMENTS: u64 = 20;

/// Three chunks, the last of them not full: a second or two of work.
const PASSAGES: usize = 2500;

const BUILD: &str = "index texts.tsv --checkpoint CHECKPOINT --kmeans-niters 1 --out index";

fn start(place: &Workplace, line: &str) -> Child {
    let mut command = place.command(words(line));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// How many chunks each stage computed and how many it found finished, by the log of an index.
fn stages(index: &Path) -> BTreeMap<String, (u64, u64)> {
    let log: Value = serde_json::from_slice(&fs::read(index.join(folder::LOG)).unwrap()).unwrap();
    let count = |stage: &Value, key: &str| stage[key].as_u64().unwrap();
    let stages = log["stages"].as_object().unwrap().iter();
    stages
        .map(|(name, stage)| {
            (
                name.clone(),
                (count(stage, "computed"), count(stage, "reused")),
            )
        })
        .collect()
}

/// The stages' chunks that a killed build had finished: the notes in its store.
fn finished_chunks(place: &Workplace) -> u64 {
    let notes = place.path(".index.building/store/memory");
    if !notes.exists() {
        return 0;
    }
    let names = folder::names(&notes);
    names.iter().filter(|name| name.ends_with(".json")).count() as u64
}

/// A number in 0..1 that follows from `seed` (the finaliser of MurmurHash3).
fn fraction(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        x = (x ^ (x >> 33)).wrapping_mul(factor);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn a_build_killed_at_any_moment_goes_on_where_it_was() {
    let collection = golden::longer_collection(PASSAGES);
    let place = Workplace::new();
    place.file("texts.tsv", &collection);
    let begun = Instant::now();
    place.done(BUILD);
    let whole = begun.elapsed();
    let expected = index_files(&place.path("index"));
    let computed: BTreeMap<String, u64> = stages(&place.path("index"))
        .into_iter()
        .map(|(stage, (computed, reused))| {
            assert_eq!(reused, 0, "{stage}");
            (stage, computed)
        })
        .collect();
    assert_eq!(computed["encode"], 3);

    let (mut killed, mut resumed) = (0, 0);
    for moment in 0..MOMENTS {
        let place = Workplace::new();
        place.file("texts.tsv", &collection);
        let mut build = start(&place, BUILD);
        let at = (moment as f64 + fraction(moment)) / MOMENTS as f64;
        std::thread::sleep(whole.mul_f64(at));
        build.kill().unwrap();
        if build.wait().unwrap().success() {
            // It was faster this time. What it left is checked all the same.
            assert_eq!(place.names(), ["index", "texts.tsv"]);
        } else {
            killed += 1;
        }
        let had_ended = place.path("index").exists();
        let finished = finished_chunks(&place);

        place.done(BUILD);
        let what = format!("killed after {at:.2} of a build, {finished} chunks finished");
        assert_same(&index_files(&place.path("index")), &expected, &what);
        assert_eq!(place.names(), ["index", "texts.tsv"], "{what}");
        if !had_ended {
            let stages = stages(&place.path("index"));
            for (stage, all) in &computed {
                let (computed, reused) = stages[stage];
                assert_eq!(computed + reused, *all, "{what}: {stage}");
            }
            let reused: u64 = stages.values().map(|(_, reused)| reused).sum();
            assert_eq!(reused, finished, "{what}");
            resumed += u64::from(finished > 0);
        }
    }
    println!("killed {killed} of {MOMENTS}, {resumed} of them with finished work");
    assert!(resumed > 0, "no build was killed with finished work");
}

/// Waits until a build has finished a chunk.
fn wait_for_work(place: &Workplace, build: &mut Child) {
    let begun = Instant::now();
    while finished_chunks(place) == 0 {
        assert!(build.try_wait().unwrap().is_none(), "the build has ended");
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_second_process_on_the_same_output_is_refused_while_the_first_works() {
    let place = Workplace::new();
    place.file("texts.tsv", golden::longer_collection(PASSAGES));
    // So many iterations that it cannot end before it is killed below.
    let build = BUILD.replace("--kmeans-niters 1", "--kmeans-niters 100000");
    let mut first = start(&place, &build);
    wait_for_work(&place, &mut first);
    place
        .run(&build)
        .refused(&["another process is writing", "index", "--out"]);
    place
        .run("record native --checkpoint CHECKPOINT --collection COLLECTION --out index")
        .refused(&["another process is writing", "index", "--out"]);
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(finished_chunks(&place) > 0, "its work is kept");
}

#[test]
fn what_a_process_killed_while_cleaning_up_left_is_removed_by_the_next() {
    let place = Workplace::new();
    let before = folder::files(&place.golden_index("index"));
    for folder in ["store/memory", "store/blobs/a0"] {
        fs::create_dir_all(place.path(".index.building").join(folder)).unwrap();
    }
    place.file(".index.building/store/blobs/a0/a0.safetensors", "left over");
    place.file(".index.building/lock", "");
    place.golden_index("index");
    assert_eq!(place.names(), ["index"]);
    assert_same(&folder::files(&place.path("index")), &before, "the index");
}

#[test]
fn work_that_was_damaged_is_done_again() {
    let place = Workplace::new();
    place.file("texts.tsv", golden::longer_collection(PASSAGES));
    place.done(&BUILD.replace("--out index", "--out undisturbed"));
    let mut build = start(&place, BUILD);
    wait_for_work(&place, &mut build);
    build.kill().unwrap();
    build.wait().unwrap();
    let store = place.path(".index.building/store");
    for (name, mut bytes) in folder::files(&store) {
        bytes.truncate(bytes.len() - 3);
        fs::write(store.join(name), bytes).unwrap();
    }
    place.done(BUILD);
    let [a, b] = ["index", "undisturbed"].map(|index| index_files(&place.path(index)));
    assert_same(&a, &b, "resumed from a damaged store");
}

#[test]
fn work_on_something_else_is_not_taken_up() {
    let place = Workplace::new();
    place.file("texts.tsv", golden::longer_collection(PASSAGES));
    let mut build = start(&place, BUILD);
    wait_for_work(&place, &mut build);
    build.kill().unwrap();
    build.wait().unwrap();
    place.golden_index("index");
    place.golden_index("undisturbed");
    let [a, b] = ["index", "undisturbed"].map(|index| index_files(&place.path(index)));
    assert_same(&a, &b, "after work on another collection");
    assert_eq!(place.names(), ["index", "texts.tsv", "undisturbed"]);
}

#[test]
fn a_recording_that_was_killed_begins_anew() {
    let place = Workplace::new();
    place.file("texts.tsv", golden::longer_collection(PASSAGES));
    let record = |out: &str| {
        format!(
            "record native --checkpoint CHECKPOINT --collection texts.tsv --kmeans-niters 1 \
             --taps linear --pids 3,2004 --out {out}"
        )
    };
    place.done(&record("undisturbed"));
    let mut first = start(&place, &record("run"));
    let begun = Instant::now();
    while !place.path(".run.building/store/memory").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    first.kill().unwrap();
    first.wait().unwrap();
    if !place.path("run").exists() {
        place.done(&record("run"));
    }
    let [a, b] = ["run", "undisturbed"].map(|run| folder::files(&place.path(run)));
    assert_same(&a, &b, "a run recorded after one that was killed");
    assert_eq!(place.names(), ["run", "texts.tsv", "undisturbed"]);
}
