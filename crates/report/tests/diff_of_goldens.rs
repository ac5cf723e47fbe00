//! The table and the JSON of two real indexes that two versions of PyTorch built.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use concord_lab::{DiffOptions, DiffReport, Side, diff};
use concord_report::{Style, diff_table, json};

fn golden(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    root.join(path)
}

fn compared(a: &str, b: &str) -> DiffReport {
    let (a, b) = (
        Side::open(&golden(a)).unwrap(),
        Side::open(&golden(b)).unwrap(),
    );
    diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap()
}

#[test]
fn two_indexes_of_two_versions_differ_where_the_table_says() {
    let report = compared("torch-1.13.1/index", "torch-2.15.0/index");
    let text = diff_table(&report, &Style::default());
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(
        lines[..10],
        [
            "artifact        shape         shape =  bits =  allclose  max abs  worst ULP  where",
            "doclens         i64 120       yes      yes     yes",
            "centroids       f16 512 × 32  yes      no      no         2.4e-4     29 ULP  28 of 16,384 differ, most at [439, 24]",
            "bucket_cutoffs  f32 3         yes      no      yes        1.5e-8    256 ULP  1 of 3 differ, most at [1]",
            "bucket_weights  f32 4         yes      no      yes        9.3e-9      5 ULP  1 of 4 differ, most at [1]",
            "avg_residual    f32 scalar    yes      no      yes        2.2e-8      6 ULP  1 of 1 differ",
            "codes           i32 2,099     yes      yes     yes",
            "residuals       u8 2,099 × 8  yes      no      no             32             1 of 16,792 differ, most at [1352, 2] (passage 75, token 6)",
            "ivf             i32 1,896     yes      yes     yes",
            "ivf_lengths     i64 512       yes      yes     yes",
        ]
    );
    assert_eq!(
        lines[11..],
        [
            "The two differ, first in `centroids`.",
            "9 rows: 5 differ, 4 same, 0 unknown. allclose: rtol 1e-5, atol 1e-8.",
        ]
    );
}

#[test]
fn an_index_is_the_same_as_itself() {
    let report = compared("torch-1.13.1/index", "torch-1.13.1/index");
    let text = diff_table(&report, &Style::default());
    assert!(
        text.contains("\nThe two are the same, bit for bit.\n9 rows: 0 differ, 9 same"),
        "{text}"
    );
}

#[test]
fn a_dtype_that_differs_is_shown_on_both_sides() {
    let report = compared(
        "torch-1.13.1/index/centroids.pt",
        "torch-1.13.1/centroids.npy",
    );
    let text = diff_table(&report, &Style::default());
    let line = text.lines().nth(4).unwrap();
    assert!(
        line.starts_with("tensor    f16 512 × 32 / f32 512 × 32  yes      no "),
        "{line}"
    );
    assert!(line.contains("dtypes differ; "), "{line}");
}

#[test]
fn what_gives_way_to_a_narrow_terminal_is_the_place() {
    let report = compared("torch-1.13.1/index", "torch-2.15.0/index");
    let style = Style {
        width: Some(100),
        ..Style::default()
    };
    let text = diff_table(&report, &style);
    let line = text
        .lines()
        .find(|line| line.starts_with("residuals"))
        .unwrap();
    assert!(line.ends_with("1 of 16,792 differ, mo…"), "{line}");
}

#[test]
fn the_json_has_stable_names_and_reads_back() {
    let report = compared("torch-1.13.1/index", "torch-2.15.0/index");
    let text = json(&report).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["first_different"], "centroids");
    assert_eq!(value["verdict"]["answer"], "different");
    assert_eq!(value["a"]["kind"], "foreign_index");
    let residuals = &value["rows"][6];
    assert_eq!(residuals["name"], "residuals");
    assert_eq!(residuals["outcome"], "different");
    let field = &residuals["fields"][0];
    assert_eq!(
        field["bits"],
        serde_json::json!({"same": "no", "by": "values"})
    );
    assert_eq!(field["numbers"]["differing"], 1);
    assert_eq!(field["numbers"]["spots"]["max_abs"]["pid"], 75);
    assert_eq!(serde_json::from_str::<DiffReport>(&text).unwrap(), report);
}
