//! A run that another program recorded is taken over into one of our own.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use concord_pipeline::{
    ArtifactEvent, Capture, ModulePattern, Observer, RecordedRun, RunError, RunManifest, RunWriter,
    Tap, TapSink, TappedPassage, Value,
};
use concord_tensor::{BitHash, Tensor};
use tempfile::TempDir;

/// A folder with a run in it that kept everything: two artifacts, one of which has two fields and one of
/// which has two chunks, and two taps.
struct Place {
    folder: TempDir,
    theirs: RecordedRun,
}

fn codes(chunk: i32) -> Tensor {
    Tensor::vector(vec![chunk, 7])
}

fn ids() -> Tensor {
    Tensor::vector(vec![101i64, 102])
}

fn lengths() -> Tensor {
    Tensor::vector(vec![2i64])
}

fn rows(value: f32) -> Tensor {
    Tensor::new(vec![2, 1], vec![value, 0.5]).unwrap()
}

/// The hash of each tensor of artifacts.
fn artifact_hashes() -> Vec<BitHash> {
    let tensors = [ids(), lengths(), codes(0), codes(1)];
    tensors.iter().map(Tensor::hash).collect()
}

fn tap_hashes() -> Vec<BitHash> {
    [rows(1.0), rows(2.0)].iter().map(Tensor::hash).collect()
}

fn add(writer: &RunWriter, artifact: &str, chunk: usize, value: Value) {
    let event = ArtifactEvent {
        artifact: artifact.to_owned(),
        chunk,
        made_from: None,
        record: value.record(),
    };
    writer.artifact(&event, Some(&value)).unwrap();
}

fn finish(writer: RunWriter) {
    let manifest = RunManifest::new("toy".into(), None, Default::default(), Default::default());
    writer.finish(&manifest).unwrap();
}

fn capture(artifact_values: bool, tap_values: bool) -> Capture {
    Capture {
        artifact_values,
        taps: vec![ModulePattern::new("*")],
        tap_values,
        passages: None,
        ..Capture::default()
    }
}

impl Place {
    fn new() -> Place {
        Place::of(capture(true, true))
    }

    fn of(kept: Capture) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        let writer = RunWriter::create(&theirs, kept).unwrap();
        add(
            &writer,
            "tensorize_output",
            0,
            Value::of_fields([("ids", ids()), ("lengths", lengths())]),
        );
        for (path, value) in [("bert", 1.0), ("linear", 2.0)] {
            let passage = TappedPassage { pid: 3, tokens: 2 };
            let tap = Tap::of(path, 0, &[passage], rows(value));
            writer.tap(tap.unwrap()).unwrap();
        }
        for chunk in 0..2 {
            add(&writer, "codes", chunk, codes(chunk as i32).into());
        }
        finish(writer);
        let theirs = RecordedRun::open(&theirs).unwrap();
        Place { folder, theirs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn events(&self, run: &str) -> String {
        fs::read_to_string(self.path(run).join("events.jsonl")).unwrap()
    }

    /// Takes their run over into one of ours, which keeps that much.
    fn taken_over(&self, kept: Capture) -> RecordedRun {
        let ours = self.path("ours");
        let writer = RunWriter::create(&ours, kept).unwrap();
        writer.take_over(&self.theirs).unwrap();
        finish(writer);
        RecordedRun::open(&ours).unwrap()
    }
}

fn has(run: &RecordedRun, hash: BitHash) -> bool {
    let Some(source) = run.tensor(hash).unwrap() else {
        return false;
    };
    assert_eq!(
        source.read().unwrap().hash(),
        hash,
        "a tensor lies under its hash"
    );
    true
}

#[test]
fn events_are_taken_over_in_their_order_and_to_the_byte() {
    let place = Place::new();
    let ours = place.taken_over(capture(false, false));
    assert_eq!(place.events("ours"), place.events("theirs"));
    assert_eq!(ours.artifacts(), place.theirs.artifacts());
    assert_eq!(ours.taps(), place.theirs.taps());
    assert_eq!(ours.taps().len(), 2);
    assert_eq!(ours.artifacts().len(), 2);
}

#[test]
fn tensors_that_are_wanted_are_moved_and_others_are_left() {
    for (artifact_values, tap_values) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let place = Place::new();
        let ours = place.taken_over(capture(artifact_values, tap_values));
        for (hashes, wanted) in [
            (artifact_hashes(), artifact_values),
            (tap_hashes(), tap_values),
        ] {
            for hash in hashes {
                assert_eq!(has(&ours, hash), wanted, "{hash}");
                assert_eq!(
                    has(&place.theirs, hash),
                    !wanted,
                    "a tensor is moved and not copied"
                );
            }
        }
    }
}

