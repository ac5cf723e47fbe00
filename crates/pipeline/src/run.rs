//! Recorded runs: what a subject computed, kept in a folder.
//!
//! ```text
//! RUN/manifest.json   what ran, on what, with which options; nothing that changes from run to run
//! RUN/events.jsonl    one line per chunk of an artifact and per tap, in the order of computation
//! RUN/blobs/…         the tensors that the capture level keeps, under their hashes, once each
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use concord_tensor::{BitHash, DType, Tensor, TensorSource, open_tensors};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::manifest::{ArtifactRecord, MANIFEST_VERSION, ManifestHead};
use crate::observe::{ArtifactEvent, Observer, Tap, TapSink};
use crate::pattern::ModulePattern;
use crate::publish::{PublishError, Staging, StagingError, write_json, writing};
use crate::stage::StageError;
use crate::store::{StoreError, blob_path, put_blobs};
use crate::value::Value;

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

/// Writes a run. It is an [`Observer`]: hand it to an evaluator, then call [`RunWriter::finish`].
pub struct RunWriter {
    /// There until the run is finished.
    staging: Option<Staging>,
    scratch: PathBuf,
    blobs: PathBuf,
    capture: Capture,
    events: Mutex<BufWriter<File>>,
    events_path: PathBuf,
    last_tap: Mutex<Option<Kept>>,
}

/// A tap that was hashed, and kept where values are.
struct Kept {
    rows: Tensor,
    passages: Vec<TapRows>,
    blob: Option<BitHash>,
}

/// The folder inside the staging folder that becomes the run.
const UNFINISHED: &str = "run";

impl RunWriter {
    /// Starts a run that will appear at `out`.
    ///
    /// # Errors
    /// When `out` exists, another process is recording to it, or it cannot be written.
    pub fn create(out: &Path, capture: Capture) -> Result<RunWriter, RunError> {
        if out.exists() {
            return Err(RunError::Exists(out.to_owned()));
        }
        let staging = Staging::open(out)?;
        let (folder, scratch) = (staging.path(UNFINISHED), staging.path("store"));
        for left in [&folder, &scratch] {
            // Left by a recording that was killed; a run is recorded from its beginning.
            if left.exists() {
                fs::remove_dir_all(left).map_err(writing(left))?;
            }
        }
        let blobs = folder.join("blobs");
        fs::create_dir_all(&blobs).map_err(writing(&blobs))?;
        let events_path = folder.join("events.jsonl");
        let events = File::create(&events_path).map_err(writing(&events_path))?;
        let events = Mutex::new(BufWriter::new(events));
        Ok(RunWriter {
            staging: Some(staging),
            scratch,
            blobs,
            capture,
            events,
            events_path,
            last_tap: Mutex::new(None),
        })
    }

    /// An empty folder for a working store, gone when the run is finished.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Takes over the events of a run that another program recorded, and of its tensors those that this
    /// run keeps. They are moved: the other run is of no use afterwards.
    ///
    /// # Errors
    /// When the other run cannot be read, or this one not be written.
    pub fn take_over(&self, run: &RecordedRun) -> Result<(), RunError> {
        let theirs = run.folder.join("blobs");
        let take = |hash: BitHash| {
            let (from, to) = (blob_path(&theirs, hash), blob_path(&self.blobs, hash));
            if !from.exists() || to.exists() {
                return Ok(());
            }
            let moved = to
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::rename(&from, &to));
            moved.map_err(writing(&to))
        };
        run.each_event(|event| {
            match &event {
                Event::Artifact(event) if self.capture.artifact_values => {
                    event.record.fields.iter().try_for_each(|f| take(f.hash))?;
                }
                Event::Tap(tap) if self.capture.tap_values => {
                    tap.blob.map_or(Ok(()), take)?;
                }
                Event::Artifact(_) | Event::Tap(_) => {}
            }
            Ok(self.append(&event)?)
        })
    }

    /// Writes the manifest and gives the run its name.
    ///
    /// # Errors
    /// When anything cannot be written.
    pub fn finish(mut self, manifest: &RunManifest) -> Result<(), RunError> {
        let events = &mut *lock(&self.events);
        events
            .flush()
            .and_then(|()| events.get_ref().sync_data())
            .map_err(writing(&self.events_path))?;
        if let Some(staging) = self.staging.take() {
            write_json(&staging.path(UNFINISHED).join("manifest.json"), manifest)?;
            staging.publish(UNFINISHED)?;
        }
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<(), PublishError> {
        let mut events = lock(&self.events);
        serde_json::to_writer(&mut *events, event)
            .map_err(io::Error::from)
            .and_then(|()| events.write_all(b"\n"))
            .map_err(writing(&self.events_path))
    }
}

