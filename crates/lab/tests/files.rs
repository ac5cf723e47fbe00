//! Single files, and what cannot be a side.

#![allow(clippy::unwrap_used)]

mod toy;

use std::fs;
use std::path::{Path, PathBuf};

use concord_lab::diff::{Bits, Evidence, Outcome, Presence, RowKind, Verdict};
use concord_lab::{DiffError, DiffOptions, Side, SideError, diff};
use concord_tensor::closeness::Tolerance;
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{Tensor, safetensors};
use tempfile::tempdir;
use toy::{compared, field, matrix};

fn golden(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    root.join(path)
}

#[test]
fn files_of_different_formats_are_compared_tensor_by_tensor() {
    let folder = tempdir().unwrap();
    let (pt_path, other) = (
        folder.path().join("a.pt"),
        folder.path().join("b.safetensors"),
    );
    let (x, y) = (matrix(2, &[1.0, 2.0]), matrix(1, &[3.0]));
    let named = |name: &str, tensor: &Tensor| {
        (
            PtValue::Str(name.to_owned()),
            PtValue::Tensor(tensor.clone()),
        )
    };
    pt::write(
        &pt_path,
        &PtValue::Dict(vec![named("y", &y), named("x", &x)]),
    )
    .unwrap();
    let tensors = [("x".to_owned(), x), ("z".to_owned(), y)];
    safetensors::write(&other, &tensors).unwrap();
    let report = compared(&pt_path, &other);
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.outcome, row.presence))
        .collect();
    assert_eq!(
        rows,
        [
            ("y", Outcome::Different, Presence::OnlyA),
            ("x", Outcome::Same, Presence::Both),
            ("z", Outcome::Different, Presence::OnlyB),
        ]
    );
    assert!(report.rows.iter().all(|row| row.kind == RowKind::Tensor));
}

#[test]
fn embeddings_of_two_versions_are_close_but_not_the_same() {
    let (a, b) = (
        golden("torch-1.13.1/embs.npy"),
        golden("torch-2.15.0/embs.npy"),
    );
    let (a, b) = (Side::open(&a).unwrap(), Side::open(&b).unwrap());
    let tolerance = Tolerance {
        atol: 1e-6,
        ..Tolerance::default()
    };
    let mut last = (0, 1);
    let report = diff(&a, &b, &DiffOptions { tolerance }, &mut |progress| {
        assert_eq!(progress.name, "tensor");
        last = (progress.done, progress.total);
    });
    let report = report.unwrap();
    assert_eq!(last, (2099 * 32 * 4, 2099 * 32 * 4));
    let field = field(&report, "tensor");
    assert_eq!(field.bits, Bits::Different(Evidence::Values));
    assert!(field.numbers.as_ref().unwrap().report.allclose);
}

#[test]
fn lists_of_passage_lengths_are_compared() {
    let folder = tempdir().unwrap();
    let list = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let a = list("doclens.0.json", "[3,4,5]");
    assert_eq!(
        compared(&a, &list("same.json", "[3, 4, 5]")).verdict,
        Verdict::Same
    );
    let report = compared(&a, &list("other.json", "[3,4,6]"));
    let numbers = field(&report, "tensor").numbers.as_ref().unwrap();
    assert_eq!(numbers.report.first_difference.as_ref().unwrap().index, [2]);
    let error = Side::open(&list("wrong.json", "[3,\n\"x\"]"))
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("wrong.json") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn what_is_no_side_is_refused_with_what_would_be_one() {
    let folder = tempdir().unwrap();
    let missing = Side::open(&folder.path().join("missing")).err().unwrap();
    assert!(matches!(missing, SideError::Missing(_)), "{missing}");
    let unknown = Side::open(folder.path()).err().unwrap();
    assert!(matches!(unknown, SideError::UnknownFolder(_)));
    assert!(
        unknown
            .to_string()
            .contains("manifest.json and events.jsonl"),
        "{unknown}"
    );
    let text = folder.path().join("notes.txt");
    fs::write(&text, "").unwrap();
    let unknown = Side::open(&text).err().unwrap();
    assert!(matches!(unknown, SideError::UnknownFile(_)));
    assert!(unknown.to_string().contains(".safetensors"), "{unknown}");
    let empty = folder.path().join("empty.safetensors");
    safetensors::write(&empty, &[]).unwrap();
    assert!(matches!(Side::open(&empty), Err(SideError::NoTensors(_))));
    let truncated = folder.path().join("truncated.pt");
    fs::write(&truncated, "PK").unwrap();
    assert!(matches!(Side::open(&truncated), Err(SideError::File(_))));
}

#[test]
fn a_file_is_not_compared_with_a_folder() {
    let index = Side::open(&golden("torch-1.13.1/index")).unwrap();
    let file = Side::open(&golden("torch-1.13.1/embs.npy")).unwrap();
    for (a, b) in [(&index, &file), (&file, &index)] {
        let error = diff(a, b, &DiffOptions::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, DiffError::FileWithFolder { .. }), "{error}");
    }
}
