//! Values of files that are no tensors.

#![allow(clippy::unwrap_used)]

#[path = "../../tensor/tests/archive/mod.rs"]
mod archive;
mod toy;

use std::fs;
use std::path::PathBuf;

use archive::{Archive, int, pickle, tensor, text};
use concord_lab::diff::{Outcome, Verdict};
use concord_lab::{DiffOptions, DiffReport, Side, diff};
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{Tensor, safetensors};
use tempfile::TempDir;
use toy::compared;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of these instructions, with two storages of four bytes.
    fn pickled(&self, name: &str, instructions: &[Vec<u8>]) -> PathBuf {
        let storages: [&[u8]; 2] = [&[1, 2, 3, 4], &[1, 2, 3, 5]];
        let file = Archive::of(&pickle(&instructions.concat()), &storages).finish();
        let path = self.path(name);
        fs::write(&path, file).unwrap();
        path
    }

    /// The comparison of two such files.
    fn diff(&self, a: &[Vec<u8>], b: &[Vec<u8>]) -> DiffReport {
        compared(&self.pickled("a.pt", a), &self.pickled("b.pt", b))
    }
}

fn op(instructions: &[u8]) -> Vec<u8> {
    instructions.to_vec()
}

fn float(value: f64) -> Vec<u8> {
    [&b"G"[..], &value.to_be_bytes()].concat()
}

fn bytes(key: &str) -> Vec<u8> {
    tensor("ByteStorage", key, 4, 0, &[4], &[1])
}

/// A dict, or an `OrderedDict`, of these keys and values.
fn dict(made: &[u8], items: &[Vec<u8>]) -> Vec<u8> {
    [made, b"(", &items.concat(), b"u"].concat()
}

const ORDERED: &[u8] = b"ccollections\nOrderedDict\n)R";

#[test]
fn values_of_another_type_are_others() {
    let folder = Folder::new();
    let values = [
        int(1),
        op(b"\x88"),
        float(1.0),
        text("1"),
        op(b"N"),
        op(b"]"),
        op(b")"),
        op(b"}"),
        op(ORDERED),
        op(b"C\x011"),
        op(b"\x96\x01\0\0\0\0\0\0\x001"),
        op(b"c__builtin__\nset\n(]tR"),
        op(b"c__builtin__\nfrozenset\n(]tR"),
        op(b"ctorch\nSize\n()tR"),
        op(b"ctorch\nfloat32\n"),
        op(b"cargparse\nNamespace\n)\x81"),
        op(b"\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01"),
    ];
    for (place, a) in values.iter().enumerate() {
        for (other, b) in values.iter().enumerate() {
            let report = folder.diff(std::slice::from_ref(a), std::slice::from_ref(b));
            let expected = if place == other {
                Verdict::Same
            } else {
                Verdict::Different
            };
            assert_eq!(report.verdict, expected, "{place} and {other}");
        }
    }
}

#[test]
fn floats_go_by_their_bits() {
    let folder = Folder::new();
    let quiet = f64::from_bits(0x7ff8_0000_0000_0001);
    for (a, b, same) in [
        (0.0, -0.0, false),
        (f64::NAN, f64::NAN, true),
        (f64::NAN, quiet, false),
        (0.1, 0.1, true),
        (0.1, 0.1_f64.next_up(), false),
    ] {
        let report = folder.diff(&[float(a)], &[float(b)]);
        assert_eq!(report.verdict == Verdict::Same, same, "{a} {b}");
        let values = report.values.unwrap();
        if let [difference] = values.differences.as_slice() {
            assert_ne!(difference.a, difference.b);
        }
    }
}

#[test]
fn the_order_of_keys_counts_in_an_ordered_dict_alone() {
    let folder = Folder::new();
    let (a, b) = ([text("a"), bytes("0")], [text("b"), int(2)]);
    let [one, other] = [[a.concat(), b.concat()], [b.concat(), a.concat()]];
    let plain = folder.diff(&[dict(b"}", &one)], &[dict(b"}", &other)]);
    assert_eq!(plain.verdict, Verdict::Same);
    let ordered = folder.diff(&[dict(ORDERED, &one)], &[dict(ORDERED, &other)]);
    assert_eq!(ordered.verdict, Verdict::Different);
    let mixed = folder.diff(&[dict(b"}", &one)], &[dict(ORDERED, &one)]);
    assert_eq!(mixed.verdict, Verdict::Different);
}

