//! Values of a run's taps, to be given to the modules of another.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use concord_pipeline::{
    Capture, Forcing, ForcingError, ModulePattern, Observer, RecordedRun, Replacements,
    RunManifest, RunWriter, Tap, TappedPassage,
};
use concord_tensor::Tensor;
use tempfile::{TempDir, tempdir};

/// Rows `(rows, 2)` that count up from `from`.
fn rows(from: f32, rows: usize) -> Tensor {
    let values = (0..2 * rows).map(|i| from + i as f32);
    Tensor::new(vec![rows, 2], values.collect::<Vec<f32>>()).unwrap()
}

fn tap(path: &str, batch: usize, passages: &[(usize, usize)], rows: Tensor) -> Tap {
    let passages = passages.iter();
    let passages = passages.map(|&(pid, tokens)| TappedPassage { pid, tokens });
    Tap::of(path, batch, &passages.collect::<Vec<_>>(), rows).unwrap()
}

/// A run with those taps.
fn run(values: bool, taps: Vec<Tap>) -> (TempDir, RecordedRun) {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let capture = Capture {
        taps: vec![ModulePattern::new("*")],
        tap_values: values,
        ..Capture::default()
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    let sink = writer.taps().unwrap();
    taps.into_iter().for_each(|tap| sink.tap(tap).unwrap());
    let (inputs, options) = (BTreeMap::new(), BTreeMap::new());
    let manifest = RunManifest::new("toy".to_owned(), None, inputs, options);
    writer.finish(&manifest).unwrap();
    let run = RecordedRun::open(&out).unwrap();
    (folder, run)
}

fn a_run() -> (TempDir, RecordedRun) {
    run(
        true,
        vec![
            tap("bert.a", 0, &[(7, 1), (3, 2)], rows(0.0, 3)),
            tap("linear", 0, &[(7, 1), (3, 2)], rows(10.0, 3)),
            tap("linear", 1, &[(5, 2), (3, 2)], rows(20.0, 4)),
        ],
    )
}

fn given(forcing: &Forcing<'_>, path: &str, pid: usize) -> Option<Vec<f32>> {
    let rows = forcing.rows(path, pid).unwrap();
    assert_eq!(forcing.has(path, pid), rows.is_some());
    let rows = rows?;
    assert_eq!(rows.shape(), [rows.rows(), 2]);
    Some(rows.as_slice::<f32>().unwrap().to_vec())
}

#[test]
fn every_passage_has_its_own_rows_at_every_module() {
    let (_folder, run) = a_run();
    let forcing = Forcing::new(&run, Vec::new()).unwrap();
    assert_eq!(given(&forcing, "bert.a", 7).unwrap(), [0.0, 1.0]);
    assert_eq!(given(&forcing, "bert.a", 3).unwrap(), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(
        given(&forcing, "linear", 5).unwrap(),
        [20.0, 21.0, 22.0, 23.0]
    );
    assert_eq!(given(&forcing, "bert.a", 5), None);
    assert_eq!(given(&forcing, "bert", 7), None);
    // Tapped twice: the first time counts.
    assert_eq!(
        given(&forcing, "linear", 3).unwrap(),
        [12.0, 13.0, 14.0, 15.0]
    );
}

#[test]
fn a_pattern_chooses_a_module_with_what_is_inside_it() {
    let (_folder, run) = a_run();
    let forcing = Forcing::new(&run, vec![ModulePattern::new("bert")]).unwrap();
    assert!(given(&forcing, "bert.a", 7).is_some());
    assert_eq!(given(&forcing, "linear", 7), None);
    assert_eq!(forcing.modules().len(), 1);
}

#[test]
fn a_tensor_that_is_reported_again_has_the_hashes_of_its_passages() {
    let shared = rows(0.0, 3);
    let taps = |of: &dyn Fn() -> Tensor| {
        vec![
            tap("bert.a.inner", 0, &[(7, 1), (3, 2)], of()),
            tap("bert.a", 0, &[(7, 1), (3, 2)], of()),
            tap("bert.b", 0, &[(7, 2), (3, 1)], of()),
            tap(
                "linear",
                0,
                &[(7, 2), (3, 1)],
                of().slice_rows(0..3).unwrap(),
            ),
            tap("mask", 1, &[(4, 2), (5, 1)], of()),
            tap("normalize", 1, &[(4, 2)], of().slice_rows(1..3).unwrap()),
        ]
    };
    for values in [false, true] {
        let (_folder, once) = run(values, taps(&|| shared.clone()));
        let (_folder, each) = run(values, taps(&|| rows(0.0, 3)));
        assert_eq!(once.taps(), each.taps());
        for taps in once.taps().windows(2) {
            let same = taps[0].passages == taps[1].passages;
            assert_eq!(same, ["bert.a", "linear"].contains(&taps[1].tap.as_str()));
        }
    }
}

#[test]
fn a_run_without_values_has_none_to_give() {
    let (_folder, hashes) = run(false, vec![tap("linear", 0, &[(0, 1)], rows(0.0, 1))]);
    let error = Forcing::new(&hashes, Vec::new()).err().unwrap();
    assert!(matches!(&error, ForcingError::NoValues(subject) if subject == "toy"));
    assert!(error.to_string().contains("--keep taps"), "{error}");
    let (_folder, run) = a_run();
    let error = Forcing::new(&run, vec![ModulePattern::new("linear.*")])
        .err()
        .unwrap();
    assert!(matches!(&error, ForcingError::NothingAt { .. }));
    assert!(error.to_string().contains("`linear.*`"), "{error}");
}

/// The only blob that is larger than the others.
fn largest_blob(run: &Path) -> PathBuf {
    let folders = fs::read_dir(run.join("blobs")).unwrap();
    let blobs = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let blobs = blobs.map(|blob| blob.unwrap().path());
    blobs
        .max_by_key(|blob| fs::metadata(blob).unwrap().len())
        .unwrap()
}

#[test]
fn rows_that_were_altered_cut_short_or_lost_are_not_given() {
    let (_folder, run) = a_run();
    let blob = largest_blob(run.folder());
    let whole = fs::read(&blob).unwrap();
    let error = || {
        let forcing = Forcing::new(&run, Vec::new()).unwrap();
        forcing.rows("linear", 5).err()
    };
    assert!(error().is_none());
    // The four rows of two values are the last thing in the file, those of passage 5 the first two.
    let mut altered = whole.clone();
    let at = altered.len() - 4 * 2 * 4;
    altered[at] ^= 1;
    fs::write(&blob, &altered).unwrap();
    let damaged = error().unwrap();
    assert!(matches!(&damaged, ForcingError::Damaged { pid: 5, path, .. } if path == "linear"));
    let name = blob.file_name().unwrap().to_string_lossy();
    assert!(damaged.to_string().contains(&*name), "{damaged}");
    fs::write(&blob, &whole[..whole.len() - 1]).unwrap();
    let short = error().unwrap();
    assert!(matches!(short, ForcingError::Blob(_)), "{short:?}");
    fs::remove_file(&blob).unwrap();
    assert!(matches!(error(), Some(ForcingError::Gone(_))));
}
