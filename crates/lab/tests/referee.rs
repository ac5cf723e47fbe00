//! Two sides judged by a third.

#![allow(clippy::unwrap_used)]

mod toy;

use std::path::{Path, PathBuf};

use concord_lab::diff::{Distance, Judgement, NotComparable, judge, to_be_judged};
use concord_lab::{DiffOptions, DiffReport, Nearer, Side, diff};
use concord_pipeline::Value;
use concord_tensor::{DType, Tensor, pt};
use serde_json::json;
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, field, matrix};

fn judged(a: &Path, b: &Path, truth: &Path) -> DiffReport {
    let sides = [a, b, truth].map(|path| Side::open(path).unwrap());
    let [a, b, truth] = &sides;
    let mut report = diff(a, b, &DiffOptions::default(), &mut |_| {}).unwrap();
    judge(&mut report, a, b, truth, &mut |_| {}).unwrap();
    report
}

fn judgement<'a>(report: &'a DiffReport, name: &str) -> &'a Judgement {
    field(report, name).referee.as_ref().unwrap()
}

/// The distances of both sides and the answer.
#[track_caller]
fn distances(report: &DiffReport, name: &str) -> (Distance, Distance, Nearer) {
    match judgement(report, name) {
        Judgement::Judged { a, b, nearer } => (*a, *b, *nearer),
        other => panic!("{name}: {other:?}"),
    }
}

#[track_caller]
fn assert_not_comparable(report: &DiffReport, name: &str, why: NotComparable) {
    let not_comparable = why;
    let expected = Judgement::NotComparable { not_comparable };
    assert_eq!(*judgement(report, name), expected, "{name}");
}

/// A run of single tensors.
fn run(folder: &Path, name: &str, artifacts: &[(&str, Value)]) -> PathBuf {
    let run = ToyRun::new(folder, name, Keeps::Values);
    let artifacts = artifacts.iter();
    artifacts
        .fold(run, |run, (name, value)| {
            run.artifact(name, [value.clone()])
        })
        .finish()
}

fn integers(values: &[i32]) -> Value {
    Tensor::vector(values.to_vec()).into()
}

#[test]
fn floats_go_by_the_mean_error_and_not_by_the_largest() {
    let folder = tempdir().unwrap();
    let side =
        |name, values: [f32; 4]| run(folder.path(), name, &[("D", matrix(2, &values).into())]);
    let a = side("a", [1.25, 2.25, 3.25, 4.25]);
    let b = side("b", [1.0, 2.0, 3.0, 4.5]);
    let truth = side("truth", [1.0, 2.0, 3.0, 4.0]);
    let report = judged(&a, &b, &truth);
    assert_eq!(report.referee.as_deref(), Some("native"));
    let (of_a, of_b, nearer) = distances(&report, "D");
    assert_eq!(
        (of_a.mean, of_a.max, of_a.agree),
        (Some(0.25), Some(0.25), 0.0)
    );
    assert_eq!(
        (of_b.mean, of_b.max, of_b.agree),
        (Some(0.125), Some(0.5), 0.75)
    );
    assert_eq!(nearer, Nearer::B);
    let (first, second, nearer) = distances(&judged(&b, &a, &truth), "D");
    assert_eq!((first, second, nearer), (of_b, of_a, Nearer::A));
}

#[test]
fn errors_of_one_size_make_neither_side_nearer() {
    let folder = tempdir().unwrap();
    let side = |name, value: f32| run(folder.path(), name, &[("D", matrix(1, &[value]).into())]);
    let report = judged(&side("a", 1.5), &side("b", 0.5), &side("truth", 1.0));
    assert_eq!(distances(&report, "D").2, Nearer::Neither);
}