#[test]
fn keys_of_another_type_name_something_else() {
    let folder = Folder::new();
    let report = folder.diff(
        &[dict(b"}", &[int(0), bytes("0")])],
        &[dict(b"}", &[text("0"), bytes("0")])],
    );
    assert_eq!(report.verdict, Verdict::Different);
    assert!(
        report
            .rows
            .iter()
            .all(|row| row.outcome == Outcome::Different)
    );
}

#[test]
fn tensors_whose_names_run_together_are_each_compared_with_its_own() {
    // The key `a.b`, and the key `b` of what is under `a`: the second tensors differ.
    let folder = Folder::new();
    let file = |second: &str| {
        let inner = dict(b"}", &[text("b"), bytes(second)]);
        dict(b"}", &[text("a.b"), bytes("0"), text("a"), inner])
    };
    let report = folder.diff(&[file("0")], &[file("1")]);
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.outcome))
        .collect();
    assert_eq!(
        rows,
        [("a.b", Outcome::Same), ("['a']['b']", Outcome::Different)]
    );
}

#[test]
fn objects_are_compared_by_what_the_file_says_of_them() {
    let folder = Folder::new();
    let namespace = |lr: i64| {
        let state = dict(b"}", &[text("lr"), int(lr), text("x"), bytes("0")]);
        [op(b"cargparse\nNamespace\n)\x81"), state, op(b"b")].concat()
    };
    let same = folder.diff(&[namespace(1)], &[namespace(1)]);
    assert_eq!(same.verdict, Verdict::Same);
    let values = same.values.unwrap();
    assert_eq!(
        (values.opaque, values.opaque_classes),
        (1, vec!["argparse.Namespace".to_owned()])
    );
    let report = folder.diff(&[namespace(1)], &[namespace(2)]);
    assert_eq!(report.verdict, Verdict::Different);
    assert_eq!(report.values.unwrap().differences[0].path, ".state['lr']");
    // The names of Python 2 and of an older NumPy are those of today.
    let old = op(b"cnumpy.core.multiarray\nscalar\n)R");
    let new = op(b"cnumpy._core.multiarray\nscalar\n)R");
    assert_eq!(folder.diff(&[old], &[new]).verdict, Verdict::Same);
}

#[test]
fn what_cannot_be_compared_is_not_called_the_same() {
    let folder = Folder::new();
    // A storage of a class that is not known, and a dict whose key is a tensor.
    let storage = [
        op(b"("),
        text("storage"),
        op(b"ctorch\nXlaStorage\n"),
        text("0"),
        text("cpu"),
        int(4),
        op(b"tQ"),
    ];
    let by_tensor = [dict(b"}", &[bytes("0"), int(1)])];
    for file in [&storage[..], &by_tensor] {
        let report = folder.diff(file, file);
        assert!(
            matches!(report.verdict, Verdict::CannotTell { .. }),
            "{:?}",
            report.verdict
        );
        assert!(!report.values.unwrap().unknown.is_empty());
    }
}

#[test]
fn a_value_that_holds_itself_is_compared() {
    let folder = Folder::new();
    let knot = |last: i64| [op(b"]q\0(h\0"), int(last), op(b"e")].concat();
    assert_eq!(folder.diff(&[knot(1)], &[knot(1)]).verdict, Verdict::Same);
    assert_eq!(
        folder.diff(&[knot(1)], &[knot(2)]).verdict,
        Verdict::Different
    );
    // Each of forty tuples holds the one before it twice.
    let doubling = |last: i64| [int(last), b"2\x86".repeat(40)].concat();
    assert_eq!(
        folder.diff(&[doubling(1)], &[doubling(1)]).verdict,
        Verdict::Same
    );
    assert_eq!(
        folder.diff(&[doubling(1)], &[doubling(2)]).verdict,
        Verdict::Different
    );
}

#[test]
fn many_places_of_one_tensor_are_compared_once_and_counted() {
    let folder = Folder::new();
    let many = |key: &str| {
        [
            op(b"]("),
            bytes(key),
            op(b"q\0"),
            b"h\0".repeat(100_000),
            op(b"e"),
        ]
        .concat()
    };
    let same = folder.diff(&[many("0")], &[many("0")]);
    assert_eq!(same.verdict, Verdict::Same);
    assert_eq!((same.counts.same, same.rows.len()), (100_001, 10_000));
    assert_eq!(same.unlisted.same, 90_001);
    let other = folder.diff(&[many("0")], &[many("1")]);
    assert_eq!(
        (other.counts.different, other.rows.len()),
        (100_001, 20_000)
    );
}