#[test]
fn a_tensor_of_several_events_is_moved_once() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs");
    let writer = RunWriter::create(&theirs, capture(true, false)).unwrap();
    for name in ["embs", "codes"] {
        add(&writer, name, 0, codes(0).into());
    }
    finish(writer);
    let theirs = RecordedRun::open(&theirs).unwrap();
    let ours = folder.path().join("ours");
    let writer = RunWriter::create(&ours, capture(true, false)).unwrap();
    // One that is there already stays as it is.
    add(&writer, "residuals", 0, codes(0).into());
    writer.take_over(&theirs).unwrap();
    finish(writer);
    let ours = RecordedRun::open(&ours).unwrap();
    assert_eq!(ours.artifacts().len(), 3);
    assert!(has(&ours, codes(0).hash()));
}

#[test]
fn tensors_that_the_other_run_did_not_keep_are_not_missed() {
    let place = Place::of(capture(false, false));
    let ours = place.taken_over(capture(true, true));
    assert_eq!(ours.artifacts(), place.theirs.artifacts());
    for hash in artifact_hashes() {
        assert!(!has(&ours, hash), "{hash}");
    }
}

#[test]
fn more_can_be_recorded_behind_what_was_taken_over() {
    let place = Place::new();
    let writer = RunWriter::create(&place.path("ours"), capture(true, false)).unwrap();
    writer.take_over(&place.theirs).unwrap();
    add(&writer, "centroids", 0, rows(4.0).into());
    finish(writer);
    let ours = RecordedRun::open(&place.path("ours")).unwrap();
    let names: Vec<&str> = ours
        .artifacts()
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect();
    assert_eq!(names, ["tensorize_output", "centroids", "codes"]);
    assert!(has(&ours, rows(4.0).hash()));
    let (before, after) = (place.events("theirs"), place.events("ours"));
    assert_eq!(after.strip_prefix(&before).unwrap().lines().count(), 1);
}

/// Replaces a line of the events of a run, the first being 1.
fn damage(run: &Path, line: usize, text: &str) {
    let path = run.join("events.jsonl");
    let events = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = events.lines().collect();
    lines[line - 1] = text;
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_damaged_line_is_reported_with_its_number_and_leaves_nothing() {
    for (number, text) in [
        (1, "{"),
        (3, "{\"tap\": \"bert\"}"),
        (5, ""),
        (
            5,
            "{\"artifact\": \"codes\", \"chunk\": 0, \"hash\": \"sha256:12\", \"fields\": []}",
        ),
    ] {
        let place = Place::new();
        damage(&place.path("theirs"), number, text);
        let writer = RunWriter::create(&place.path("ours"), capture(true, true)).unwrap();
        let error = writer.take_over(&place.theirs).unwrap_err();
        assert!(
            matches!(error, RunError::Malformed { line, .. } if line == number),
            "{error:?}"
        );
        let said = format!("theirs/events.jsonl, line {number}: ");
        assert!(error.to_string().contains(&said), "{error}");
        drop(writer);
        let left: Vec<_> = fs::read_dir(place.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["theirs"]);
        // The same is said by those who only read it.
        let opened = RecordedRun::open(&place.path("theirs")).err().unwrap();
        assert_eq!(opened.to_string(), error.to_string());
    }
}

#[test]
fn events_that_are_gone_are_named() {
    let place = Place::new();
    fs::remove_file(place.path("theirs").join("events.jsonl")).unwrap();
    let writer = RunWriter::create(&place.path("ours"), capture(true, true)).unwrap();
    let error = writer.take_over(&place.theirs).unwrap_err();
    assert!(matches!(error, RunError::Unreadable { .. }), "{error:?}");
    assert!(error.to_string().contains("theirs/events.jsonl"), "{error}");
}
