//! Comparing indexes, runs, tensor files and subjects.

use serde_json::Value;

use crate::golden::{self, TORCH};
use crate::program::{Ended, Workplace};

const SAME: &str = "The two are the same, bit for bit.";

/// The last two lines: what was found, and how many rows it was found in.
fn conclusion(ended: &Ended) -> (&str, &str) {
    let mut lines = ended.out.lines().rev();
    let counts = lines.next().unwrap();
    (lines.next().unwrap(), counts)
}

#[track_caller]
fn assert_equal(ended: Ended) {
    let ended = ended.with_code(0);
    let (verdict, counts) = conclusion(&ended);
    assert_eq!(verdict, SAME);
    assert!(counts.contains(": 0 differ, "), "{counts}");
}

#[track_caller]
fn assert_different(ended: Ended, first: &str) {
    let ended = ended.with_code(1);
    let (verdict, counts) = conclusion(&ended);
    assert_eq!(verdict, format!("The two differ, first in `{first}`."));
    assert!(!counts.contains(": 0 differ, "), "{counts}");
}

#[test]
fn two_builds_of_an_index_are_the_same() {
    let place = Workplace::new();
    place.golden_index("a");
    place.done("index COLLECTION --checkpoint CHECKPOINT --batch 9 --threads 1 --out b");
    assert_equal(place.run("diff a b"));
}

#[test]
fn indexes_of_other_bits_differ_from_the_buckets_on() {
    let place = Workplace::new();
    place.golden_index("a");
    place.done("index COLLECTION --checkpoint CHECKPOINT --nbits 4 --out b");
    assert_different(place.run("diff a b"), "bucket_cutoffs");
}

#[test]
fn an_index_is_compared_with_one_of_the_reference() {
    let place = Workplace::new();
    let ours = place.golden_index("ours");
    let theirs = golden::folder().join("torch-1.13.1/index");
    let mut command = place.command([
        "diff".as_ref(),
        ours.as_os_str(),
        theirs.as_os_str(),
        "--json".as_ref(),
    ]);
    let ended = Ended::of(&mut command).with_code(1);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["first_different"], "centroids");
    for row in report["rows"].as_array().unwrap() {
        if ["codes", "residuals", "ivf", "ivf_lengths"].contains(&row["name"].as_str().unwrap()) {
            assert_eq!(row["outcome"], "same", "{row}");
        }
    }
}

#[test]
fn runs_are_compared_with_their_taps() {
    let place = Workplace::new();
    let record = |subject: &str, out: &str| {
        place.done(&format!(
            "record {subject} --checkpoint CHECKPOINT --collection COLLECTION --taps * \
             --pids 3,100 --keep all --out {out}"
        ));
    };
    record("native", "a");
    record("native,batch=5", "b");
    record(
        "native,bert.encoder.layer.1.output.dense:gemm=split-k:4",
        "c",
    );
    assert_equal(place.run("diff a b"));
    assert_different(place.run("diff a c"), "bert.encoder.layer.1.output.dense");
}

#[test]
fn tensor_files_of_two_torch_versions_are_compared() {
    let place = Workplace::new();
    let diff = |file: &str, versions: [&str; 2]| {
        let [a, b] =
            versions.map(|version| golden::folder().join(version).join("index").join(file));
        let mut command = place.command(["diff".as_ref(), a.as_os_str(), b.as_os_str()]);
        Ended::of(&mut command)
    };
    let [old, new] = TORCH;
    for version in TORCH {
        assert_equal(diff("centroids.pt", [version, version]));
    }
    assert_different(diff("centroids.pt", [old, new]), "tensor");
    // The same numbers in files of another layout.
    for file in ["ivf.pid.pt", "doclens.0.json", "0.codes.pt"] {
        assert_equal(diff(file, [old, new]));
    }
}

#[test]
fn subjects_are_run_and_compared() {
    let place = Workplace::new();
    let diff = |b: &str| {
        place.run(&format!(
            "diff native {b} --checkpoint CHECKPOINT --collection COLLECTION"
        ))
    };
    assert_equal(diff("native,batch=7"));
    assert_different(diff("native,gemm=split-k:4"), "batches");
    assert!(place.names().is_empty(), "nothing is left of what was run");
}

#[test]
fn a_subject_is_compared_with_a_recorded_run() {
    let place = Workplace::new();
    place.done("record native --checkpoint CHECKPOINT --collection COLLECTION --out run");
    assert_equal(place.run("diff run native --checkpoint CHECKPOINT --collection COLLECTION"));
}

#[test]
fn close_values_are_close_by_the_tolerance_that_was_asked_for() {
    let place = Workplace::new();
    let [a, b] = TORCH.map(|version| golden::folder().join(version).join("index/centroids.pt"));
    let close = |tolerance: &str| {
        let mut command = place.command(["diff".as_ref(), a.as_os_str(), b.as_os_str()]);
        command.args(["--atol", tolerance, "--json"]);
        let ended = Ended::of(&mut command).with_code(1);
        let report: Value = serde_json::from_str(&ended.out).unwrap();
        report["rows"][0]["fields"][0]["numbers"]["allclose"].clone()
    };
    assert_eq!(close("1e-8"), Value::Bool(false));
    assert_eq!(close("1e-3"), Value::Bool(true));
}

#[test]
fn the_json_says_what_the_table_says() {
    let place = Workplace::new();
    place.golden_index("a");
    place.done("index COLLECTION --checkpoint CHECKPOINT --kmeans-niters 9 --out b");
    let ended = place.run("diff a b --json").with_code(1);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["verdict"]["answer"], "different");
    assert_eq!(report["first_different"], "centroids");
    assert_eq!(report["a"]["name"], "a");
    assert_eq!(report["b"]["kind"], "concord_index");
    assert_eq!(report["tolerance"]["rtol"], 1e-5);
    let rows = report["rows"].as_array().unwrap();
    let count = |outcome: &str| rows.iter().filter(|row| row["outcome"] == outcome).count();
    for outcome in ["same", "different"] {
        assert_eq!(report["counts"][outcome], count(outcome), "{outcome}");
    }
    let table = place.run("diff a b").with_code(1);
    let (_, counts) = conclusion(&table);
    let said = format!("{} differ, {} same", count("different"), count("same"));
    assert!(counts.contains(&said), "{counts}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let place = Workplace::new();
    place.golden_index("index");
    place.file("notes.txt", "no tensors");
    place.file("broken.pt", "no tensors either");
    for tolerance in ["--rtol -1", "--atol nan", "--atol small"] {
        place
            .run(&format!("diff index index {tolerance}"))
            .not_understood(&["a number from 0 on"]);
    }
    for (line, said) in [
        ("diff index nowhere", ["nowhere", "no file or folder"]),
        ("diff index no/where.pt", ["no/where.pt", "does not exist"]),
        ("diff index notes.txt", ["notes.txt", ".safetensors"]),
        ("diff broken.pt broken.pt", ["broken.pt", "torch.save"]),
        (
            "diff index index/centroids.pt",
            ["centroids.pt", "single file"],
        ),
        ("diff index native,gemm=foo", ["`foo`", "split-k:N"]),
    ] {
        place.run(line).refused(&said);
    }
}
