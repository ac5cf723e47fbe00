//! Taps of two runs, joined by module and passage.

#![allow(clippy::unwrap_used)]

mod toy;

use concord_lab::diff::{
    Bits, Evidence, Outcome, Presence, Spot, TappedPassages, Unknown, Verdict,
};
use concord_tensor::DType;
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, field, matrix, row};

#[test]
fn the_batch_a_passage_was_in_plays_no_part() {
    let folder = tempdir().unwrap();
    let one = ToyRun::new(folder.path(), "a", Keeps::Hashes)
        .tap("linear", 0, &[(0, 1), (1, 2)], matrix(1, &[0.0, 1.0, 2.0]))
        .finish();
    let two = ToyRun::new(folder.path(), "b", Keeps::Hashes)
        .tap("linear", 0, &[(1, 2)], matrix(1, &[1.0, 2.0]))
        .tap("linear", 1, &[(0, 1)], matrix(1, &[0.0]))
        .finish();
    let report = compared(&one, &two);
    assert_eq!(report.verdict, Verdict::Same);
    let linear = field(&report, "linear");
    assert_eq!(linear.bits, Bits::Same(Evidence::Hashes));
    assert_eq!(linear.a.as_ref().unwrap().shape, [3, 1]);
    assert_eq!(linear.a, linear.b);
}

#[test]
fn passages_that_differ_are_counted_and_measured_in_the_order_of_pids() {
    let folder = tempdir().unwrap();
    let a = ToyRun::new(folder.path(), "a", Keeps::Values)
        .tap(
            "linear",
            0,
            &[(7, 1), (3, 2)],
            matrix(2, &[9.0, 9.0, 1.0, 2.0, 3.0, 4.0]),
        )
        .finish();
    let b = ToyRun::new(folder.path(), "b", Keeps::Values)
        .tap("linear", 0, &[(3, 2)], matrix(2, &[1.0, 2.0, 3.0, 4.5]))
        .tap("linear", 1, &[(7, 1)], matrix(2, &[9.0, 10.0]))
        .finish();
    let report = compared(&a, &b);
    let row = row(&report, "linear");
    let expected = TappedPassages {
        common: 2,
        differing: 2,
        first_differing_pid: Some(3),
        ..TappedPassages::default()
    };
    assert_eq!(row.passages, Some(expected));
    let numbers = row.fields[0].numbers.as_ref().unwrap();
    assert_eq!(numbers.report.shape, [3, 2]);
    assert_eq!(numbers.report.differing, 2);
    assert_eq!(
        numbers.spots.first_difference,
        Some(Spot { pid: 3, token: 1 })
    );
    assert_eq!(numbers.spots.max_abs, Some(Spot { pid: 7, token: 0 }));
    assert_eq!(numbers.report.max_abs.as_ref().unwrap().value, 1.0);
}

#[test]
fn a_module_called_twice_has_each_passage_twice() {
    let folder = tempdir().unwrap();
    let run = |name, second| {
        ToyRun::new(folder.path(), name, Keeps::Values)
            .tap("gelu", 0, &[(0, 1)], matrix(1, &[1.0]))
            .tap("gelu", 0, &[(0, 1)], matrix(1, &[second]))
            .finish()
    };
    let report = compared(&run("a", 2.0), &run("b", 3.0));
    let passages = row(&report, "gelu").passages.unwrap();
    assert_eq!((passages.common, passages.differing), (2, 1));
}

#[test]
fn passages_tapped_on_one_side_leave_the_answer_open() {
    let folder = tempdir().unwrap();
    let a = ToyRun::new(folder.path(), "a", Keeps::Values)
        .tap("linear", 0, &[(0, 1), (1, 1)], matrix(1, &[0.0, 1.0]))
        .finish();
    let b = ToyRun::new(folder.path(), "b", Keeps::Values)
        .tap("linear", 0, &[(1, 1), (2, 1)], matrix(1, &[1.0, 2.0]))
        .finish();
    let report = compared(&a, &b);
    let linear = row(&report, "linear");
    assert_eq!(linear.outcome, Outcome::Unknown);
    assert_eq!(linear.fields[0].bits, Bits::Unknown(Unknown::Passages));
    let passages = linear.passages.unwrap();
    assert_eq!(
        (passages.common, passages.only_a, passages.only_b),
        (1, 1, 1)
    );
}

#[test]
fn a_module_tapped_on_one_side_is_shown_where_it_was_computed_and_is_no_difference() {
    let folder = tempdir().unwrap();
    let run = |name, paths: &[&str]| {
        let run = ToyRun::new(folder.path(), name, Keeps::Hashes);
        let tapped = paths.iter().fold(run, |run, path| {
            run.tap(path, 0, &[(0, 1)], matrix(1, &[0.0]))
        });
        tapped.finish()
    };
    let report = compared(
        &run("a", &["linear", "normalize"]),
        &run("b", &["linear", "mask"]),
    );
    let names: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["linear", "mask", "normalize"]);
    assert_eq!(report.verdict, Verdict::Same);
    let mask = row(&report, "mask");
    assert_eq!(
        (mask.outcome, mask.presence),
        (Outcome::OneSided, Presence::OnlyB)
    );
}

#[test]
fn taps_without_values_say_who_lacks_them() {
    let folder = tempdir().unwrap();
    let run = |name, keeps, value| {
        let run = ToyRun::new(folder.path(), name, keeps);
        run.tap("linear", 0, &[(0, 1)], matrix(1, &[value]))
            .finish()
    };
    let report = compared(&run("a", Keeps::Hashes, 0.0), &run("b", Keeps::Values, 1.0));
    let linear = field(&report, "linear");
    assert_eq!(
        (linear.values, &linear.numbers),
        (Some(Presence::OnlyB), &None)
    );
}

#[test]
fn passages_of_other_lengths_or_dtypes_differ_and_the_others_are_measured() {
    let folder = tempdir().unwrap();
    let a = ToyRun::new(folder.path(), "a", Keeps::Values)
        .tap("linear", 0, &[(0, 1), (1, 2)], matrix(1, &[0.0, 1.0, 2.0]))
        .finish();
    let b = ToyRun::new(folder.path(), "b", Keeps::Values)
        .tap("linear", 0, &[(0, 1), (1, 1)], matrix(1, &[0.5, 1.0]))
        .finish();
    let report = compared(&a, &b);
    let linear = field(&report, "linear");
    assert_eq!(linear.shape_same, Some(false));
    assert_eq!(linear.numbers.as_ref().unwrap().report.shape, [1, 1]);
    let half = matrix(1, &[0.0, 1.0, 2.0]).cast(DType::F16).unwrap();
    let half = ToyRun::new(folder.path(), "half", Keeps::Values)
        .tap("linear", 0, &[(0, 1), (1, 2)], half)
        .finish();
    let report = compared(&a, &half);
    let linear = field(&report, "linear");
    assert_eq!(
        (linear.shape_same, linear.dtype_same),
        (Some(true), Some(false))
    );
    assert_eq!(linear.numbers.as_ref().unwrap().report.differing, 0);
    assert_eq!(report.verdict, Verdict::Different);
}
