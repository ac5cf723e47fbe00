//! Writing a run while its subject computes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use concord_tensor::{BitHash, ByteHasher, Durability, Tensor};

use crate::observe::{ArtifactEvent, Observer};
use crate::publish::{PublishError, Staging, json_text, write_file_as, writing};
use crate::run::error::RunError;
use crate::run::record::{Capture, Event, RunManifest, TapRecord};
use crate::run::recorded::RecordedRun;
use crate::run::seal::{EVENTS, MANIFEST, SEAL, Seal};
use crate::stage_error::StageError;
use crate::store::{blob_path, put_blobs};
use crate::tap::{Tap, TapSink};
use crate::value::Value;

/// Writes a run. It is an [`Observer`]: hand it to an evaluator, then call [`RunWriter::finish`].
pub struct RunWriter {
    /// There until the run is finished.
    staging: Option<Staging>,
    scratch: PathBuf,
    blobs: PathBuf,
    capture: Capture,
    events: Mutex<Events>,
    events_path: PathBuf,
    last_rows: Mutex<Option<Kept>>,
}

/// The events that were written, and the hash of them.
struct Events {
    out: BufWriter<File>,
    hasher: ByteHasher,
}

/// Rows of a tap whose values are kept, and their hash.
struct Kept {
    rows: Tensor,
    blob: BitHash,
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
        let staging = Staging::open(out)?.not_kept();
        let (folder, scratch) = (staging.path(UNFINISHED), staging.path("store"));
        for left in [&folder, &scratch] {
            // Left by a recording that was killed; a run is recorded from its beginning.
            if left.exists() {
                fs::remove_dir_all(left).map_err(writing(left))?;
            }
        }
        let blobs = folder.join("blobs");
        fs::create_dir_all(&blobs).map_err(writing(&blobs))?;
        let events_path = folder.join(EVENTS);
        let events = File::create(&events_path).map_err(writing(&events_path))?;
        let events = Mutex::new(Events {
            out: BufWriter::new(events),
            hasher: ByteHasher::new(),
        });
        Ok(RunWriter {
            staging: Some(staging),
            scratch,
            blobs,
            capture,
            events,
            events_path,
            last_rows: Mutex::new(None),
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
        let theirs = run.folder().join("blobs");
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

    /// Writes the manifest and the hashes of the files, and gives the run its name.
    ///
    /// # Errors
    /// When anything cannot be written.
    pub fn finish(mut self, manifest: &RunManifest) -> Result<(), RunError> {
        let events = &mut *lock(&self.events);
        let out = &mut events.out;
        let durability = self.capture.durability;
        out.flush()
            .and_then(|()| match durability {
                Durability::Kept => out.get_ref().sync_data(),
                Durability::Scratch => Ok(()),
            })
            .map_err(writing(&self.events_path))?;
        if let Some(staging) = self.staging.take() {
            let folder = staging.path(UNFINISHED);
            let path = folder.join(MANIFEST);
            let text = json_text(manifest).map_err(writing(&path))?;
            write_file_as(&path, durability, |file| file.write_all(&text))?;
            let seal = Seal {
                events: events.hasher.finish(),
                manifest: BitHash::of_bytes(&text),
            };
            write_file_as(&folder.join(SEAL), durability, |file| {
                file.write_all(seal.text().as_bytes())
            })?;
            staging.publish_as(UNFINISHED, durability)?;
        }
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<(), PublishError> {
        let mut line = serde_json::to_vec(event)
            .map_err(io::Error::from)
            .map_err(writing(&self.events_path))?;
        line.push(b'\n');
        let mut events = lock(&self.events);
        events.hasher.update(&line);
        events
            .out
            .write_all(&line)
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
            put_blobs(&self.blobs, &event.record, value, self.capture.durability)?;
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

    fn wants_rows(&self) -> bool {
        self.capture.tap_values
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        let rows = tap.rows.filter(|_| self.capture.tap_values);
        let blob = rows.map(|rows| self.keep(rows)).transpose()?;
        Ok(self.append(&Event::Tap(TapRecord {
            tap: tap.path,
            batch: tap.batch,
            dtype: tap.dtype,
            width: tap.width,
            passages: tap.passages,
            masks: tap.masks,
            blob,
        }))?)
    }
}

impl RunWriter {
    /// Keeps rows as a blob.
    fn keep(&self, rows: Tensor) -> Result<BitHash, StageError> {
        // A module that hands on what another inside it computed reports that very tensor.
        let last = lock(&self.last_rows).take();
        let kept = match last.filter(|last| last.rows.is_same(&rows)) {
            Some(last) => last,
            None => {
                let value = Value::from(rows.clone());
                let record = value.record();
                put_blobs(&self.blobs, &record, &value, self.capture.durability)?;
                let blob = record.hash;
                Kept { rows, blob }
            }
        };
        let blob = kept.blob;
        *lock(&self.last_rows) = Some(kept);
        Ok(blob)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
