//! Probes of the engine over the golden checkpoint, and where two of them differ.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use concord_engine::settings::IndexSettings;
use concord_pipeline::{Capture, Forcing, ModulePattern, RecordedRun};
use concord_subject::probe::{ProbeBatch, probe};
use concord_tensor::{RowsHash, Tensor};
use tempfile::{TempDir, tempdir};

use crate::engine::{checkpoint, engine};

/// A recorded probe, and the folder that it is in.
pub struct Probed {
    pub run: RecordedRun,
    pub folder: TempDir,
}

/// All taps with their values.
pub fn all_taps() -> Capture {
    Capture {
        taps: vec![ModulePattern::new("*")],
        tap_values: true,
        ..Capture::default()
    }
}

/// Batches of these passages.
pub fn batches(pids: &[&[usize]]) -> Vec<ProbeBatch> {
    let numbered = pids.iter().enumerate();
    numbered
        .map(|(number, pids)| ProbeBatch {
            number,
            pids: pids.to_vec(),
            pad: None,
        })
        .collect()
}

/// The probe of the subject that `word` names, with all taps.
pub fn probed(word: &str, batches: &[ProbeBatch], forcing: Option<&Forcing<'_>>) -> Probed {
    let native = engine(word, IndexSettings::default()).unwrap();
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    probe(&native, batches, forcing, all_taps(), &out).unwrap();
    let run = RecordedRun::open(&out).unwrap();
    Probed { run, folder }
}

/// The hash of every passage's rows at every module, the latest one.
fn hashes(run: &RecordedRun) -> BTreeMap<(String, usize), RowsHash> {
    let taps = run.taps().iter();
    taps.flat_map(|tap| {
        let rows = tap.passages.iter();
        rows.map(|rows| ((tap.tap.clone(), rows.pid), rows.hash))
    })
    .collect()
}

/// The modules, in the order of computation, at which a passage that both have differs.
pub fn differing(a: &RecordedRun, b: &RecordedRun) -> Vec<String> {
    let (a, b) = (hashes(a), hashes(b));
    assert!(a.keys().any(|key| b.contains_key(key)));
    let differs = |path: &String| {
        let mut rows = a.iter().filter(|((module, _), _)| module == path);
        rows.any(|(key, hash)| b.get(key).is_some_and(|other| other != hash))
    };
    let architecture = checkpoint().architecture();
    let paths = architecture.paths().map(str::to_owned);
    paths.filter(differs).collect()
}

/// The rows of all passages at each module, in `f64`.
pub fn values(run: &RecordedRun) -> Vec<(String, Vec<f64>)> {
    let taps = run.taps().iter();
    taps.map(|tap| {
        let tensor: Tensor = run
            .tensor(tap.blob.unwrap())
            .unwrap()
            .unwrap()
            .read()
            .unwrap();
        let wide = tensor.cast(concord_tensor::DType::F64).unwrap();
        (tap.tap.clone(), wide.as_slice().unwrap().to_vec())
    })
    .collect()
}
