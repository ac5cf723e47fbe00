//! Recorded runs: what a subject computed, kept in a folder.
//!
//! ```text
//! RUN/manifest.json   what ran, on what, with which options; nothing that changes from run to run
//! RUN/events.jsonl    one line per chunk of an artifact and per tap, in the order of computation
//! RUN/blobs/…         the tensors that the capture level keeps, under their hashes, once each
//! ```

mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use concord_tensor::{BitHash, DType, TensorSource, open_tensors};
use serde::{Deserialize, Serialize};

use crate::manifest::{ArtifactRecord, MANIFEST_VERSION, ManifestHead};
use crate::observe::ArtifactEvent;
use crate::pattern::ModulePattern;
use crate::publish::{PublishError, StagingError};
use crate::store::{StoreError, blob_path};

pub use self::writer::RunWriter;

/// What a recording keeps beside hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Keep the values of artifacts.
    pub artifact_values: bool,
    /// Take taps at the modules that one of these covers.
    pub taps: Vec<ModulePattern>,
    /// Keep the values of taps.
    pub tap_values: bool,
    /// Take taps of these passages only; `None` means all.
    pub passages: Option<BTreeSet<usize>>,
}

/// What ran, on what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Always `run`.
    pub concord: String,
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// The subject in one word, as the command line has it.
    pub subject: String,
    /// The version of the numeric contract, where the native engine ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<u32>,
    /// The hash of each input, by name.
    pub inputs: BTreeMap<String, BitHash>,
    /// The options that the results depend on, by name.
    pub options: BTreeMap<String, serde_json::Value>,
}

impl RunManifest {
    /// A manifest of the current version.
    pub fn new(
        subject: String,
        contract: Option<u32>,
        inputs: BTreeMap<String, BitHash>,
        options: BTreeMap<String, serde_json::Value>,
    ) -> RunManifest {
        let concord = "run".to_owned();
        RunManifest {
            concord,
            version: MANIFEST_VERSION,
            subject,
            contract,
            inputs,
            options,
        }
    }
}

/// One tap of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapRecord {
    /// The path of the module.
    pub tap: String,
    /// The batch.
    pub batch: usize,
    /// The dtype of the values.
    pub dtype: DType,
    /// Values per token.
    pub width: usize,
    /// The passages of the batch, in the order of their rows.
    pub passages: Vec<TapRows>,
    /// The blob that holds the rows of all of them, where values are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<BitHash>,
}

/// The rows of one passage in a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapRows {
    /// The passage.
    pub pid: usize,
    /// How many rows.
    pub tokens: usize,
    /// The hash of the tensor `(tokens, width)`.
    pub hash: BitHash,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Event {
    Artifact(ArtifactEvent),
    Tap(TapRecord),
}

/// Why a run cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The output is there already.
    #[error("{path} exists: choose another --out, or remove it", path = .0.display())]
    Exists(PathBuf),
    /// The staging folder cannot be had.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// Something could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A blob could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line or file is not what a run has there.
    #[error("{path}, line {line}: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The folder holds something else, or a run of another version.
    #[error(
        "{path} is a manifest of {found}, version {version}; this program reads those of a run, \
         version {MANIFEST_VERSION}: record the run again, or use the version of Concord that recorded \
         it",
        path = path.display()
    )]
    NotARun {
        /// The manifest.
        path: PathBuf,
        /// The kind it says it is.
        found: String,
        /// The version it says it has.
        version: u32,
    },
}

/// A run read back.
pub struct RecordedRun {
    folder: PathBuf,
    manifest: RunManifest,
    artifacts: Vec<ArtifactRecord>,
    taps: Vec<TapRecord>,
}

impl RecordedRun {
    /// Whether `folder` looks like a recorded run.
    pub fn is_at(folder: &Path) -> bool {
        folder.join("manifest.json").is_file() && folder.join("events.jsonl").is_file()
    }

    /// Opens the run in `folder`. Values stay on disk.
    ///
    /// # Errors
    /// When it cannot be read, or is not a run of the [version](MANIFEST_VERSION) this program reads.
    pub fn open(folder: &Path) -> Result<RecordedRun, RunError> {
        let path = folder.join("manifest.json");
        let text = fs::read(&path).map_err(unreadable(&path))?;
        let malformed = |source: serde_json::Error| RunError::Malformed {
            path: path.clone(),
            line: source.line(),
            source,
        };
        let head: ManifestHead = serde_json::from_slice(&text).map_err(malformed)?;
        if !head.is_of("run") {
            let (found, version) = (head.concord, head.version);
            return Err(RunError::NotARun {
                path,
                found,
                version,
            });
        }
        let mut run = RecordedRun {
            folder: folder.to_owned(),
            manifest: serde_json::from_slice(&text).map_err(malformed)?,
            artifacts: Vec::new(),
            taps: Vec::new(),
        };
        let (mut chunks, mut taps) = (Vec::<ArtifactEvent>::new(), Vec::new());
        run.each_event(|event| {
            match event {
                Event::Artifact(event) => chunks.push(event),
                Event::Tap(tap) => taps.push(tap),
            }
            Ok(())
        })?;
        (run.artifacts, run.taps) = (gather(chunks), taps);
        Ok(run)
    }

    /// Reads the events, one after the other.
    fn each_event(
        &self,
        mut take: impl FnMut(Event) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let path = self.folder.join("events.jsonl");
        let file = File::open(&path).map_err(unreadable(&path))?;
        for (at, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(unreadable(&path))?;
            let event = serde_json::from_str(&line).map_err(|source| RunError::Malformed {
                path: path.clone(),
                line: at + 1,
                source,
            })?;
            take(event)?;
        }
        Ok(())
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What ran.
    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// The artifacts, in the order of the graph.
    pub fn artifacts(&self) -> &[ArtifactRecord] {
        &self.artifacts
    }

    /// The taps, in the order of computation.
    pub fn taps(&self) -> &[TapRecord] {
        &self.taps
    }

    /// The tensor with that hash, or `None` if the run did not keep it.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn tensor(&self, hash: BitHash) -> Result<Option<TensorSource>, StoreError> {
        let path = blob_path(&self.folder.join("blobs"), hash);
        if !path.is_file() {
            return Ok(None);
        }
        Ok(open_tensors(&path)?
            .into_iter()
            .next()
            .map(|(_, source)| source))
    }
}

/// Artifacts out of their chunks, in the order of the graph.
fn gather(mut chunks: Vec<ArtifactEvent>) -> Vec<ArtifactRecord> {
    chunks.sort_by(|a, b| {
        let place = |e: &ArtifactEvent| crate::artifact::position(&e.artifact);
        (place(a), &a.artifact, a.chunk).cmp(&(place(b), &b.artifact, b.chunk))
    });
    chunks
        .chunk_by(|a, b| a.artifact == b.artifact)
        .map(|chunks| {
            let made_from: Vec<_> = chunks.iter().map(|chunk| chunk.made_from).collect();
            let records = chunks.iter().map(|chunk| chunk.record.clone()).collect();
            ArtifactRecord::new(&chunks[0].artifact, records, &made_from)
        })
        .collect()
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> RunError + '_ {
    move |source| RunError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
