//! Recorded runs against each other.

#![allow(clippy::unwrap_used)]

mod toy;

use std::path::Path;

use concord_lab::diff::{
    About, Bits, Evidence, Outcome, Presence, RowKind, Spot, Unknown, Verdict,
};
use concord_lab::{DiffError, DiffOptions, ElementsError, Side, SideError, diff};
use concord_pipeline::Value;
use concord_tensor::{BitHash, DType, Tensor};
use serde_json::json;
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, field, matrix, row};

/// Embeddings of two passages, of 2 and of 3 rows.
fn embeddings(values: &[f32]) -> Value {
    matrix(2, values).into()
}

const TEN: [f32; 10] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

fn doclens() -> Value {
    Tensor::vector(vec![2i64, 3]).into()
}

#[test]
fn equal_hashes_need_no_values() {
    let folder = tempdir().unwrap();
    let run = |name, keeps| {
        let run = ToyRun::new(folder.path(), name, keeps);
        run.artifact("doclens", [doclens()])
            .artifact("D", [embeddings(&TEN)])
            .finish()
    };
    let report = compared(&run("a", Keeps::Hashes), &run("b", Keeps::Values));
    assert_eq!(report.verdict, Verdict::Same);
    assert_eq!(report.first_different, None);
    assert_eq!(field(&report, "D").bits, Bits::Same(Evidence::Hashes));
    assert_eq!(field(&report, "D").numbers, None);
    assert_eq!((report.counts.same, report.rows.len()), (2, 2));
}

#[test]
fn a_difference_has_its_figures_and_its_passage() {
    let folder = tempdir().unwrap();
    let run = |name, values: &[f32]| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("D", [embeddings(values)])
            .artifact("doclens", [doclens()])
            .finish()
    };
    let mut other = TEN;
    other[7] = f32::from_bits(7f32.to_bits() + 3);
    other[9] = 9.5;
    let report = compared(&run("a", &TEN), &run("b", &other));
    assert_eq!(report.verdict, Verdict::Different);
    assert_eq!(report.first_different.as_deref(), Some("D"));
    let field = field(&report, "D");
    assert_eq!(field.bits, Bits::Different(Evidence::Hashes));
    assert_eq!(field.values, Some(Presence::Both));
    let numbers = field.numbers.as_ref().unwrap();
    assert_eq!(numbers.report.differing, 2);
    assert!(!numbers.report.allclose);
    assert_eq!(
        numbers.report.first_difference.as_ref().unwrap().index,
        [3, 1]
    );
    let most = numbers.report.max_abs.as_ref().unwrap();
    assert_eq!((most.value, &most.at.index[..]), (0.5, &[4, 1][..]));
    assert_eq!(
        numbers.spots.first_difference,
        Some(Spot { pid: 1, token: 1 })
    );
    assert_eq!(numbers.spots.max_abs, Some(Spot { pid: 1, token: 2 }));
}

#[test]
fn hashes_that_differ_without_values_give_no_figures() {
    let folder = tempdir().unwrap();
    let run = |name, keeps, first| {
        let run = ToyRun::new(folder.path(), name, keeps);
        run.artifact("D", [embeddings(&[first, 1.0])]).finish()
    };
    let report = compared(&run("a", Keeps::Values, 0.0), &run("b", Keeps::Hashes, 0.5));
    let field = field(&report, "D");
    assert_eq!(field.bits, Bits::Different(Evidence::Hashes));
    assert_eq!(
        (field.values, &field.numbers),
        (Some(Presence::OnlyA), &None)
    );
}

#[test]
fn hashes_of_chunks_cut_differently_tell_nothing_alone() {
    let folder = tempdir().unwrap();
    let whole = ToyRun::new(folder.path(), "a", Keeps::Hashes);
    let whole = whole.artifact("D", [embeddings(&TEN)]).finish();
    let cut = ToyRun::new(folder.path(), "b", Keeps::Hashes);
    let cut = cut
        .artifact("D", [embeddings(&TEN[..4]), embeddings(&TEN[4..])])
        .finish();
    let report = compared(&whole, &cut);
    let field = field(&report, "D");
    assert_eq!(
        (field.shape_same, field.dtype_same),
        (Some(true), Some(true))
    );
    assert_eq!(field.bits, Bits::Unknown(Unknown::Grids));
    assert_eq!(field.values, Some(Presence::Neither));
    let unknown = vec!["D".to_owned()];
    assert_eq!(report.verdict, Verdict::CannotTell { unknown });
}