impl Drop for RunWriter {
    /// An unfinished run is of no use to anybody.
    fn drop(&mut self) {
        if let Some(staging) = self.staging.take() {
            let _ = staging.discard();
        }
    }
}

impl Observer for RunWriter {
    fn wants_value(&self, _: &str) -> bool {
        self.capture.artifact_values
    }

    fn artifact(&self, event: &ArtifactEvent, value: Option<&Value>) -> Result<(), StageError> {
        if let Some(value) = value.filter(|_| self.capture.artifact_values) {
            put_blobs(&self.blobs, &event.record, value)?;
        }
        Ok(self.append(&Event::Artifact(event.clone()))?)
    }

    fn taps(&self) -> Option<&dyn TapSink> {
        if self.capture.taps.is_empty() {
            None
        } else {
            Some(self)
        }
    }
}

impl TapSink for RunWriter {
    fn wants_passage(&self, pid: usize) -> bool {
        self.capture
            .passages
            .as_ref()
            .is_none_or(|passages| passages.contains(&pid))
    }

    fn wants_path(&self, path: &str) -> bool {
        self.capture.taps.iter().any(|pattern| pattern.covers(path))
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        // A module that hands on what another inside it computed reports that very tensor.
        let last = lock(&self.last_tap).take();
        let kept = match last.filter(|last| last.is_of(&tap)) {
            Some(last) => last,
            None => self.keep(&tap)?,
        };
        let record = TapRecord {
            tap: tap.path,
            batch: tap.batch,
            dtype: tap.rows.dtype(),
            width: tap.rows.row_len(),
            passages: kept.passages.clone(),
            blob: kept.blob,
        };
        *lock(&self.last_tap) = Some(kept);
        Ok(self.append(&Event::Tap(record))?)
    }
}

impl RunWriter {
    /// Hashes the rows of each passage, and keeps all of them where the capture asks for values.
    fn keep(&self, tap: &Tap) -> Result<Kept, StageError> {
        let mut row = 0;
        let mut of_passages = Vec::with_capacity(tap.passages.len());
        for passage in &tap.passages {
            of_passages.push((passage, row..row + passage.tokens));
            row += passage.tokens;
        }
        // Side by side: of everything that is done with a tap, hashing takes the longest.
        let passages = of_passages
            .into_par_iter()
            .map(|(passage, rows)| {
                Ok(TapRows {
                    pid: passage.pid,
                    tokens: passage.tokens,
                    hash: tap.rows.slice_rows(rows)?.hash(),
                })
            })
            .collect::<Result<_, StageError>>()?;
        let mut blob = None;
        if self.capture.tap_values {
            let value = Value::from(tap.rows.clone());
            let record = value.record();
            put_blobs(&self.blobs, &record, &value)?;
            blob = Some(record.hash);
        }
        Ok(Kept {
            rows: tap.rows.clone(),
            passages,
            blob,
        })
    }
}

impl Kept {
    /// Whether this is what was made of the rows of that tap.
    fn is_of(&self, tap: &Tap) -> bool {
        let passages = self.passages.iter().map(|rows| (rows.pid, rows.tokens));
        let of_tap = tap.passages.iter().map(|rows| (rows.pid, rows.tokens));
        self.rows.is_same(&tap.rows) && passages.eq(of_tap)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