#[test]
fn integers_go_by_the_share_that_agrees_however_far_the_others_are() {
    let folder = tempdir().unwrap();
    let side = |name, codes: &[i32]| run(folder.path(), name, &[("codes", integers(codes))]);
    let a = side("a", &[1, 2, 3, 400]);
    let b = side("b", &[1, 2, 4, 5]);
    let report = judged(&a, &b, &side("truth", &[1, 2, 3, 4]));
    let (of_a, of_b, nearer) = distances(&report, "codes");
    assert_eq!((of_a.agree, of_b.agree, nearer), (0.75, 0.5, Nearer::A));
    assert_eq!((of_a.mean, of_a.max, of_b.mean), (None, None, None));
}

#[test]
fn the_json_of_a_judgement_has_the_promised_names() {
    let folder = tempdir().unwrap();
    let side = |name, value: f32, codes: &[i32], lengths: &[i32]| {
        let artifacts = [
            ("D", matrix(1, &[value]).into()),
            ("codes", integers(codes)),
            ("ivf", integers(codes)),
            ("ivf_lengths", integers(lengths)),
        ];
        run(folder.path(), name, &artifacts)
    };
    let a = side("a", 1.5, &[7, 8], &[2]);
    let b = side("b", 2.0, &[7, 7], &[3]);
    let report = judged(&a, &b, &side("truth", 1.0, &[7, 8], &[2]));
    let value = serde_json::to_value(&report).unwrap();
    let referee = |row: usize| value["rows"][row]["fields"][0]["referee"].clone();
    let float = |error| json!({"mean": error, "max": error, "agree": 0.0});
    assert_eq!(
        referee(0),
        json!({"a": float(0.5), "b": float(1.0), "nearer": "a"})
    );
    let share = |agree| json!({ "agree": agree });
    assert_eq!(
        referee(1),
        json!({"a": share(1.0), "b": share(0.5), "nearer": "a"})
    );
    assert_eq!(
        referee(2),
        json!({"not_comparable": {"why": "rows", "by": "ivf_lengths"}})
    );
    let again: DiffReport = serde_json::from_value(value).unwrap();
    assert_eq!(again, report);
}

#[test]
fn what_agrees_is_not_judged_and_without_a_referee_nothing_is() {
    let folder = tempdir().unwrap();
    let side = |name, value: f32| {
        let artifacts = [
            ("doclens", integers(&[1])),
            ("D", matrix(1, &[value]).into()),
        ];
        run(folder.path(), name, &artifacts)
    };
    let (a, b) = (side("a", 1.5), side("b", 2.0));
    let report = judged(&a, &b, &side("truth", 1.0));
    assert_eq!(field(&report, "doclens").referee, None);
    assert!(field(&report, "D").referee.is_some());
    let value = serde_json::to_value(compared(&a, &b)).unwrap();
    assert!(value.get("referee").is_none());
    assert!(value["rows"][1]["fields"][0].get("referee").is_none());
}

#[test]
fn rows_that_are_about_something_else_are_not_comparable() {
    let folder = tempdir().unwrap();
    let side = |name, doclens: &[i32], sampled: &[i32], value: f32, code: i32| {
        let embeddings = || Value::from(matrix(1, &[value, 2.0, 3.0]));
        let artifacts = [
            ("sampled_pids", integers(sampled)),
            ("D", embeddings()),
            ("doclens", integers(doclens)),
            ("centroids", embeddings()),
            ("bucket_cutoffs", matrix(1, &[value]).into()),
            ("codes", integers(&[code, 1, 1])),
        ];
        run(folder.path(), name, &artifacts)
    };
    let rows = |by: &str| NotComparable::Rows { by: by.to_owned() };
    let a = side("a", &[1, 2], &[0], 1.5, 0);
    let truth = side("truth", &[1, 2], &[0], 1.0, 1);

    let other_lengths = judged(&a, &side("b", &[2, 1], &[0], 1.25, 1), &truth);
    for name in ["D", "centroids", "codes"] {
        assert_not_comparable(&other_lengths, name, rows("doclens"));
    }
    assert_eq!(distances(&other_lengths, "doclens").2, Nearer::A);
    // What belongs to no row is compared whatever the rows are.
    assert_eq!(distances(&other_lengths, "bucket_cutoffs").2, Nearer::B);

    let other_sample = judged(&a, &side("c", &[1, 2], &[1], 1.25, 1), &truth);
    assert_eq!(distances(&other_sample, "D").2, Nearer::B);
    for name in ["centroids", "codes"] {
        assert_not_comparable(&other_sample, name, rows("sampled_pids"));
    }
}

