//! The table of two recorded runs: what it says where values are missing, and of taps.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use concord_lab::diff::judge;
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
        ..Capture::default()
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    for (path, rows) in [("linear", tap.to_vec()), (name, vec![0.0])] {
        let tokens = rows.len();
        let rows = Tensor::new(vec![tokens, 1], rows).unwrap();
        let tap = Tap::of(path, 0, &[TappedPassage { pid: 4, tokens }], rows);
        writer.tap(tap.unwrap()).unwrap();
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

/// A run of these artifacts.
fn artifacts(folder: &Path, name: &str, artifacts: &[(&str, Tensor)]) -> PathBuf {
    let out = folder.join(name);
    let capture = Capture {
        artifact_values: true,
        ..Capture::default()
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    for (artifact, tensor) in artifacts {
        let value = Value::from(tensor.clone());
        let event = ArtifactEvent {
            artifact: (*artifact).to_owned(),
            chunk: 0,
            made_from: None,
            record: value.record(),
        };
        writer.artifact(&event, Some(&value)).unwrap();
    }
    let subject = "native,precision=f64".to_owned();
    let manifest = RunManifest::new(subject, Some(1), BTreeMap::new(), BTreeMap::new());
    writer.finish(&manifest).unwrap();
    out
}

#[test]
fn a_referee_adds_the_errors_of_both_sides_and_says_which_is_nearer() {
    let folder = tempdir().unwrap();
    let side = |name, value: f32, code: i32, lengths: [i64; 2]| {
        let tensors = [
            ("D", Tensor::vector(vec![value, f32::NAN])),
            ("doclens", Tensor::vector(vec![1i64, 1])),
            ("codes", Tensor::vector(vec![0, 1, code])),
            ("ivf", Tensor::vector(vec![0, 1, code])),
            ("ivf_lengths", Tensor::vector(lengths.to_vec())),
        ];
        artifacts(folder.path(), name, &tensors)
    };
    let a = side("a", 1.5, 1, [1, 2]);
    let b = side("b", f32::INFINITY, 2, [1, 1]);
    let truth = side("truth", 1.0, 3, [1, 2]);
    let [a, b, truth] = [a, b, truth].map(|path| Side::open(&path).unwrap());
    let mut report = diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap();
    let plain = diff_table(&report, &Style::default());
    assert!(!plain.contains("error of A"), "{plain}");
    judge(&mut report, &a, &b, &truth, &mut |_| {}).unwrap();
    let text = diff_table(&report, &Style::default());
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "artifact     shape  shape =  bits =  allclose  max abs          worst ULP    error of A           error of B  nearer          where",
            "D            f32 2  yes      no      no            inf  1,069,547,520 ULP     0.5 (0.5)  0 (0), 1 not finite  A               1 of 2 differ, first at [0] (passage 0, token 0); NaN: 1 in A, 1 in B",
            "doclens      i64 2  yes      yes     –",
            "codes        i32 3  yes      no      no              1                     66.7 % agree         66.7 % agree  equally near    1 of 3 differ, most at [2]",
            "ivf          i32 3  yes      no      no              1                                                        not comparable  one side's `ivf_lengths` is not the referee's, so that its rows are about something else; 1 of 3 differ, most at [2]",
            "ivf_lengths  i64 2  yes      no      no              1                      100 % agree         50.0 % agree  A               1 of 2 differ, most at [1]",
            "",
            "The two differ, first in `D`.",
            "Of 4 tensors that differ, nearer to native,precision=f64, by mean error or share that agrees: A in 2, B in 0, 1 equally near, 1 not comparable. Errors are accumulated, from the text on.",
            "5 rows: 4 differ, 1 same, 0 unknown. allclose: rtol 1e-5, atol 1e-8.",
        ]
    );
}
