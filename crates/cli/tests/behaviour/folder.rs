//! What is in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The one file of an index that may change from run to run.
pub const LOG: &str = "concord.log.json";

/// The names in a folder, in order, hidden ones as well.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All files in a folder and in those inside it, by their path from there.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            for (inner, bytes) in files(&path) {
                found.insert(format!("{name}/{inner}"), bytes);
            }
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

/// The files of an index, but for its log.
pub fn index_files(index: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(index);
    assert!(
        found.remove(LOG).is_some(),
        "{} has no log",
        index.display()
    );
    found
}

/// Both sets of files have the same names and bytes.
#[track_caller]
pub fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert!(
        a.keys().eq(b.keys()),
        "{what}: {:?} {:?}",
        a.keys(),
        b.keys()
    );
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{what}: {name} differs");
    }
}

/// Copies the files of a folder, which has no folders in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}