#[test]
fn many_tensors_are_joined_by_name() {
    let folder = Folder::new();
    let tensors = |skip: usize| -> Vec<(String, Tensor)> {
        let numbers = (0..30_000).filter(|number| *number != skip);
        numbers
            .map(|number| (format!("t{number:05}"), Tensor::scalar(1_u8)))
            .collect()
    };
    for (name, skip) in [("a.safetensors", 7), ("b.safetensors", 29_000)] {
        safetensors::write(folder.path(name), &tensors(skip)).unwrap();
    }
    let report = compared(&folder.path("a.safetensors"), &folder.path("b.safetensors"));
    assert_eq!((report.counts.same, report.counts.different), (29_998, 2));
    let different: Vec<_> = report
        .rows
        .iter()
        .filter(|row| row.outcome == Outcome::Different)
        .collect();
    assert_eq!(different[0].name, "t00007");
    assert_eq!(different[1].name, "t29000");
}

#[test]
fn elements_that_are_not_computed_with_are_compared_as_bits() {
    let folder = Folder::new();
    let complex = |class: &str, key: &str| tensor(class, key, 1, 0, &[1], &[1]);
    let quantised = |key| complex("QInt32Storage", key);
    let same = folder.diff(&[quantised("0")], &[quantised("0")]);
    assert_eq!((same.verdict, same.counts.same), (Verdict::Same, 1));
    for other in [quantised("1"), tensor("IntStorage", "0", 1, 0, &[1], &[1])] {
        let report = folder.diff(&[quantised("0")], &[other]);
        assert_eq!(report.verdict, Verdict::Different);
    }
}

#[test]
fn what_only_one_format_has_room_for_is_counted_or_differs() {
    let folder = Folder::new();
    let x = || vec![("x".to_owned(), Tensor::scalar(1_u8))];
    safetensors::write(folder.path("b.safetensors"), &x()).unwrap();
    let save = |name: &str, more: bool| {
        let text = |text: &str| PtValue::Str(text.to_owned());
        let mut items = vec![(text("x"), PtValue::Tensor(Tensor::scalar(1_u8)))];
        items.extend(more.then(|| (text("epoch"), PtValue::Int(3))));
        pt::write(folder.path(name), &PtValue::Dict(items)).unwrap();
        compared(&folder.path(name), &folder.path("b.safetensors"))
    };
    let same = save("a.pt", false);
    assert_eq!(same.verdict, Verdict::Same);
    assert_eq!(same.values.unwrap().not_compared, 1);
    let report = save("a.pt", true);
    assert_eq!(report.verdict, Verdict::Different);
    assert_eq!(report.values.unwrap().differences[0].path, "['epoch']");
}

#[test]
fn metadata_of_two_files_is_compared() {
    let folder = Folder::new();
    let file = |name: &str, format: &str| {
        let header = format!(
            "{{\"__metadata__\":{{\"format\":\"{format}\"}},\
              \"x\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}}}"
        );
        let len = (header.len() as u64).to_le_bytes();
        fs::write(
            folder.path(name),
            [&len[..], header.as_bytes(), &[1]].concat(),
        )
        .unwrap();
        folder.path(name)
    };
    let a = file("a.safetensors", "pt");
    assert_eq!(
        compared(&a, &file("b.safetensors", "pt")).verdict,
        Verdict::Same
    );
    let report = compared(&a, &file("b.safetensors", "tf"));
    assert_eq!(report.verdict, Verdict::Different);
    assert!(
        report.values.unwrap().differences[0]
            .path
            .contains("format")
    );
}

#[test]
fn a_tensor_expanded_beyond_measure_is_refused() {
    let folder = Folder::new();
    let expanded = |size: i64| tensor("ByteStorage", "0", 4, 0, &[size, 4], &[0, 1]);
    let open = |size| {
        let file = [expanded(size)];
        let (a, b) = (folder.pickled("a.pt", &file), folder.pickled("b.pt", &file));
        let (a, b) = (Side::open(&a).unwrap(), Side::open(&b).unwrap());
        diff(&a, &b, &DiffOptions::default(), &mut |_| {})
    };
    assert_eq!(open(1 << 20).unwrap().verdict, Verdict::Same);
    let error = open(1 << 34).unwrap_err().to_string();
    assert!(error.contains("expanded views"), "{error}");
}