#[test]
fn another_shape_of_the_referee_s_is_not_comparable() {
    let folder = tempdir().unwrap();
    let side = |name, values: &[f32]| run(folder.path(), name, &[("D", matrix(2, values).into())]);
    let (a, b) = (side("a", &[1.0, 2.0]), side("b", &[1.0, 3.0]));
    let longer = side("longer", &[1.0, 2.0, 3.0, 4.0]);
    assert_not_comparable(&judged(&a, &b, &longer), "D", NotComparable::Shape);
    let without = run(folder.path(), "without", &[("codes", integers(&[1]))]);
    assert_not_comparable(&judged(&a, &b, &without), "D", NotComparable::Absent);
}

#[test]
fn a_side_that_is_not_finite_is_farther_than_any_that_is() {
    let folder = tempdir().unwrap();
    let side =
        |name, values: [f32; 2]| run(folder.path(), name, &[("D", matrix(2, &values).into())]);
    let truth = side("truth", [1.0, 2.0]);
    let far = side("far", [1e6, -1e6]);
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::INFINITY)] {
        let report = judged(&side(name, [value, 2.0]), &far, &truth);
        let (of_a, of_b, nearer) = distances(&report, "D");
        assert_eq!((of_a.without_bound, of_b.without_bound), (1, 0), "{name}");
        assert_eq!((of_a.mean, nearer), (Some(0.0), Nearer::B), "{name}");
    }
}

#[test]
fn chunks_may_be_cut_at_other_places_in_all_three() {
    let folder = tempdir().unwrap();
    let rows = 100_000;
    let side = |name, error: f32, cut: usize| {
        let values: Vec<f32> = (0..rows).map(|row| (row % 8) as f32 + error).collect();
        let chunks = values.chunks(cut).map(|chunk| matrix(1, chunk).into());
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("D", chunks).finish()
    };
    let (a, b) = (side("a", 0.5, 33_333), side("b", 0.25, 70_001));
    let report = judged(&a, &b, &side("truth", 0.0, 99_999));
    let (of_a, of_b, nearer) = distances(&report, "D");
    assert_eq!((of_a.mean, of_b.mean), (Some(0.5), Some(0.25)));
    assert_eq!(nearer, Nearer::B);
}

#[test]
fn an_index_is_held_against_what_it_would_have_kept() {
    let golden = |path: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
        root.join(path)
    };
    let (old, new) = (golden("torch-1.13.1/index"), golden("torch-2.15.0/index"));
    let centroids = pt::read_tensors(old.join("centroids.pt"))
        .unwrap()
        .remove(0);
    assert_eq!(centroids.dtype(), DType::F16);
    // The centroids of the one before they were rounded to half precision.
    let wide = centroids.cast(DType::F32).unwrap();
    let nearby: Vec<f32> = wide.as_slice::<f32>().unwrap().to_vec();
    let nearby = nearby.into_iter().map(|value| value * (1.0 + 1e-6));
    let exact = Tensor::new(centroids.shape().to_vec(), nearby.collect::<Vec<f32>>()).unwrap();
    let folder = tempdir().unwrap();
    let truth = run(folder.path(), "truth", &[("centroids", exact.into())]);
    let report = judged(&old, &new, &truth);
    let (of_a, of_b, nearer) = distances(&report, "centroids");
    assert_eq!((of_a.mean, of_a.agree, nearer), (Some(0.0), 1.0, Nearer::A));
    let differing = field(&report, "centroids").numbers.as_ref().unwrap();
    assert_eq!(of_b.mean, Some(differing.report.mean_abs));
}

