//! An index takes the place of another while somebody reads.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use concord_engine::build::{BuildError, Layout, Output, build};
use concord_engine::native::Native;
use concord_engine::occupant::OccupiedError;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_index::format::{Index, IndexError, IndexManifest};
use concord_index::search::{SearchOptions, Searcher};
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_pipeline::{NoProgress, Staging};

use engine::{built, engine};

/// How many searches run while indexes are exchanged.
const SEARCHES: usize = 120;

fn seeded(seed: u32) -> Native {
    let settings = IndexSettings {
        seed,
        ..IndexSettings::default()
    };
    engine("native", settings).unwrap()
}

/// Indexes of two seeds in a folder, which have other centroids and so other residuals.
fn two(folder: &Path) -> [PathBuf; 2] {
    [1, 2].map(|seed| {
        let out = folder.join(format!("seed-{seed}"));
        built(&seeded(seed), Layout::default(), &out);
        out
    })
}

/// What a search of the index finds, bit for bit.
fn found(index: Index) -> Vec<(u32, u32)> {
    let dim = index.dim();
    let searcher = Searcher::new(Arc::new(index), &Compute::scalar());
    let query: Vec<f32> = (0..4 * dim)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) / 300.0)
        .collect();
    let options = SearchOptions {
        ncells: Some(4),
        centroid_score_threshold: Some(-1.0),
        ..SearchOptions::default()
    };
    let hits = searcher.search(&query, 4, 20, &options);
    hits.iter()
        .map(|hit| (hit.pid, hit.score.to_bits()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Runs `exchange` over and over beside as many searches of `index`, and returns what `search` made of each.
fn while_exchanged<T>(exchange: impl Fn(usize) + Sync, search: impl Fn() -> T) -> Vec<T> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !done.load(Ordering::Relaxed) {
                exchange(turn);
                turn += 1;
            }
        });
        let results = (0..SEARCHES).map(|_| search()).collect();
        done.store(true, Ordering::Relaxed);
        results
    })
}

#[test]
fn a_searcher_has_the_old_or_the_new_index_when_one_takes_the_others_place() {
    let folder = tempfile::tempdir().unwrap();
    let indexes = two(folder.path());
    let results = indexes
        .each_ref()
        .map(|index| found(Index::open(index).unwrap()));
    assert!(results[0] != results[1]);
    let out = folder.path().join("index");
    copy(&indexes[0], &out);
    // The old index is removed at once, while somebody may be reading it.
    let exchange = |turn: usize| {
        let staging = Staging::open(&out).unwrap();
        copy(&indexes[(turn + 1) % 2], &staging.path("index"));
        staging.replace("index").unwrap();
    };
    let all = while_exchanged(exchange, || found(Index::open(&out).unwrap()));
    assert!(all.iter().all(|result| results.contains(result)));
    let names: BTreeSet<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "nothing is left: {names:?}");
    assert_eq!(verify(&out).unwrap(), []);
}

