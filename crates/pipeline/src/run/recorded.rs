//! A run read back.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use concord_tensor::{BitHash, TensorSource, open_tensors};

use crate::artifact;
use crate::manifest::{ArtifactRecord, ManifestHead};
use crate::observe::ArtifactEvent;
use crate::run::error::RunError;
use crate::run::record::{Event, RunManifest, TapRecord};
use crate::store::{StoreError, blob_path};

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
    /// When it cannot be read, or is not a run of the [version](crate::manifest::MANIFEST_VERSION) this program reads.
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
    pub(crate) fn each_event(
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

    pub fn folder(&self) -> &Path {
        &self.folder
    }

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
        let place = |e: &ArtifactEvent| artifact::position(&e.artifact);
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
