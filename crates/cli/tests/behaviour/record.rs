//! Recorded runs, as they lie on disk, and the recording of them.

use std::fs;
use std::path::Path;

use concord_tensor::{Tensor, safetensors};
use serde_json::Value;

use crate::folder;
use crate::program::Workplace;

/// The events of a run, in their order.
pub fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The tensor that a run keeps under a hash.
pub fn blob(run: &Path, hash: &Value) -> Tensor {
    let digits = hash.as_str().unwrap().strip_prefix("sha256:").unwrap();
    let name = format!("blobs/{}/{digits}.safetensors", &digits[..2]);
    let tensors = safetensors::read(run.join(name)).unwrap();
    let [(_, tensor)] = <[_; 1]>::try_from(tensors).unwrap();
    tensor
}

const RECORD: &str = "record native --checkpoint CHECKPOINT --collection COLLECTION --out run";

#[test]
fn what_is_kept_is_what_was_asked_for() {
    for (keep, artifacts, taps) in [
        ("hashes", false, false),
        ("taps", false, true),
        ("artifacts", true, false),
        ("all", true, true),
    ] {
        let place = Workplace::new();
        place.done(&format!(
            "{RECORD} --keep {keep} --taps linear --pids 3,5 --batch 7"
        ));
        let run = place.path("run");
        let (mut artifacts_kept, mut taps_kept) = (Vec::new(), Vec::new());
        for event in events(&run) {
            if event["tap"].is_string() {
                taps_kept.push(!event["blob"].is_null());
            } else {
                for field in event["fields"].as_array().unwrap() {
                    let digits = field["hash"].as_str().unwrap().replace("sha256:", "");
                    let path = format!("blobs/{}/{digits}.safetensors", &digits[..2]);
                    artifacts_kept.push(run.join(path).is_file());
                }
            }
        }
        assert!(!artifacts_kept.is_empty() && !taps_kept.is_empty());
        assert!(
            artifacts_kept.iter().all(|&kept| kept == artifacts),
            "{keep}"
        );
        assert!(taps_kept.iter().all(|&kept| kept == taps), "{keep}");
        assert_eq!(place.names(), ["run"], "{keep}");
    }
}

#[test]
fn two_runs_of_the_same_have_the_same_bytes() {
    let place = Workplace::new();
    place.done(&format!("{RECORD} --taps linear"));
    place.done(&RECORD.replace("--out run", "--taps linear --out again"));
    let [a, b] = ["run", "again"].map(|run| folder::files(&place.path(run)));
    folder::assert_same(&a, &b, "a second run");
}

#[test]
fn choices_that_cannot_be_met_are_refused_before_anything_runs() {
    let place = Workplace::new();
    for (options, said) in [
        ("--pids 5", ["no taps", "--taps"]),
        ("--taps linear --pids 120", ["--pids 120", "120 passages"]),
        ("--taps bert.encoder.layer.7", ["layer.7", "layer.0 to .1"]),
    ] {
        place.run(&format!("{RECORD} {options}")).refused(&said);
    }
    place
        .run(&format!("{RECORD} --taps linear --pids 5 --tap-passages 3"))
        .not_understood(&["--pids", "--tap-passages"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_summary_is_printed_as_json() {
    let place = Workplace::new();
    let ended = place.done(&format!("{RECORD} --taps linear --pids 3 --json"));
    let summary: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(summary["manifest"]["subject"], "native");
    assert_eq!(summary["taps"], 1);
    let names: Vec<&str> = summary["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| artifact["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"embs") && names.contains(&"centroids"),
        "{names:?}"
    );
}
