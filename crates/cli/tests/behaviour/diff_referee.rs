//! `diff --referee`: which of two sides is nearer the truth.

use serde_json::Value;

use crate::golden::{self, TORCH};
use crate::program::{Ended, Workplace};

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

fn report(ended: Ended) -> Value {
    serde_json::from_str(&ended.with_code(1).out).unwrap()
}

/// What the referee says of the first field of a row.
fn judgement<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name).unwrap();
    &row["fields"][0]["referee"]
}

#[track_caller]
fn assert_nearer(report: &Value, side: &str, names: &[&str]) {
    for name in names {
        let judgement = judgement(report, name);
        assert_eq!(judgement["nearer"], side, "{name}: {judgement}");
    }
}

/// Records the golden collection, once in single precision and once in `bf16`.
fn record_both(place: &Workplace, options: &str) {
    for (subject, out) in [("native", "single"), ("native,precision=bf16", "half")] {
        place.done(&format!("record {subject} {ON} {options} --out {out}"));
    }
}

#[test]
fn single_precision_is_nearer_than_bf16() {
    let place = Workplace::new();
    let found = report(place.run(&format!(
        "diff native native,precision=bf16 --referee {ON} --json"
    )));
    assert_eq!(found["referee"], "native,precision=f64");
    assert_nearer(
        &found,
        "a",
        &["batches", "D", "embs", "centroids", "residuals"],
    );
    let d = judgement(&found, "D");
    let error = |side: &str, which: &str| d[side][which].as_f64().unwrap();
    assert!(error("a", "mean") > 0.0 && error("a", "max") < 1e-6, "{d}");
    assert!(
        error("b", "mean") > 1e-4 && error("b", "max") > error("b", "mean"),
        "{d}"
    );
    let residuals = judgement(&found, "residuals");
    assert_eq!(residuals["a"].get("mean"), None, "{residuals}");
    assert!(residuals["a"]["agree"].as_f64() > residuals["b"]["agree"].as_f64());
    assert_eq!(*judgement(&found, "doclens"), Value::Null);
    assert!(place.names().is_empty(), "nothing is left of what was run");

    let table = place.run(&format!("diff native,precision=bf16 native --referee {ON}"));
    let table = table.with_code(1);
    let line = |name: &str| {
        let mut lines = table.out.lines();
        lines.find(|line| line.starts_with(name)).unwrap()
    };
    assert!(line("artifact").contains("error of A  "), "{}", table.out);
    assert!(line("D ").contains(")  B "), "{}", table.out);
    assert!(line("residuals").contains("% agree  B "), "{}", table.out);
    assert!(
        line("Of ").contains("nearer to native,precision=f64"),
        "{}",
        table.out
    );
    assert!(
        table.err.contains("running native,precision=f64"),
        "{}",
        table.err
    );
}

#[test]
fn the_referee_is_in_double_precision_whatever_is_asked_of_the_subjects() {
    let place = Workplace::new();
    let found = report(place.run(&format!(
        "diff native native,gelu=tanh --precision bf16 --referee {ON} --json"
    )));
    assert_eq!(found["referee"], "native,precision=f64");
    let a = &judgement(&found, "D")["a"];
    assert!(a["mean"].as_f64() > Some(1e-4), "{a}");
}

#[test]
fn where_nothing_differs_no_referee_is_run() {
    let place = Workplace::new();
    let same = place.done(&format!("diff native native,batch=7 --referee {ON}"));
    assert!(
        same.err
            .contains("nothing differs, so there is nothing to judge"),
        "{}",
        same.err
    );
    assert!(!same.err.contains("f64") && !same.out.contains("error of A"));
    // Nor is it asked for what it would run on.
    place.done(&format!("record native {ON} --out run"));
    place.done("diff run run --referee");
}

#[test]
fn recorded_runs_are_judged_on_what_they_were_made_from() {
    let place = Workplace::new();
    record_both(&place, "--nbits 4 --taps linear --pids 3,100 --keep all");
    let diff = |options: &str| place.run(&format!("diff single half --referee --json {options}"));
    let found = report(diff(ON));
    assert_nearer(&found, "a", &["D", "centroids", "linear"]);
    // Under the settings of the runs, or the residuals would have another shape.
    assert_nearer(&found, "a", &["residuals"]);

    place.file("other.tsv", "0\tsomething else\n");
    for (options, said) in [
        ("", ["neither single nor half", "--checkpoint"]),
        (
            "--checkpoint CHECKPOINT",
            ["where the collection", "--collection"],
        ),
        (
            "--checkpoint concord-mini --collection COLLECTION",
            ["concord-mini is not the checkpoint", "single"],
        ),
        (
            "--checkpoint CHECKPOINT --collection other.tsv",
            ["single was not made from that collection", "--collection"],
        ),
    ] {
        diff(options).refused(&said);
    }
}

