//! An index and a run do not say where, when and on which machine they were made.

use std::path::Path;

use crate::folder;
use crate::golden;
use crate::program::Workplace;

/// Names of this machine and places on it, any of which would show up in a file that mentions it.
fn traces(place: &Workplace) -> Vec<String> {
    let mut traces = vec![
        place
            .path("")
            .to_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned(),
        golden::folder().to_str().unwrap().to_owned(),
        env!("CARGO_MANIFEST_DIR").to_owned(),
        std::env::temp_dir().to_str().unwrap().to_owned() + "/",
    ];
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // A short name such as "ci" may be part of any word.
    if host.trim().len() > 5 {
        traces.push(host.trim().to_owned());
    }
    traces
}

#[track_caller]
fn without_traces(folder: &Path, place: &Workplace) {
    for (name, bytes) in folder::files(folder) {
        if name == folder::LOG {
            continue;
        }
        for trace in traces(place) {
            let found = bytes
                .windows(trace.len())
                .any(|window| window == trace.as_bytes());
            assert!(!found, "{name} mentions {trace}");
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            for key in ["\"threads\"", "\"time", "\"date", "\"host", "\"started\""] {
                assert!(!text.contains(key), "{name} has a key {key}");
            }
        }
    }
}

#[test]
fn an_index_does_not_say_where_it_was_made() {
    let place = Workplace::new();
    place.golden_index("index");
    without_traces(&place.path("index"), &place);
    let log = std::fs::read_to_string(place.path("index").join(folder::LOG)).unwrap();
    assert!(log.contains("\"threads\""), "the log is where it is said");
}

#[test]
fn a_run_does_not_say_where_it_was_made() {
    let place = Workplace::new();
    place.done(
        "record native,threads=2 --checkpoint CHECKPOINT --collection COLLECTION --taps linear \
         --keep all --out run",
    );
    without_traces(&place.path("run"), &place);
}
