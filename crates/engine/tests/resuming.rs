//! What is there already is not computed again, and what is damaged is.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use concord_engine::build::{BuildError, Layout, build};
use concord_engine::log::BuildLog;
use concord_engine::native::Native;
use concord_engine::occupant::OccupiedError;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_index::verify::verify;
use concord_pipeline::artifact::{CENTROIDS, RESIDUALS};
use concord_pipeline::{ArtifactRecord, DiskStore, NoProgress, Staging};

use engine::{Work, built, engine, work};

/// The stages, each of which has one chunk for the golden collection.
const STAGES: usize = 10;

fn native() -> Native {
    engine("native", IndexSettings::default()).unwrap()
}

/// Everything that is known after an evaluation in `store`, with what had to be done.
fn artifacts(native: &Native, store: &DiskStore) -> (Vec<ArtifactRecord>, Work) {
    let work = Work::default();
    let known = native.evaluate(store, None, &work, |evaluator| evaluator.known_artifacts());
    (known.unwrap(), work)
}

/// The file in `store` of the only chunk of an artifact.
fn blob(store: &Path, artifacts: &[ArtifactRecord], name: &str) -> PathBuf {
    let artifact = artifacts.iter().find(|a| a.name == name).unwrap();
    let digits = artifact.chunks[0].fields[0].hash.to_string();
    let digits = digits.rsplit(':').next().unwrap();
    store
        .join("blobs")
        .join(&digits[..2])
        .join(format!("{digits}.safetensors"))
}

/// The bytes of every file in a folder but the log, which says when it was built.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name != "concord.log.json")
        .collect()
}

#[test]
fn a_second_evaluation_with_the_same_store_does_no_work() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let (first, begun) = artifacts(&native(), &store);
    assert_eq!((begun.computed(), begun.reused()), (STAGES, 0));
    let store = DiskStore::open(folder.path()).unwrap();
    let (second, resumed) = artifacts(&native(), &store);
    assert_eq!((resumed.computed(), resumed.reused()), (0, STAGES));
    assert_eq!(first, second);
}

#[test]
fn another_setting_computes_only_what_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    work(&native(), &store);
    let nbits = IndexSettings {
        nbits: Some(4),
        ..IndexSettings::default()
    };
    let other = work(&engine("native", nbits).unwrap(), &store);
    // Calibrate and compress; the codes come out the same, so that there is nothing to invert.
    assert_eq!((other.computed(), other.reused()), (2, STAGES - 2));
    let threads = work(
        &engine("native,threads=1,batch=9", IndexSettings::default()).unwrap(),
        &store,
    );
    assert_eq!((threads.computed(), threads.reused()), (0, STAGES));
}

#[test]
fn a_damaged_value_is_computed_again_and_put_right() {
    let native = native();
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let (known, _) = artifacts(&native, &store);
    for name in [CENTROIDS, RESIDUALS] {
        let path = blob(folder.path(), &known, name);
        let whole = fs::read(&path).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        for damaged in [
            altered,
            whole[..whole.len() - 1].to_vec(),
            whole[..5].to_vec(),
            Vec::new(),
        ] {
            fs::write(&path, &damaged).unwrap();
            let value = native.evaluate(&store, None, &NoProgress, |evaluator| {
                evaluator.load(name, 0)
            });
            let expected = &known.iter().find(|a| a.name == name).unwrap().chunks[0];
            assert_eq!(&value.unwrap().record(), expected, "{name}");
            assert!(
                fs::read(&path).unwrap() == whole,
                "{name}: {} bytes stayed",
                damaged.len()
            );
        }
        fs::remove_file(&path).unwrap();
        let (again, work) = artifacts(&native, &store);
        assert_eq!(again, known);
        assert_eq!(work.computed(), 1, "the stage that makes {name}");
        assert!(fs::read(&path).unwrap() == whole);
    }
}

#[test]
fn a_build_that_was_interrupted_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    // What a killed process leaves: a store, an index half written, and nothing under the final name.
    let left = Staging::folder_for(&out);
    let settings = IndexSettings {
        kmeans_niters: Some(4),
        ..IndexSettings::default()
    };
    let native = engine("native", settings).unwrap();
    work(&native, &DiskStore::open(&left.join("store")).unwrap());
    fs::create_dir(left.join("index")).unwrap();
    fs::write(left.join("index/0.codes.pt"), b"half").unwrap();

    let report = built(&native, Layout::default(), &out);
    let stages = report.log.unwrap().stages;
    assert_eq!(
        stages.values().map(|stage| stage.reused).sum::<usize>(),
        STAGES
    );
    assert_eq!(verify(&out).unwrap(), []);
    assert!(!left.exists());

    let straight = folder.path().join("straight");
    built(&native, Layout::default(), &straight);
    assert_eq!(files(&out), files(&straight));
}

#[test]
fn an_index_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let first = built(&native(), Layout::default(), &out);
    let log = BuildLog::read(&out).unwrap();
    assert!(!first.already_there);
    let second = built(&native(), Layout::default(), &out);
    assert!(second.already_there);
    assert_eq!(second.manifest, first.manifest);
    assert_eq!(second.log, Some(log));
}

#[test]
fn an_output_with_something_else_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let refused = |native: &Native, layout| {
        build(native, layout, &Origin::default(), &out, &NoProgress).unwrap_err()
    };
    fs::create_dir(&out).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let error = refused(&native(), Layout::default());
    assert!(matches!(error, BuildError::Occupied(_)), "{error}");
    fs::remove_file(out.join("notes.txt")).unwrap();

    built(&native(), Layout::default(), &out);
    let nbits = IndexSettings {
        nbits: Some(1),
        ..IndexSettings::default()
    };
    for (native, layout, said) in [
        (
            engine("native", nbits).unwrap(),
            Layout::default(),
            "nbits is 2 there and 1 here",
        ),
        (
            engine("native,gelu=tanh", IndexSettings::default()).unwrap(),
            Layout::default(),
            "numerics",
        ),
        (
            native(),
            Layout {
                pad_ivf: true,
                ..Layout::default()
            },
            "pad_ivf is false there and true here",
        ),
    ] {
        let error = refused(&native, layout);
        assert!(matches!(
            error,
            BuildError::Occupied(OccupiedError::OtherIndex { .. })
        ));
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(verify(&out).unwrap(), []);
}

#[test]
fn a_note_in_which_a_bit_was_flipped_changes_nothing_but_the_work() {
    let native = native();
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let (known, _) = artifacts(&native, &store);
    let notes: Vec<PathBuf> = fs::read_dir(folder.path().join("memory"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(notes.len(), STAGES);
    for (number, note) in notes.iter().enumerate() {
        let whole = fs::read(note).unwrap();
        let mut altered = whole.clone();
        // A digit of a hash, of a shape or of a name, another in every note.
        let digits: Vec<usize> = (0..whole.len())
            .filter(|&at| whole[at].is_ascii_alphanumeric())
            .collect();
        altered[digits[(number * 7919) % digits.len()]] ^= 1;
        fs::write(note, altered).unwrap();
        let (again, work) = artifacts(&native, &store);
        assert_eq!(again, known);
        assert_eq!((work.computed(), work.reused()), (1, STAGES - 1));
        assert_eq!(fs::read(note).unwrap(), whole);
    }
}
