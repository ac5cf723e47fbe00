//! `precision=f64`: the referee.

use serde_json::Value;

use crate::program::Workplace;
use crate::record::events;

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

#[test]
fn a_run_in_double_precision_says_so_and_has_taps_of_it() {
    let place = Workplace::new();
    place.done(&format!(
        "record native,precision=f64 {ON} --taps linear --out run"
    ));
    place.done(&format!(
        "record native --precision f64 {ON} --taps linear --out same"
    ));
    let read = |name: &str| std::fs::read(place.path("run").join(name)).unwrap();
    for name in ["events.jsonl", "manifest.json"] {
        assert_eq!(
            read(name),
            std::fs::read(place.path("same").join(name)).unwrap()
        );
    }
    let manifest: Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    assert_eq!(manifest["subject"], "native,precision=f64");
    assert_eq!(manifest["options"]["precision"], "f64");
    let events = events(&place.path("run"));
    let taps = events.iter().filter(|event| event["tap"] == "linear");
    assert!(taps.clone().count() > 0 && taps.clone().all(|tap| tap["dtype"] == "f64"));
    let batches = events.iter().find(|event| event["artifact"] == "batches");
    assert_eq!(batches.unwrap()["fields"][0]["dtype"], "f32");
}

#[test]
fn the_engine_is_near_the_referee() {
    let place = Workplace::new();
    let line = format!("diff native native,precision=f64 {ON} --json");
    let ended = place.run(&line).with_code(1);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let d = rows.iter().find(|row| row["name"] == "D").unwrap();
    let largest = &d["fields"][0]["numbers"]["max_abs"]["value"];
    let largest = largest.as_f64().unwrap();
    assert!(largest > 0.0 && largest < 1e-6, "{largest:e}");
}

#[test]
fn the_referee_of_explain_is_in_double_precision_whatever_is_asked_of_the_subjects() {
    let place = Workplace::new();
    let line = format!("explain native native,gelu=tanh --precision bf16 --once {ON} --json");
    let ended = place.run(&line).with_code(1);
    let explanation: Value = serde_json::from_str(&ended.out).unwrap();
    let culprits = explanation["encoder"]["forced"]["culprits"]
        .as_array()
        .unwrap();
    assert!(!culprits.is_empty());
    for culprit in culprits {
        let error = &culprit["errors"]["mean_a"];
        assert!(error.as_f64() > Some(0.0), "{culprit}");
    }
}

#[test]
fn a_variant_is_refused_with_the_reason() {
    let place = Workplace::new();
    let line = format!("record native,gemm=split-k:4 --precision f64 {ON} --out run");
    let ended = place.run(&line).with_code(2);
    for said in ["gemm=split-k:4", "referee", "precision=f32"] {
        assert!(ended.err.contains(said), "{}", ended.err);
    }
    assert!(place.names().is_empty());
}
