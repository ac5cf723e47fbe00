//! Building an index: resumable, and there at once when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use concord_index::format::{IndexManifest, ManifestError, WriteError, write_index};
use concord_index::verify::LOG;
use concord_kernels::CONTRACT_VERSION;
use concord_pipeline::artifact::{CENTROIDS, CODES, DOCLENS};
use concord_pipeline::publish::{PublishError, write_json, writing};
use concord_pipeline::{
    DiskStore, EvaluateError, MANIFEST_VERSION, Progress, Staging, StagingError, StoreError,
};
use serde_json::json;

use crate::log::{BuildLog, StageCounter};
use crate::native::Native;
use crate::origin::Origin;

/// Why an index could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{path} holds something that is no index of Concord: choose another --out", path = .0.display())]
    Occupied(PathBuf),
    /// The output holds an index of something else.
    #[error(
        "{path} holds an index that was built otherwise ({difference}): choose another --out, or remove it",
        path = path.display()
    )]
    OtherIndex { path: PathBuf, difference: String },
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The manifest that is there cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a build came to.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildReport {
    /// The manifest of the index.
    pub manifest: IndexManifest,
    /// The index was there already.
    pub already_there: bool,
    pub log: Option<BuildLog>,
    pub notices: Vec<String>,
}

/// How large an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSize {
    pub passages: usize,
    pub embeddings: usize,
    pub centroids: usize,
    /// Of all files together.
    pub bytes: u64,
}

impl BuildReport {
    pub fn size(&self) -> IndexSize {
        let rows = |artifact: &str| {
            let record = self.manifest.artifact(artifact);
            let shape = record.and_then(|record| record.total_shape(""));
            shape
                .and_then(|(_, shape)| shape.first().copied())
                .unwrap_or(0)
        };
        IndexSize {
            passages: rows(DOCLENS),
            embeddings: rows(CODES),
            centroids: rows(CENTROIDS),
            bytes: self.manifest.files.iter().map(|file| file.bytes).sum(),
        }
    }
}

/// How an index is laid out, beside what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Follow the inverted file by the zeros that the reference writes.
    pub pad_ivf: bool,
    /// Name checkpoint and collection by where they lie, as the reference does, which then finds them; the index
    /// depends on these names.
    pub absolute_paths: bool,
}

/// Builds the index of `native` at `out`, taking up what an earlier process left.
///
/// # Errors
/// When `out` holds something else, another process builds there, or anything cannot be computed or
/// written. What was finished stays for the next attempt.
pub fn build(
    native: &Native,
    layout: Layout,
    origin: &Origin,
    out: &Path,
    progress: &dyn Progress,
) -> Result<BuildReport, BuildError> {
    let begun = Instant::now();
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut manifest = IndexManifest {
        concord: "index".to_owned(),
        version: MANIFEST_VERSION,
        contract: CONTRACT_VERSION,
        inputs: native.inputs(),
        options: native.options(),
        artifacts: Vec::new(),
        files: Vec::new(),
    };
    manifest
        .options
        .insert("pad_ivf".to_owned(), layout.pad_ivf.into());
    // Only then are they part of the index.
    if layout.absolute_paths {
        let paths = json!({"checkpoint": origin.checkpoint, "collection": origin.collection});
        manifest.options.insert("absolute_paths".to_owned(), paths);
    }
    if let Some(there) = index_at(out, &manifest)? {
        remove_leftovers(out)?;
        let (log, notices) = (BuildLog::read(out), native.notices(None)?);
        return Ok(BuildReport {
            manifest: there,
            already_there: true,
            log,
            notices,
        });
    }
    let staging = Staging::open(out)?;
    let store = DiskStore::open(&staging.path("store"))?;
    let folder = staging.path("index");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(writing(&folder))?;
    }
    fs::create_dir(&folder).map_err(writing(&folder))?;
    let stages = StageCounter::new(progress, begun);
    let config = native.published_config(origin, layout.absolute_paths);
    let (artifacts, files, notices) = native.evaluate(&store, None, &stages, |evaluator| {
        let names = write_index(&folder, evaluator, native.grid(), &config, layout.pad_ivf)?;
        Ok::<_, BuildError>((
            evaluator.known_artifacts()?,
            names,
            native.notices(Some(evaluator))?,
        ))
    })?;
    manifest.artifacts = artifacts;
    manifest.files = concord_index::format::file_records(&folder, files).map_err(|source| {
        BuildError::Unreadable {
            path: folder.clone(),
            source,
        }
    })?;
    manifest.write(&folder)?;
    let log = BuildLog {
        origin: origin.clone(),
        started,
        seconds: begun.elapsed().as_secs_f64(),
        threads: native.threads(),
        stages: stages.into_stages(),
    };
    write_json(&folder.join(LOG), &log)?;
    staging.publish("index")?;
    Ok(BuildReport {
        manifest,
        already_there: false,
        log: Some(log),
        notices,
    })
}

/// The manifest of the index at `out`, if it is what would be built; nothing, if there is nothing.
fn index_at(out: &Path, wanted: &IndexManifest) -> Result<Option<IndexManifest>, BuildError> {
    let unreadable = |source| BuildError::Unreadable {
        path: out.to_owned(),
        source,
    };
    match fs::read_dir(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // It may also be a parent that is a file, and then `out` is not there.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory && out.exists() => {
            return Err(BuildError::Occupied(out.to_owned()));
        }
        Err(error) => return Err(unreadable(error)),
        Ok(mut entries) => {
            if entries.next().transpose().map_err(unreadable)?.is_none() {
                return Ok(None);
            }
        }
    }
    let there = IndexManifest::read(out)?.ok_or_else(|| BuildError::Occupied(out.to_owned()))?;
    match difference(&there, wanted) {
        None => Ok(Some(there)),
        Some(difference) => Err(BuildError::OtherIndex {
            path: out.to_owned(),
            difference,
        }),
    }
}

/// The first thing in which two builds differ before anything is computed.
fn difference(there: &IndexManifest, wanted: &IndexManifest) -> Option<String> {
    if there.contract != wanted.contract {
        return Some(format!("numeric contract {} there", there.contract));
    }
    if let Some((name, _)) = wanted
        .inputs
        .iter()
        .find(|(k, v)| there.inputs.get(*k) != Some(*v))
    {
        return Some(format!("another {name}"));
    }
    if let Some((name, value)) = wanted
        .options
        .iter()
        .find(|(k, v)| there.options.get(*k) != Some(*v))
    {
        let old = there
            .options
            .get(name)
            .map_or("nothing".to_owned(), ToString::to_string);
        return Some(format!("{name} is {old} there and {value} here"));
    }
    (there.inputs != wanted.inputs || there.options != wanted.options)
        .then(|| "other options or swaps".to_owned())
}

/// Removes the staging folder of a process that was killed after the index was there.
fn remove_leftovers(out: &Path) -> Result<(), BuildError> {
    if Staging::folder_for(out).exists() {
        Staging::open(out)?.discard()?;
    }
    Ok(())
}