#[test]
fn values_are_held_against_the_hashes_of_the_other_side() {
    let folder = tempdir().unwrap();
    let run = |name, keeps, chunks: Vec<Value>| {
        ToyRun::new(folder.path(), name, keeps)
            .artifact("D", chunks)
            .finish()
    };
    let values = run("values", Keeps::Values, vec![embeddings(&TEN)]);
    let cut = vec![embeddings(&TEN[..4]), embeddings(&TEN[4..])];
    let same = run("same", Keeps::Hashes, cut);
    let other = vec![embeddings(&TEN[..4]), embeddings(&[0.0; 6])];
    let other = run("other", Keeps::Hashes, other);
    for (hashes, bits) in [
        (&same, Bits::Same(Evidence::Hashes)),
        (&other, Bits::Different(Evidence::Hashes)),
    ] {
        for report in [compared(&values, hashes), compared(hashes, &values)] {
            assert_eq!(field(&report, "D").bits, bits);
            assert_eq!(field(&report, "D").numbers, None);
        }
    }
}

#[test]
fn passages_of_other_lengths_are_a_difference_of_shape() {
    let folder = tempdir().unwrap();
    let run = |name, doclens: Vec<i64>, values: &[f32]| {
        ToyRun::new(folder.path(), name, Keeps::Values)
            .artifact("doclens", [Tensor::vector(doclens).into()])
            .artifact("D", [embeddings(values)])
            .finish()
    };
    let report = compared(
        &run("a", vec![2, 3], &TEN),
        &run("b", vec![2, 2], &TEN[..8]),
    );
    // D comes before doclens in the graph.
    assert_eq!(report.first_different.as_deref(), Some("D"));
    let of_d = field(&report, "D");
    assert_eq!(of_d.shape_same, Some(false));
    assert_eq!(of_d.bits, Bits::Different(Evidence::Form));
    assert_eq!(of_d.numbers, None);
    let spots = field(&report, "doclens").numbers.as_ref().unwrap().spots;
    assert_eq!(spots.first_difference, Some(Spot { pid: 1, token: 0 }));
}

#[test]
fn a_nan_is_not_close_even_where_the_bits_are_the_same() {
    let folder = tempdir().unwrap();
    let nan = [f32::NAN, 1.0, 2.0, 3.0];
    let run = |name, chunks: Vec<Value>| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("D", chunks).finish()
    };
    let whole = run("a", vec![embeddings(&nan)]);
    let cut = run("b", vec![embeddings(&nan[..2]), embeddings(&nan[2..])]);
    let report = compared(&whole, &cut);
    let field = field(&report, "D");
    assert_eq!(field.bits, Bits::Same(Evidence::Values));
    let numbers = &field.numbers.as_ref().unwrap().report;
    assert_eq!((numbers.allclose, numbers.nans.both), (false, 1));
    assert_eq!(report.verdict, Verdict::Same);
}

#[test]
fn fields_are_compared_by_name_and_a_missing_one_differs() {
    let folder = tempdir().unwrap();
    let (ids, lengths) = (Tensor::vector(vec![5i64, 6, 7]), Tensor::vector(vec![3i64]));
    let a = Value::of_fields([("ids", ids.clone()), ("lengths", lengths.clone())]);
    let b = Value::of_fields([("ids", ids), ("sizes", lengths)]);
    let run = |name, value| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("tensorize_output", [value]).finish()
    };
    let report = compared(&run("a", a), &run("b", b));
    let row = row(&report, "tensorize_output");
    let names: Vec<&str> = row.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["ids", "sizes", "lengths"]);
    assert_eq!(row.outcome, Outcome::Different);
    assert_eq!(row.fields[0].bits, Bits::Same(Evidence::Hashes));
    assert!(row.fields[1].a.is_none() && row.fields[2].b.is_none());
}

#[test]
fn dtypes_that_differ_are_compared_as_the_wider() {
    let folder = tempdir().unwrap();
    let full = matrix(2, &[0.1, 0.5]);
    let half = full.cast(DType::F16).unwrap();
    let run = |name, tensor: Tensor| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("centroids", [tensor.into()]).finish()
    };
    let report = compared(&run("a", full), &run("b", half));
    let field = field(&report, "centroids");
    assert_eq!(field.dtype_same, Some(false));
    assert_eq!(field.bits, Bits::Different(Evidence::Form));
    let numbers = &field.numbers.as_ref().unwrap().report;
    assert_eq!((numbers.differing, numbers.elements), (1, 2));
    assert_eq!(numbers.ulps, None);
}