/// A run of one tapped module, of passages 4 and 7.
fn tapped(folder: &Path, name: &str, rows: Tensor) -> PathBuf {
    let run = ToyRun::new(folder, name, Keeps::Values);
    run.tap("linear", 0, &[(4, 1), (7, 2)], rows).finish()
}

#[test]
fn modules_are_judged_by_taps_in_double_precision() {
    let folder = tempdir().unwrap();
    let side = |name, values: &[f32]| tapped(folder.path(), name, matrix(1, values));
    let (a, b) = (side("a", &[1.0, 2.0, 3.5]), side("b", &[1.0, 2.25, 3.5]));
    let exact = Tensor::new(vec![3, 1], vec![1.0f64, 2.0, 3.0]).unwrap();
    let report = judged(&a, &b, &tapped(folder.path(), "truth", exact));
    let (of_a, of_b, nearer) = distances(&report, "linear");
    assert_eq!((of_a.mean, of_b.mean), (Some(0.5 / 3.0), Some(0.25)));
    assert_eq!(
        (of_a.max, of_b.max, nearer),
        (Some(0.5), Some(0.5), Nearer::A)
    );

    let sides = [&a, &b].map(|path| Side::open(path).unwrap());
    let report = compared(&a, &b);
    let capture = to_be_judged(&report, &sides[0], &sides[1]).unwrap();
    assert!(capture.taps.iter().any(|module| module.names("linear")));
    assert_eq!(capture.passages, Some([4, 7].into()));
    assert!(capture.tap_values && capture.artifact_values);
}

#[test]
fn a_side_that_is_the_referee_has_no_error_at_any_module() {
    let folder = tempdir().unwrap();
    let exact = |name| {
        let rows = Tensor::new(vec![3, 1], vec![1.0f64, 2.0, 3.0]).unwrap();
        tapped(folder.path(), name, rows)
    };
    let other = tapped(folder.path(), "other", matrix(1, &[1.0, 2.0, 3.5]));
    let report = judged(&other, &exact("itself"), &exact("truth"));
    let (of_a, of_b, nearer) = distances(&report, "linear");
    assert_eq!((of_a.mean, of_b.mean), (Some(0.5 / 3.0), Some(0.0)));
    assert_eq!((of_b.agree, nearer), (1.0, Nearer::B));
}

#[test]
fn modules_of_other_passages_are_not_comparable() {
    let folder = tempdir().unwrap();
    let side = |name, values: &[f32]| tapped(folder.path(), name, matrix(1, values));
    let (a, b) = (side("a", &[1.0, 2.0, 3.5]), side("b", &[1.0, 2.25, 3.5]));
    let truth = ToyRun::new(folder.path(), "truth", Keeps::Values)
        .tap("linear", 0, &[(4, 1)], matrix(1, &[1.0]))
        .finish();
    assert_not_comparable(&judged(&a, &b, &truth), "linear", NotComparable::Passages);
    let without = run(folder.path(), "without", &[("codes", integers(&[1]))]);
    assert_not_comparable(&judged(&a, &b, &without), "linear", NotComparable::Absent);
}

#[test]
fn there_is_nothing_to_judge_where_nothing_differs_or_no_values_are_kept() {
    let folder = tempdir().unwrap();
    let side = |name, keeps, value: f32| {
        let run = ToyRun::new(folder.path(), name, keeps);
        run.artifact("D", [matrix(1, &[value]).into()]).finish()
    };
    let asked = |a: &Path, b: &Path| {
        let (a_side, b_side) = (Side::open(a).unwrap(), Side::open(b).unwrap());
        to_be_judged(&compared(a, b), &a_side, &b_side)
    };
    let a = side("a", Keeps::Values, 1.0);
    assert_eq!(asked(&a, &side("same", Keeps::Values, 1.0)), None);
    assert_eq!(asked(&a, &side("hashes", Keeps::Hashes, 2.0)), None);
    let other = asked(&a, &side("other", Keeps::Values, 2.0)).unwrap();
    assert!(other.artifact_values && !other.tap_values);
    assert_eq!((other.taps.len(), other.passages), (0, None));
}