#[test]
fn a_searcher_that_looks_at_files_exchanged_one_by_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let indexes = two(folder.path());
    let results = indexes
        .each_ref()
        .map(|index| found(Index::open(index).unwrap()));
    let out = folder.path().join("index");
    copy(&indexes[0], &out);
    let exchange = |turn: usize| {
        let from = &indexes[(turn + 1) % 2];
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            let beside = folder.path().join("beside");
            fs::copy(from.join(&name), &beside).unwrap();
            fs::rename(&beside, out.join(&name)).unwrap();
        }
    };
    let all = while_exchanged(exchange, || Index::open(&out).map(found));
    for result in all {
        match result {
            Ok(result) => assert!(results.contains(&result), "of two indexes"),
            Err(IndexError::Damaged { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn replaced(native: &Native, out: &Path) -> Result<bool, BuildError> {
    let output = Output {
        path: out,
        replace: true,
    };
    let report = build(
        native,
        Layout::default(),
        &Origin::default(),
        output,
        &NoProgress,
    )?;
    Ok(report.already_there)
}

fn manifest(out: &Path) -> IndexManifest {
    IndexManifest::read(out).unwrap().unwrap()
}

#[test]
fn an_index_is_replaced_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = two(folder.path());
    let error = build(
        &seeded(2),
        Layout::default(),
        &Origin::default(),
        &one,
        &NoProgress,
    );
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            BuildError::Occupied(OccupiedError::OtherIndex { .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--replace"), "{error}");
    assert!(!replaced(&seeded(2), &one).unwrap());
    assert_eq!(manifest(&one), manifest(&other));
    assert_eq!(verify(&one).unwrap(), []);
    assert!(replaced(&seeded(2), &one).unwrap(), "it is there already");
    assert!(!Staging::folder_for(&one).exists());
}

#[test]
fn an_index_that_is_damaged_is_not_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let [out, _] = two(folder.path());
    let whole = manifest(&out);
    for file in ["0.codes.pt", "concord.json", "metadata.json"] {
        let path = out.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = build(
            &seeded(1),
            Layout::default(),
            &Origin::default(),
            &out,
            &NoProgress,
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(file) && error.contains("--replace"),
            "{error}"
        );
        assert!(!replaced(&seeded(1), &out).unwrap(), "{file}");
        assert_eq!(manifest(&out), whole);
        assert_eq!(verify(&out).unwrap(), []);
    }
}

#[test]
fn what_is_more_or_less_than_an_index_of_concord_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [out, _] = two(folder.path());
    fs::write(out.join("thesis.txt"), "three years of work").unwrap();
    let error = replaced(&seeded(2), &out).unwrap_err();
    assert!(
        matches!(&error, BuildError::Occupied(OccupiedError::MoreThanAnIndex { file, .. }) if file == "thesis.txt")
    );
    fs::remove_file(out.join("thesis.txt")).unwrap();
    fs::create_dir(out.join("0.codes.pt.d")).unwrap();
    assert!(replaced(&seeded(2), &out).is_err());
    fs::remove_dir(out.join("0.codes.pt.d")).unwrap();

    fs::remove_file(out.join("concord.json")).unwrap();
    let error = replaced(&seeded(2), &out).unwrap_err();
    assert!(
        matches!(error, BuildError::Occupied(OccupiedError::NoIndex(_))),
        "{error}"
    );
    let notes = folder.path().join("notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("a"), "").unwrap();
    assert!(replaced(&seeded(2), &notes).is_err());
}

#[test]
fn an_index_moved_away_by_a_process_that_died_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let [out, _] = two(folder.path());
    let staging = Staging::folder_for(&out);
    fs::create_dir(&staging).unwrap();
    fs::rename(&out, staging.join("replaced")).unwrap();
    let opened = Staging::open(&out).unwrap();
    assert_eq!(verify(&out).unwrap(), []);
    opened.discard().unwrap();
    assert_eq!(verify(&out).unwrap(), []);
}

#[test]
fn a_link_is_followed_to_where_the_index_is_to_be() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    for (name, target) in [
        ("to-empty", "empty"),
        ("to-nothing", "inner/../nothing"),
        ("to-link", "to-third"),
    ] {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(folder.path().join("third"), folder.path().join("to-third"))
        .unwrap();
    for (name, target) in [
        ("to-empty", "empty"),
        ("to-nothing", "nothing"),
        ("to-link", "third"),
    ] {
        let out = folder.path().join(name);
        built(&seeded(1), Layout::default(), &out);
        assert!(out.is_symlink());
        assert_eq!(verify(&folder.path().join(target)).unwrap(), []);
        assert!(!replaced(&seeded(2), &out).unwrap());
        assert!(out.is_symlink());
        assert_eq!(verify(&out).unwrap(), []);
        let names = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name());
        let hidden: Vec<_> = names
            .filter(|name| name.to_str().unwrap().starts_with('.'))
            .collect();
        assert!(hidden.is_empty(), "{hidden:?}");
    }
    let looped = folder.path().join("loop");
    std::os::unix::fs::symlink("loop", &looped).unwrap();
    assert!(Staging::open(&looped).is_err());
}