#[test]
fn an_artifact_missing_from_a_native_run_is_a_difference_and_from_another_subject_is_none() {
    let folder = tempdir().unwrap();
    let run = |name, contract| {
        let run = ToyRun::new(folder.path(), name, Keeps::Hashes);
        run.told(|manifest| manifest.contract = contract)
            .artifact("doclens", [doclens()])
    };
    let more = run("more", Some(1))
        .artifact("values", [doclens()])
        .finish();
    let native = compared(&more, &run("native", Some(1)).finish());
    assert_eq!(native.first_different.as_deref(), Some("values"));
    assert_eq!(row(&native, "values").presence, Presence::OnlyA);
    let foreign = compared(&run("foreign", None).finish(), &more);
    assert_eq!(foreign.verdict, Verdict::Same);
    let values = row(&foreign, "values");
    assert_eq!(
        (values.outcome, values.presence),
        (Outcome::OneSided, Presence::OnlyB)
    );
    assert_eq!(foreign.counts.one_sided, 1);
}

#[test]
fn rows_stand_in_the_order_of_the_graph_with_taps_at_the_encoder() {
    let folder = tempdir().unwrap();
    let run = |name| {
        ToyRun::new(folder.path(), name, Keeps::Hashes)
            .artifact("codes", [doclens()])
            .artifact("batches", [doclens()])
            .artifact("tensorize_output", [doclens()])
            .tap("linear", 0, &[(0, 1)], matrix(2, &[1.0, 2.0]))
            .finish()
    };
    let report = compared(&run("a"), &run("b"));
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.kind))
        .collect();
    assert_eq!(
        rows,
        [
            ("tensorize_output", RowKind::Artifact),
            ("linear", RowKind::Tap),
            ("batches", RowKind::Artifact),
            ("codes", RowKind::Artifact),
        ]
    );
}

#[test]
fn inputs_and_options_that_differ_are_remarked_on() {
    let folder = tempdir().unwrap();
    let a = ToyRun::new(folder.path(), "a", Keeps::Hashes).finish();
    let b = ToyRun::new(folder.path(), "b", Keeps::Hashes).told(|manifest| {
        let other = BitHash::of_bytes(b"other weights");
        manifest.inputs.insert("checkpoint".to_owned(), other);
        manifest.options.insert("nbits".to_owned(), json!(4));
        manifest.options.insert("seed".to_owned(), json!(1));
        manifest.contract = Some(2);
    });
    let report = compared(&a, &b.finish());
    let remarks: Vec<_> = report
        .remarks
        .iter()
        .map(|r| (r.about, r.name.as_str()))
        .collect();
    assert_eq!(
        remarks,
        [
            (About::Contract, "contract"),
            (About::Input, "checkpoint"),
            (About::Option, "nbits"),
            (About::Option, "seed"),
        ]
    );
    let text = report.remarks[1].to_string();
    assert!(
        text.starts_with("the checkpoints differ (sha256:"),
        "{text}"
    );
    assert_eq!(
        report.remarks[3].to_string(),
        "option `seed` is not stated by A (B: 1)"
    );
    let unknown = Vec::new();
    assert_eq!(report.verdict, Verdict::CannotTell { unknown });
}

#[test]
fn a_batch_on_which_one_side_alone_depends_is_not_remarked_on() {
    let folder = tempdir().unwrap();
    let run = |name: &str, batch: Option<u64>| {
        let run = ToyRun::new(folder.path(), name, Keeps::Hashes).told(|manifest| {
            let batch = batch.map(|batch| ("batch".to_owned(), json!(batch)));
            manifest.options.extend(batch);
        });
        run.finish()
    };
    let (none, small, large) = (
        run("none", None),
        run("small", Some(8)),
        run("large", Some(64)),
    );
    assert!(compared(&none, &large).remarks.is_empty());
    assert!(compared(&large, &none).remarks.is_empty());
    let report = compared(&small, &large);
    assert_eq!(
        report.remarks[0].to_string(),
        "option `batch` differs (8 and 64)"
    );
}

#[test]
fn chunks_that_do_not_make_one_tensor_are_refused() {
    let folder = tempdir().unwrap();
    let ragged = ToyRun::new(folder.path(), "a", Keeps::Hashes)
        .artifact("D", [embeddings(&TEN), matrix(5, &TEN).into()])
        .finish();
    let side = Side::open(&ragged).unwrap();
    let error = diff(&side, &side, &DiffOptions::default(), &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, DiffError::Side(SideError::Ragged { artifact, chunk: 1, .. }) if artifact == "D"),
        "{error}"
    );
}

