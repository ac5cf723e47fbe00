//! Indexes that are opened without reading every byte, and whose bytes are checked before they are used.

#![allow(clippy::unwrap_used)]

mod golden;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_index::format::{Index, IndexError, IndexManifest, OpenedIndex, file_records};
use concord_index::search::{Request, SearchOptions, Searcher};
use concord_kernels::compute::Compute;
use tempfile::TempDir;

use golden::OLD;

/// The files that are mapped.
const LARGE: [&str; 4] = ["0.codes.pt", "0.residuals.pt", "centroids.pt", "ivf.pid.pt"];

/// A copy of the reference's index with a manifest.
fn recorded() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    fs::create_dir(&index).unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(OLD.path("index")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), index.join(entry.file_name())).unwrap();
        names.push(entry.file_name().into_string().unwrap());
    }
    let manifest = IndexManifest {
        concord: "index".to_owned(),
        version: concord_pipeline::MANIFEST_VERSION,
        contract: 1,
        inputs: BTreeMap::new(),
        options: BTreeMap::new(),
        artifacts: Vec::new(),
        files: file_records(&index, names).unwrap(),
    };
    manifest.write(&index).unwrap();
    (folder, index)
}

/// Flips a bit of the file's last third, where no header lies.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 3 * 2;
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_byte_of_a_large_file_is_checked_before_it_is_used_and_not_while_opening() {
    for file in LARGE {
        let (_folder, index) = recorded();
        flip(&index.join(file));
        let opened = OpenedIndex::open(&index).unwrap();
        assert!(opened.unchecked_bytes() > 0);
        // However often it is asked.
        for _ in 0..2 {
            let error = opened.checked().err().unwrap();
            assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(file), "{error}");
        }
        let said = opened.checked().err().unwrap().to_string();
        let eager = Index::open(&index).err().unwrap().to_string();
        assert_eq!(said, eager);
    }
    // Of several, it is the first.
    let (_folder, index) = recorded();
    for file in LARGE {
        flip(&index.join(file));
    }
    let error = OpenedIndex::open(&index).unwrap().checked().err().unwrap();
    assert!(error.to_string().contains("0.codes.pt"), "{error}");
}

#[test]
fn small_files_and_sizes_are_checked_while_opening() {
    for file in ["buckets.pt", "doclens.0.json", "metadata.json", "plan.json"] {
        let (_folder, index) = recorded();
        flip(&index.join(file));
        let error = OpenedIndex::open(&index).err().unwrap();
        assert!(error.to_string().contains(file), "{error}");
    }
    for file in LARGE {
        let (_folder, index) = recorded();
        let path = index.join(file);
        let bytes = fs::read(&path).unwrap();
        for other in [&bytes[..bytes.len() - 1], &[]] {
            fs::write(&path, other).unwrap();
            let error = OpenedIndex::open(&index).err().unwrap().to_string();
            assert!(error.contains(file) && error.contains("bytes"), "{error}");
        }
        // A header that cannot be read is one that was altered.
        fs::write(&path, vec![7; bytes.len()]).unwrap();
        let error = OpenedIndex::open(&index).err().unwrap();
        assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
        fs::remove_file(&path).unwrap();
        let error = OpenedIndex::open(&index).err().unwrap().to_string();
        assert!(error.contains(file) && error.contains("missing"), "{error}");
    }
}

#[test]
fn what_is_open_stays_what_it_was_when_another_takes_its_place_or_it_is_gone() {
    let (folder, index) = recorded();
    let whole = Arc::new(Index::open(&index).unwrap());
    let (opened, again) = (
        OpenedIndex::open(&index).unwrap(),
        OpenedIndex::open(&index).unwrap(),
    );
    assert_eq!(opened.passages(), whole.passages());
    assert_eq!(opened.embeddings(), whole.embeddings());
    assert_eq!(opened.centroids(), whole.centroids());
    fs::rename(&index, folder.path().join("old")).unwrap();
    fs::create_dir(&index).unwrap();
    fs::write(index.join("0.codes.pt"), "other").unwrap();
    fs::remove_dir_all(folder.path().join("old")).unwrap();
    let searchers: Vec<Searcher> = [&whole, opened.checked().unwrap(), again.checked().unwrap()]
        .map(|index| Searcher::new(Arc::clone(index), &Compute::fastest()))
        .into();
    let query = searchers[0].embeddings(3);
    let request = Request::new(10, &SearchOptions::default());
    let found = searchers.iter().map(|s| s.answer(&query, 32, &request));
    let found: Vec<_> = found.collect();
    assert_eq!(found[0].hits.len(), 10);
    assert!(found.iter().all(|other| *other == found[0]));
    assert_eq!(opened.unchecked_bytes(), 0);
}

#[test]
fn threads_that_search_first_at_the_same_time_wait_for_one_check() {
    let (_folder, index) = recorded();
    let opened = OpenedIndex::open(&index).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
    let pool = pool.unwrap();
    let indexes = pool.broadcast(|_| Arc::as_ptr(opened.checked().unwrap()) as usize);
    assert!(indexes.iter().all(|index| *index == indexes[0]));
}
