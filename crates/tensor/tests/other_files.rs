//! Files that are not what their names say, and formats around the plain ones.

#![allow(clippy::unwrap_used)] // in the functions that tests share

mod archive;

use std::fs;
use std::path::PathBuf;

use archive::Archive;
use concord_tensor::{
    Contents, ElementType, FileError, FileProblem, NamedTensors, Tensor, npy, open_contents,
    open_tensors, safetensors,
};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn refused(error: FileError) -> FileProblem {
    error.problem
}

fn named(path: PathBuf) -> NamedTensors {
    match open_contents(path).unwrap() {
        Contents::Named(named) => named,
        Contents::Pickled(_) => panic!("pickled"),
    }
}

fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), data].concat()
}

#[test]
fn what_stands_in_the_place_of_a_file_has_a_message_of_its_own() {
    let folder = Folder::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    for name in ["x.pt", "x.bin", "x.safetensors", "x.npy", "x.npz"] {
        let problem = |bytes: &[u8]| refused(open_contents(folder.file(name, bytes)).unwrap_err());
        assert!(matches!(problem(b""), FileProblem::Empty), "{name}");
        assert!(
            matches!(problem(pointer), FileProblem::LfsPointer),
            "{name}"
        );
        let gzip = [&b"\x1f\x8b\x08\0"[..], &[0; 40]].concat();
        let compressed = problem(&gzip);
        let is_gzip = matches!(compressed, FileProblem::Compressed { with: "gzip", .. });
        assert!(is_gzip, "{name}: {compressed}");
        let page = problem(b"<!DOCTYPE html><html>Access denied</html>");
        assert!(matches!(page, FileProblem::HtmlPage), "{name}: {page}");
    }
}

fn is_no_regular_file(problem: &FileProblem) -> bool {
    matches!(problem, FileProblem::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput)
}

#[test]
fn a_folder_is_no_file() {
    let folder = Folder::new();
    let path = folder.0.path().join("x.pt");
    fs::create_dir(&path).unwrap();
    let problem = refused(open_contents(path).unwrap_err());
    assert!(is_no_regular_file(&problem), "{problem}");
}

#[cfg(unix)]
#[test]
fn a_pipe_to_which_nobody_writes_is_refused_without_waiting() {
    let folder = Folder::new();
    for name in ["pipe.pt", "pipe.safetensors", "pipe.npy"] {
        let path = folder.0.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let problem = refused(open_tensors(path).unwrap_err());
        assert!(is_no_regular_file(&problem), "{problem}");
    }
}

#[test]
fn elements_that_are_not_computed_with_are_kept_as_bits() {
    let folder = Folder::new();
    let cases: [(&str, &[u8], &str); 5] = [
        ("'<u2'", &[1, 2, 3, 4], "u16"),
        ("'<c8'", &[0; 16], "c64"),
        ("'>f4'", &[0; 8], ">f4"),
        ("'<U3'", &[0; 24], "<U3"),
        (
            "[('a', '<i4'), ('b', '|u1')]",
            &[0; 10],
            "[('a', '<i4'), ('b', '|u1')]",
        ),
    ];
    for (descr, data, name) in cases {
        let opened = named(folder.file("x.npy", array(descr, "(2,)", data)));
        let (_, stored) = &opened.tensors[0];
        assert_eq!(stored.element_type().to_string(), name);
        assert_eq!(stored.shape(), [2]);
        assert_eq!(stored.source().read().unwrap().bytes(), data);
        let error = npy::open(folder.file("x.npy", array(descr, "(2,)", data)));
        assert!(error.is_err(), "{descr}");
    }
    let short = folder.file("x.npy", array("'<u2'", "(2,)", &[1, 2, 3]));
    assert!(open_contents(short).is_err());
    let header = br#"{"x":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}"#;
    let len = (header.len() as u64).to_le_bytes();
    let file = [&len[..], header, &[7, 8, 9]].concat();
    let opened = named(folder.file("x.safetensors", file));
    let (name, stored) = &opened.tensors[0];
    assert_eq!((&**name, stored.shape()), ("x", &[3][..]));
    assert_eq!(stored.element_type(), ElementType::Bits("f8_e4m3fn".into()));
}

#[test]
fn the_arrays_of_an_npz_file_are_read_by_name() {
    let folder = Folder::new();
    let matrix = Tensor::new([2, 2], vec![1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    let mut file = Vec::new();
    npy::write_to(&mut file, "m.npy", &matrix).unwrap();
    let archive = Archive::new()
        .with("m.npy", &file)
        .with("words.npy", &array("'|O'", "(1,)", b"\x80\x04."))
        .with("u.npy", &array("'<u4'", "()", &[1, 0, 0, 0]));
    let opened = named(folder.file("x.npz", archive.finish()));
    assert_eq!(opened.unread, ["words"]);
    let names: Vec<&str> = opened.tensors.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["m", "u"]);
    assert_eq!(
        opened.tensors[0].1.source().read().unwrap().hash(),
        matrix.hash()
    );

    let damaged = Archive::new()
        .with("m.npy", &file[..file.len() - 1])
        .finish();
    let error = open_contents(folder.file("x.npz", damaged))
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"m.npy\""), "{error}");
    let packed = Archive::new().with_method(b"m.npy", &file, 8, 0).finish();
    let error = open_contents(folder.file("x.npz", packed))
        .unwrap_err()
        .to_string();
    assert!(error.contains("numpy.savez,"), "{error}");
}

#[test]
fn a_checkpoint_in_several_files_is_read_by_its_index() {
    let folder = Folder::new();
    let one = |name: &str, value: f32| vec![(name.to_owned(), Tensor::vector(vec![value]))];
    for (file, tensors) in [
        ("s-1.safetensors", one("a", 1.0)),
        ("s-2.safetensors", one("b", 2.0)),
    ] {
        safetensors::write(folder.0.path().join(file), &tensors).unwrap();
    }
    let index = |map: &str| {
        folder.file(
            "model.safetensors.index.json",
            format!("{{\"weight_map\": {map}}}"),
        )
    };
    let whole = r#"{"a": "s-1.safetensors", "b": "s-2.safetensors"}"#;
    let tensors = open_tensors(index(whole)).unwrap();
    let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    for (wrong, said) in [
        (
            r#"{"a": "s-1.safetensors", "c": "s-2.safetensors"}"#,
            "do not agree",
        ),
        (r#"{"a": "../s-1.safetensors"}"#, "beside the index"),
        (r#"{"a": "/etc/s-1.safetensors"}"#, "beside the index"),
        (
            r#"{"a": "model.safetensors.index.json"}"#,
            "beside the index",
        ),
        ("3", "weight_map"),
    ] {
        let error = open_tensors(index(wrong)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
