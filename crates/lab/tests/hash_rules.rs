//! Runs whose taps are hashed by two rules.

#![allow(clippy::unwrap_used)]

mod toy;

use concord_lab::Side;
use concord_lab::diff::{Bits, Evidence, Outcome, Unknown};
use concord_lab::explain::{ExplainedSide, Question, explain};
use concord_pipeline::NoProgress;
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, matrix, row};

const PASSAGES: [(usize, usize); 2] = [(3, 1), (7, 2)];
const ROWS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const OTHER: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5];

#[test]
fn where_nobody_kept_values_they_are_neither_the_same_nor_different() {
    let folder = tempdir().unwrap();
    let run = |name| ToyRun::new(folder.path(), name, Keeps::Hashes);
    let before = run("before").tap_of_before("linear", 0, &PASSAGES, matrix(2, &ROWS));
    let before = before.finish();
    for (name, rows) in [("same", ROWS), ("other", OTHER)] {
        let today = run(name).tap("linear", 0, &PASSAGES, matrix(2, &rows));
        let report = compared(&before, &today.finish());
        let linear = row(&report, "linear");
        assert_eq!(linear.outcome, Outcome::Unknown);
        assert_eq!(linear.fields[0].bits, Bits::Unknown(Unknown::HashRules));
        let passages = linear.passages.unwrap();
        assert_eq!((passages.differing, passages.unknown), (0, 2));
    }
}

#[test]
fn where_one_kept_values_they_are_hashed_by_the_rule_of_the_other() {
    let folder = tempdir().unwrap();
    for (keeps_a, keeps_b) in [
        (Keeps::Values, Keeps::Hashes),
        (Keeps::Hashes, Keeps::Values),
    ] {
        let name = |run: &str| format!("{run}-{}", keeps_a == Keeps::Values);
        let before = ToyRun::new(folder.path(), &name("before"), keeps_a);
        let before = before.tap_of_before("linear", 0, &PASSAGES, matrix(2, &ROWS));
        let before = before.finish();
        for (run, rows, bits, first) in [
            ("same", ROWS, Bits::Same(Evidence::Hashes), None),
            ("other", OTHER, Bits::Different(Evidence::Hashes), Some(7)),
        ] {
            let today = ToyRun::new(folder.path(), &name(run), keeps_b);
            let today = today.tap("linear", 0, &PASSAGES, matrix(2, &rows)).finish();
            let report = compared(&before, &today);
            let linear = row(&report, "linear");
            assert_eq!(linear.fields[0].bits, bits);
            assert_eq!(linear.passages.unwrap().first_differing_pid, first);
        }
    }
}

#[test]
fn explain_claims_no_departure_by_two_rules() {
    let folder = tempdir().unwrap();
    let run = |name| ToyRun::new(folder.path(), name, Keeps::Hashes);
    let paths = ["bert", "linear", "normalize"];
    let (mut before, mut today) = (run("before"), run("today"));
    for path in paths {
        before = before.tap_of_before(path, 0, &PASSAGES, matrix(2, &ROWS));
        today = today.tap(path, 0, &PASSAGES, matrix(2, &ROWS));
    }
    // One that differs by its shape, so that there is something to explain.
    before = before.tap_of_before("bert.embeddings", 0, &[(3, 1)], matrix(2, &[0.0, 0.0]));
    today = today.tap("bert.embeddings", 0, &[(3, 2)], matrix(2, &[0.0; 4]));
    let runs = [before.finish(), today.finish()].map(|run| Side::open(&run).unwrap());
    let side = |at: usize| ExplainedSide {
        name: at.to_string(),
        run: &runs[at],
        again: None,
        runner: None,
    };
    let question = Question {
        a: side(0),
        b: side(1),
        referee: None,
        scratch: folder.path(),
    };
    let explanation = explain(&question, &NoProgress).unwrap();
    let encoder = explanation.encoder.unwrap();
    assert_eq!((encoder.batches, encoder.departures), (None, None));
}
