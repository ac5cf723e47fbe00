//! The texts of indexes that colbert-ai and RAGatouille built.

#![allow(clippy::unwrap_used)]

#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use concord_corpus::{Collection, DocumentIds};
use concord_engine::open::{OpenError, OpenIndex, OpenOptions};
use concord_model::hub::HubOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use golden::input;

/// A copy of the index that the reference built, whose collection is as its metadata says.
fn foreign(collection: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    fs::create_dir(&index).unwrap();
    for entry in fs::read_dir(input("torch-1.13.1/index")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), index.join(entry.file_name())).unwrap();
    }
    name(&index, collection);
    (folder, index)
}

/// Makes the metadata name another collection.
fn name(index: &Path, collection: &Value) {
    let path = index.join("metadata.json");
    let mut metadata: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    metadata["config"]["collection"] = collection.clone();
    fs::write(&path, serde_json::to_vec(&metadata).unwrap()).unwrap();
}

fn options() -> OpenOptions {
    OpenOptions {
        checkpoint: Some(input("checkpoint").display().to_string()),
        ..OpenOptions::new(HubOptions::new(""))
    }
}

fn open(index: &Path) -> OpenIndex {
    OpenIndex::open(index, options()).unwrap()
}

fn texts() -> Vec<String> {
    let collection = Collection::open(input("collection.tsv")).unwrap();
    collection.iter().map(str::to_owned).collect()
}

/// No texts, and the one notice says all of `said`.
#[track_caller]
fn assert_blank(index: &Path, said: &[&str]) {
    let opened = open(index);
    assert!(opened.collection().is_none());
    let [notice] = opened.notices() else {
        panic!("one notice was expected: {:?}", opened.notices());
    };
    assert!(notice.ends_with("so results have no texts"), "{notice}");
    for part in said {
        assert!(notice.contains(part), "{part:?} is not in: {notice}");
    }
}

#[test]
fn texts_are_those_of_the_file_that_the_metadata_names() {
    let path = input("collection.tsv").canonicalize().unwrap();
    let (_folder, index) = foreign(&json!(path));
    let opened = open(&index);
    assert_eq!(opened.collection().unwrap().text(100), Some(&*texts()[100]));
    let [notice] = opened.notices() else {
        panic!("{:?}", opened.notices());
    };
    assert!(notice.contains("their number alone"), "{notice}");
    assert!(notice.contains(path.to_str().unwrap()), "{notice}");

    // Beside the index, where the name says no folder.
    fs::copy(&path, index.join("moved.tsv")).unwrap();
    name(&index, &json!("moved.tsv"));
    assert_eq!(open(&index).collection().unwrap().len(), 120);
}

#[test]
fn what_the_metadata_names_and_cannot_be_the_collection_is_told() {
    let (folder, index) = foreign(&json!("/no/such/folder/texts.tsv"));
    assert_blank(&index, &["/no/such/folder/texts.tsv is gone"]);
    let at = |file: &str| folder.path().join(file);
    fs::write(at("short.tsv"), "0\tone\n1\ttwo\n").unwrap();
    fs::write(at("broken.tsv"), "0\tone\nno tab\n").unwrap();
    fs::write(at("other.xml"), "<x/>").unwrap();
    fs::create_dir(at("folder.tsv")).unwrap();
    for (file, said) in [
        ("short.tsv", "2 passages, and the index has 120"),
        ("broken.tsv", "broken.tsv:2: the line has no tab"),
        ("other.xml", "the extension .xml"),
        ("folder.tsv", "is no regular file"),
    ] {
        name(&index, &json!(at(file)));
        assert_blank(&index, &[file, said]);
    }
    #[cfg(unix)]
    {
        name(&index, &json!("/dev/zero"));
        assert_blank(&index, &["/dev/zero is no regular file"]);
    }
    for nothing in [json!(null), json!(""), json!({"path": "x.tsv"}), json!(3)] {
        name(&index, &nothing);
        assert_blank(&index, &["does not say what its passages are"]);
    }
}

#[test]
fn passages_that_the_metadata_holds_are_read_there() {
    let (_folder, index) = foreign(&json!(texts()));
    let opened = open(&index);
    assert_eq!(opened.collection().unwrap().text(7), Some(&*texts()[7]));
    assert!(opened.notices().is_empty(), "{:?}", opened.notices());
    name(&index, &json!(texts()[..3]));
    assert_blank(&index, &["3 passages, and the index has 120"]);
    let first = json!(["list with 120 elements starting with...", texts()[..3]]);
    name(&index, &first);
    assert_blank(&index, &["keeps the first few"]);
}

#[test]
fn ragatouille_keeps_passages_and_document_ids_beside_the_index() {
    let (_folder, index) = foreign(&json!(["list with 120 elements starting with...", []]));
    let write = |file: &str, value: Value| {
        fs::write(index.join(file), serde_json::to_vec(&value).unwrap()).unwrap();
    };
    let map = |id: &dyn Fn(usize) -> Value| {
        let ids = (0..120).map(|pid| (pid.to_string(), id(pid)));
        Value::Object(ids.collect())
    };
    write("collection.json", json!(texts()));
    let opened = open(&index);
    assert_eq!(opened.collection().unwrap().text(100), Some(&*texts()[100]));
    assert_eq!(opened.collection().unwrap().external_id(100), "100");
    assert!(opened.notices().is_empty(), "{:?}", opened.notices());

    write(
        "pid_docid_map.json",
        map(&|pid| json!(format!("doc-{pid}"))),
    );
    let opened = open(&index);
    assert_eq!(opened.collection().unwrap().external_id(100), "doc-100");
    assert_eq!(opened.collection().unwrap().pid_of("doc-7"), Some(7));
    assert!(opened.notices().is_empty(), "{:?}", opened.notices());

    let named_by_pids = |said: &str| {
        let opened = open(&index);
        assert_eq!(opened.collection().unwrap().external_id(100), "100");
        let [notice] = opened.notices() else {
            panic!("{:?}", opened.notices());
        };
        assert!(
            notice.contains(said) && notice.ends_with("pids"),
            "{notice}"
        );
    };
    // Documents of two passages each.
    write(
        "pid_docid_map.json",
        map(&|pid| json!(format!("doc-{}", pid / 2))),
    );
    named_by_pids("passages 0 and 1 have the same document id \"doc-0\"");
    write("pid_docid_map.json", map(&|_| json!(null)));
    named_by_pids("a document id");
    write("pid_docid_map.json", json!({"0": "first"}));
    named_by_pids("pid 1 has no document id");
    write("pid_docid_map.json", json!({"120": "beyond"}));
    named_by_pids("\"120\" is no pid");
    write("pid_docid_map.json", json!(["first"]));
    named_by_pids("an object of pids");

    write("collection.json", json!(texts()[..119]));
    assert_blank(&index, &["collection.json has 119 passages", "120"]);
}

#[test]
fn another_collection_that_is_asked_for_is_refused_with_both_numbers() {
    let (folder, index) = foreign(&json!(null));
    let other = folder.path().join("other.tsv");
    fs::write(&other, "0\tone\n").unwrap();
    let asked = OpenOptions {
        collection: Some(other),
        ..options()
    };
    let error = OpenIndex::open(&index, asked).err().unwrap();
    assert!(matches!(error, OpenError::Collection(_)));
    let error = error.to_string();
    assert!(error.contains("not built from"), "{error}");
    assert!(
        error.contains("1 passages, and the index has 120"),
        "{error}"
    );
}