#[test]
fn a_blob_that_holds_another_tensor_is_reported_as_damaged() {
    let folder = tempdir().unwrap();
    let run = |name, values: &[f32]| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("D", [embeddings(values)]).finish()
    };
    let (a, b) = (run("a", &TEN), run("b", &[0.0; 10]));
    let side = Side::open(&a).unwrap();
    let hash = side.run().unwrap().artifacts()[0].hash;
    let blob = side.run().unwrap().tensor(hash).unwrap().unwrap();
    let shorter = [("tensor".to_owned(), matrix(2, &TEN[..4]))];
    concord_tensor::safetensors::write(blob.path(), &shorter).unwrap();
    let other = Side::open(&b).unwrap();
    let error = diff(&side, &other, &DiffOptions::default(), &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            DiffError::Elements {
                source: ElementsError::Damaged { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_field_that_only_a_later_chunk_has_is_refused() {
    let ids = || Tensor::vector(vec![1i64]);
    let first = Value::of_fields([("ids", ids())]);
    let second = Value::of_fields([("ids", ids()), ("masks", ids())]);
    for chunks in [[first.clone(), second.clone()], [second, first]] {
        let folder = tempdir().unwrap();
        let run = ToyRun::new(folder.path(), "a", Keeps::Hashes)
            .artifact("tensorize_output", chunks)
            .finish();
        let side = Side::open(&run).unwrap();
        let error = diff(&side, &side, &DiffOptions::default(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("field `masks`"), "{error}");
    }
}

/// Flips the lowest bit of the last byte of the file that holds `tensor` in `run`.
fn flip(run: &Path, tensor: &Tensor) {
    let side = Side::open(run).unwrap();
    let stored = side.run().unwrap().tensor(tensor.hash()).unwrap().unwrap();
    let mut bytes = std::fs::read(stored.path()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(stored.path(), bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_a_stored_value_is_damage_and_no_difference() {
    let folder = tempdir().unwrap();
    let rows = |at: f32| matrix(2, &[at, 1.0, 2.0, 3.0]);
    let run = |name, at: f32, keeps| {
        ToyRun::new(folder.path(), name, keeps)
            .artifact(
                "codes",
                [matrix(1, &[at]).into(), matrix(1, &[at + 1.0]).into()],
            )
            .tap("linear", 0, &[(0, 1), (1, 1)], rows(at))
            .finish()
    };
    let (a, b) = (run("a", 1.0, Keeps::Values), run("b", 5.0, Keeps::Values));
    let ask = |a: &Path, b: &Path| {
        let (a, b) = (Side::open(a).unwrap(), Side::open(b).unwrap());
        diff(&a, &b, &DiffOptions::default(), &mut |_| {})
    };
    for altered in [matrix(1, &[1.0]), matrix(1, &[2.0]), rows(1.0)] {
        ask(&a, &b).unwrap();
        flip(&a, &altered);
        for (one, other) in [(&a, &b), (&b, &a)] {
            let error = ask(one, other).unwrap_err().to_string();
            assert!(error.contains("is damaged"), "{error}");
        }
        // The same hashes are the same values, whatever became of the files.
        assert_eq!(ask(&a, &a).unwrap().verdict, Verdict::Same);
        flip_back(&a, &altered);
    }
}

fn flip_back(run: &Path, tensor: &Tensor) {
    let digits = tensor.hash().to_string().replace("sha256:", "");
    let path = run
        .join("blobs")
        .join(&digits[..2])
        .join(format!("{digits}.safetensors"));
    concord_tensor::safetensors::write(path, &[("tensor".to_owned(), tensor.clone())]).unwrap();
}

#[test]
fn a_run_without_hashes_of_its_files_is_compared_and_that_is_remarked() {
    let folder = tempdir().unwrap();
    let run = |name| {
        let run = ToyRun::new(folder.path(), name, Keeps::Values);
        run.artifact("codes", [matrix(1, &[1.0]).into()]).finish()
    };
    let (a, b) = (run("a"), run("b"));
    std::fs::remove_file(b.join("SHA256SUMS")).unwrap();
    let report = compared(&a, &b);
    assert_eq!(report.verdict, Verdict::Same);
    let [remark] = report.remarks.as_slice() else {
        panic!("{:?}", report.remarks);
    };
    assert_eq!(remark.about, About::Unsealed);
    assert!(
        remark.to_string().starts_with(&b.display().to_string()),
        "{remark}"
    );
}
