//! What is opened, and what is refused before it is.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use concord_tensor::{OpenFolder, npy, open_regular, pt, read_regular, safetensors};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::tempdir;

fn pipe(path: &Path) {
    mkfifoat(CWD, path, Mode::RWXU).unwrap();
}

#[test]
fn what_is_no_regular_file_is_refused_for_what_it_is() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    pipe(&at("pipe"));
    symlink(at("pipe"), at("link to a pipe")).unwrap();
    symlink("/dev/zero", at("link to a device")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    for (path, said) in [
        (at("pipe"), "a named pipe"),
        (at("link to a pipe"), "a named pipe"),
        (at("link to a device"), "a device"),
        ("/dev/zero".into(), "a device"),
        (at("socket"), "a socket"),
        (at(""), "a folder"),
    ] {
        let error = open_regular(&path).unwrap_err().to_string();
        assert_eq!(error, format!("it is {said}, not a regular file"));
    }
    assert_eq!(
        open_regular(&at("nothing")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn readers_of_tensors_do_not_wait_for_a_pipe() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pipe");
    pipe(&path);
    for error in [
        pt::open(&path).unwrap_err(),
        safetensors::open(&path).unwrap_err(),
        npy::open(&path).unwrap_err(),
    ] {
        assert!(error.to_string().contains("a named pipe"), "{error}");
    }
}

#[test]
fn no_more_is_read_than_allowed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "four").unwrap();
    assert_eq!(read_regular(&path, 4).unwrap(), b"four");
    let error = read_regular(&path, 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
}

#[test]
fn names_and_links_do_not_lead_out_of_a_folder() {
    let outer = tempdir().unwrap();
    let path = outer.path().join("folder");
    fs::create_dir_all(path.join("inner")).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    fs::write(path.join("file"), "file").unwrap();
    fs::write(path.join("inner/file"), "inner").unwrap();
    symlink("file", path.join("near")).unwrap();
    symlink("near", path.join("nearer")).unwrap();
    symlink("../secret", path.join("far")).unwrap();
    symlink(outer.path().join("secret"), path.join("farther")).unwrap();
    symlink("loop", path.join("loop")).unwrap();
    symlink("nothing", path.join("nowhere")).unwrap();
    pipe(&path.join("pipe"));
    let folder = OpenFolder::open(&path).unwrap();
    for name in ["file", "near", "nearer"] {
        assert_eq!(folder.read(name, 10).unwrap(), b"file", "{name}");
    }
    let absolute = outer.path().join("secret");
    for name in [
        "../secret",
        absolute.to_str().unwrap(),
        "..",
        ".",
        "",
        "file/",
        "./file",
        "inner/file",
        "far",
        "farther",
        "loop",
        "nowhere",
        "inner",
        "pipe",
    ] {
        let error = folder.file(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
    }
    let expected = [
        "far", "farther", "file", "inner", "loop", "near", "nearer", "nowhere", "pipe",
    ];
    assert_eq!(folder.names().unwrap(), expected.map(OsString::from));
}

#[test]
fn an_open_folder_stays_the_same_when_another_takes_its_name() {
    let outer = tempdir().unwrap();
    let at = |name: &str| outer.path().join(name);
    for name in ["a", "b"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("file"), name).unwrap();
    }
    let folder = OpenFolder::open(&at("a")).unwrap();
    assert!(!folder.was_replaced());
    fs::rename(at("a"), at("old")).unwrap();
    assert!(folder.was_replaced());
    fs::rename(at("b"), at("a")).unwrap();
    assert!(folder.was_replaced());
    let mut text = String::new();
    folder
        .file("file")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "a");
    assert!(OpenFolder::open(&at("old/file")).is_err());
}
