//! The table of two recorded runs: what it says where values are missing, and of taps.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use concord_lab::{DiffOptions, Side, diff};
use concord_pipeline::{
    ArtifactEvent, Capture, ModulePattern, Observer, RunManifest, RunWriter, Tap, TapSink,
    TappedPassage, Value,
};
use concord_report::{Style, diff_table};
use concord_tensor::{BitHash, Tensor};
use tempfile::tempdir;

/// A run of `codes` in these chunks, of one tap of passage 4, and of a module that only it tapped.
fn run(folder: &Path, name: &str, values: bool, chunks: &[&[i32]], tap: [f32; 2]) -> PathBuf {
    let out = folder.join(name);
    let capture = Capture {
        artifact_values: values,
        taps: vec![ModulePattern::new("*")],
        tap_values: values,
        passages: None,
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    for (path, rows) in [("linear", tap.to_vec()), (name, vec![0.0])] {
        let tokens = rows.len();
        let tap = Tap {
            path: path.to_owned(),
            batch: 0,
            passages: vec![TappedPassage { pid: 4, tokens }],
            rows: Tensor::new(vec![tokens, 1], rows).unwrap(),
        };
        writer.tap(tap).unwrap();
    }
    for (chunk, codes) in chunks.iter().enumerate() {
        let value = Value::from(Tensor::vector(codes.to_vec()));
        let event = ArtifactEvent {
            artifact: "codes".to_owned(),
            chunk,
            made_from: None,
            record: value.record(),
        };
        writer.artifact(&event, Some(&value)).unwrap();
    }
    let inputs = BTreeMap::from([("collection".to_owned(), BitHash::of_bytes(name.as_bytes()))]);
    let manifest = RunManifest::new("native".to_owned(), Some(1), inputs, BTreeMap::new());
    writer.finish(&manifest).unwrap();
    out
}

fn lines(a: &Path, b: &Path) -> Vec<String> {
    let (a, b) = (Side::open(a).unwrap(), Side::open(b).unwrap());
    let report = diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap();
    let text = diff_table(&report, &Style::default());
    text.lines().map(str::to_owned).collect()
}

#[test]
fn taps_name_their_passage_and_one_sided_rows_their_side() {
    let folder = tempdir().unwrap();
    let next = f32::from_bits(2f32.to_bits() + 1);
    let a = run(folder.path(), "a", true, &[&[1, 2]], [1.0, 2.0]);
    let b = run(folder.path(), "b", true, &[&[1, 2]], [1.0, next]);
    let lines = lines(&a, &b);
    assert!(
        lines[0].ends_with("(recorded run of native)"),
        "{}",
        lines[0]
    );
    assert!(
        lines[2].starts_with("note: the collections differ (sha256:"),
        "{}",
        lines[2]
    );
    assert_eq!(
        lines[4..],
        [
            "artifact  shape      shape =  bits =  allclose  max abs  worst ULP  where",
            "linear    f32 2 × 1  yes      no      yes        2.4e-7      1 ULP  1 of 1 passages differ, first 4; 1 of 2 differ, most at passage 4, token 1, column 0",
            "b         f32 1 × 1  –        ?       –                             only in B",
            "a         f32 1 × 1  –        ?       –                             only in A",
            "codes     i32 2      yes      yes     –",
            "",
            "The two differ, first in `linear`.",
            "4 rows: 1 differ, 1 same, 0 unknown, 2 on one side only. allclose: rtol 1e-5, atol 1e-8.",
        ]
    );
}

#[test]
fn hashes_without_values_give_no_figures_and_say_so() {
    let folder = tempdir().unwrap();
    let a = run(folder.path(), "a", false, &[&[1, 2]], [1.0, 2.0]);
    let b = run(folder.path(), "b", true, &[&[1, 3]], [1.0, 2.0]);
    let lines = lines(&a, &b);
    let codes = lines.iter().find(|line| line.starts_with("codes")).unwrap();
    assert!(
        codes.ends_with("by hash; A did not keep the values"),
        "{codes}"
    );
}

#[test]
fn what_cannot_be_told_is_named_with_its_reason() {
    let folder = tempdir().unwrap();
    let a = run(folder.path(), "a", false, &[&[1, 2]], [1.0, 2.0]);
    let b = run(folder.path(), "b", false, &[&[1], &[2]], [1.0, 2.0]);
    let lines = lines(&a, &b);
    let codes = lines.iter().find(|line| line.starts_with("codes")).unwrap();
    assert!(
        codes.ends_with("cannot tell: only hashes, of chunks cut differently"),
        "{codes}"
    );
    let verdict = &lines[lines.len() - 2];
    assert_eq!(
        verdict,
        "Cannot tell: nothing is known to differ, but `codes` is open."
    );
}