#[test]
fn indexes_say_themselves_what_they_were_made_from() {
    let place = Workplace::new();
    place.golden_index("single");
    place.done("index COLLECTION --checkpoint CHECKPOINT --precision bf16 --out half");
    let found = report(place.run("diff single half --referee --json"));
    assert_nearer(&found, "a", &["centroids", "bucket_weights", "residuals"]);
    // What an index does not keep cannot be judged.
    assert_eq!(*judgement(&found, "D"), Value::Null);

    let log = place.path("half").join(crate::folder::LOG);
    let text = std::fs::read_to_string(&log).unwrap();
    let gone = golden::checkpoint();
    let gone = gone.to_str().unwrap();
    std::fs::write(&log, text.replace(gone, "/nowhere/checkpoint")).unwrap();
    place
        .run("diff half single --referee")
        .refused(&["/nowhere/checkpoint", "--checkpoint"]);
    let given = place.run("diff half single --referee --json --checkpoint CHECKPOINT");
    assert_nearer(&report(given), "b", &["centroids"]);
}

#[test]
fn an_index_of_the_reference_is_judged_by_its_settings() {
    let place = Workplace::new();
    let [old, new] = TORCH.map(|version| golden::folder().join(version).join("index"));
    let mut command = place.command(["diff".as_ref(), old.as_os_str(), new.as_os_str()]);
    command.args(crate::program::words(&format!("{ON} --referee --json")));
    let found = report(Ended::of(&mut command));
    for name in ["centroids", "bucket_cutoffs", "residuals"] {
        let judgement = judgement(&found, name);
        assert!(judgement["nearer"].is_string(), "{name}: {judgement}");
        let agree = judgement["a"]["agree"].as_f64().unwrap();
        assert!(name != "residuals" || agree > 0.99, "{judgement}");
    }
}

#[test]
fn runs_of_the_embedded_data_need_no_flags() {
    let place = Workplace::new();
    for (subject, out) in [("native", "single"), ("native,precision=bf16", "half")] {
        place.done(&format!("record {subject} --passages 3 --out {out}"));
    }
    let found = report(place.run("diff half single --referee --json"));
    assert_nearer(&found, "b", &["D"]);
}

#[test]
fn a_recorded_side_must_be_made_from_what_the_subject_runs_on() {
    let place = Workplace::new();
    place.done(&format!("record native {ON} --out run"));
    place
        .run("diff run native,precision=bf16 --referee --checkpoint CHECKPOINT --passages 3")
        .refused(&["run was not made from that collection", "3 passages"]);
    let found = report(place.run(&format!(
        "diff run native,precision=bf16 --referee --json {ON}"
    )));
    assert_nearer(&found, "a", &["D"]);
}

#[test]
fn settings_that_differ_are_to_be_chosen() {
    let place = Workplace::new();
    place.golden_index("a");
    place.done("index COLLECTION --checkpoint CHECKPOINT --kmeans-niters 1 --out b");
    place
        .run("diff a b --referee")
        .refused(&["`kmeans_niters` (4 and 1)", "--kmeans-niters"]);
    let found = report(place.run("diff a b --referee --json --kmeans-niters 1"));
    assert_nearer(&found, "b", &["centroids"]);
}

#[test]
fn what_was_swapped_in_is_to_be_given_again() {
    let place = Workplace::new();
    place.golden_index("a");
    place.done("index COLLECTION --checkpoint CHECKPOINT --precision bf16 --out half");
    place.done("index COLLECTION --checkpoint CHECKPOINT --swap centroids=half --out b");
    place
        .run("diff a b --referee")
        .refused(&["`centroids` was given to b", "--swap"]);
}

#[test]
fn tensor_files_are_refused() {
    let place = Workplace::new();
    let [a, b] = TORCH.map(|version| golden::folder().join(version).join("index/centroids.pt"));
    let mut command = place.command(["diff".as_ref(), a.as_os_str(), b.as_os_str()]);
    command.arg("--referee");
    Ended::of(&mut command)
        .refused(&["centroids.pt is a tensor file", "name the run or the index"]);
}
