//! Small runs, written as a subject writes them.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use concord_lab::diff::{DiffRow, FieldDiff};
use concord_lab::{DiffOptions, DiffReport, Side, diff};
use concord_pipeline::{
    ArtifactEvent, Capture, ModulePattern, Observer, RunManifest, RunWriter, Tap, TapSink,
    TappedPassage, Value,
};
use concord_tensor::{BitHash, Tensor};
use serde_json::json;

/// What a toy run keeps beside hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    Hashes,
    Values,
}

/// A run being written.
pub struct ToyRun {
    writer: RunWriter,
    out: PathBuf,
    manifest: RunManifest,
}

impl ToyRun {
    pub fn new(folder: &Path, name: &str, keeps: Keeps) -> ToyRun {
        let out = folder.join(name);
        let capture = Capture {
            artifact_values: keeps == Keeps::Values,
            taps: vec![ModulePattern::new("*")],
            tap_values: keeps == Keeps::Values,
            passages: None,
            ..Capture::default()
        };
        let inputs = BTreeMap::from([("checkpoint".to_owned(), BitHash::of_bytes(b"weights"))]);
        let options = BTreeMap::from([("nbits".to_owned(), json!(2))]);
        let manifest = RunManifest::new("native".to_owned(), Some(1), inputs, options);
        ToyRun {
            writer: RunWriter::create(&out, capture).unwrap(),
            out,
            manifest,
        }
    }

    /// Changes what is said of the run.
    pub fn told(mut self, change: impl FnOnce(&mut RunManifest)) -> ToyRun {
        change(&mut self.manifest);
        self
    }

    /// Adds an artifact in chunks.
    pub fn artifact(self, name: &str, chunks: impl IntoIterator<Item = Value>) -> ToyRun {
        for (chunk, value) in chunks.into_iter().enumerate() {
            let event = ArtifactEvent {
                artifact: name.to_owned(),
                chunk,
                made_from: None,
                record: value.record(),
            };
            self.writer.artifact(&event, Some(&value)).unwrap();
        }
        self
    }

    /// Adds a tap of passages, given as pid and number of rows.
    pub fn tap(
        self,
        path: &str,
        batch: usize,
        passages: &[(usize, usize)],
        rows: Tensor,
    ) -> ToyRun {
        self.writer.tap(tap(path, batch, passages, rows)).unwrap();
        self
    }

    /// The same with hashes as runs had them before there was a rule for rows.
    pub fn tap_of_before(
        self,
        path: &str,
        batch: usize,
        passages: &[(usize, usize)],
        rows: Tensor,
    ) -> ToyRun {
        let mut tap = tap(path, batch, passages, rows.clone());
        let mut first = 0;
        for passage in &mut tap.passages {
            let own = rows.slice_rows(first..first + passage.tokens).unwrap();
            passage.hash = own.hash().into();
            first += passage.tokens;
        }
        self.writer.tap(tap).unwrap();
        self
    }

    pub fn finish(self) -> PathBuf {
        self.writer.finish(&self.manifest).unwrap();
        self.out
    }
}

fn tap(path: &str, batch: usize, passages: &[(usize, usize)], rows: Tensor) -> Tap {
    let passages: Vec<TappedPassage> = passages
        .iter()
        .map(|&(pid, tokens)| TappedPassage { pid, tokens })
        .collect();
    Tap::of(path, batch, &passages, rows).unwrap()
}

/// A matrix of f32 of that width.
pub fn matrix(width: usize, values: &[f32]) -> Tensor {
    Tensor::new(vec![values.len() / width, width], values.to_vec()).unwrap()
}

pub fn compared(a: &Path, b: &Path) -> DiffReport {
    let (a, b) = (Side::open(a).unwrap(), Side::open(b).unwrap());
    diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap()
}

/// The row of that name.
pub fn row<'a>(report: &'a DiffReport, name: &str) -> &'a DiffRow {
    report.rows.iter().find(|row| row.name == name).unwrap()
}

/// The first field of the row of that name.
pub fn field<'a>(report: &'a DiffReport, name: &str) -> &'a FieldDiff {
    &row(report, name).fields[0]
}
