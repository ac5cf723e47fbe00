//! Building an index: resumable, and there at once when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use concord_index::format::{IndexManifest, PASSAGES_FILE, WriteError, write_index};
use concord_index::passages::{PassageDb, PassageDbError, PassageTable};
use concord_index::verify::LOG;
use concord_kernels::CONTRACT_VERSION;
use concord_pipeline::artifact::{CENTROIDS, CODES, DOCLENS};
use concord_pipeline::publish::{PublishError, write_json, writing};
use concord_pipeline::{
    DiskStore, EvaluateError, MANIFEST_VERSION, Progress, Staging, StagingError, StoreError,
};
use serde_json::json;

use crate::buildable::Buildable;
use crate::finite::{FiniteArtifacts, NotFinite};
use crate::log::{BuildLog, StageCounter};
use crate::occupant::{Occupant, OccupiedError, check_only_an_index, occupant};
use crate::origin::Origin;

/// Why an index could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What is at the output is in the way.
    #[error(transparent)]
    Occupied(#[from] OccupiedError),
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
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
    #[error(transparent)]
    Passages(#[from] PassageDbError),
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
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

/// Where an index is built.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The folder that will be the index. Where it is a link, what it leads to is meant.
    pub path: &'a Path,
    /// Put the index in the place of one of Concord's that is there and is another one, or is damaged. It is
    /// replaced when the new one is whole, in one step where the system can.
    pub replace: bool,
}

impl<'a> From<&'a Path> for Output<'a> {
    fn from(path: &'a Path) -> Output<'a> {
        Output {
            path,
            replace: false,
        }
    }
}

impl<'a> From<&'a PathBuf> for Output<'a> {
    fn from(path: &'a PathBuf) -> Output<'a> {
        path.as_path().into()
    }
}

/// Builds the index of `what` at `output`, taking up what an earlier process left.
///
/// # Errors
/// When something else is there, another process builds there, anything cannot be computed or
/// written, or a number that would go into the index is not finite. What was finished stays for the next attempt.
pub fn build<'a>(
    what: &(impl Buildable + Sync),
    layout: Layout,
    origin: &Origin,
    output: impl Into<Output<'a>>,
    progress: &dyn Progress,
) -> Result<BuildReport, BuildError> {
    build_of(what, &what.passages(), layout, origin, output, progress)
}

/// [`build`], where more is known of the passages than `what` says.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_of<'a>(
    what: &(impl Buildable + Sync),
    passages: &PassageTable,
    layout: Layout,
    origin: &Origin,
    output: impl Into<Output<'a>>,
    progress: &dyn Progress,
) -> Result<BuildReport, BuildError> {
    let Output { path: out, replace } = output.into();
    let begun = Instant::now();
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut manifest = IndexManifest {
        concord: "index".to_owned(),
        version: MANIFEST_VERSION,
        contract: CONTRACT_VERSION,
        inputs: what.inputs(),
        options: what.options(),
        artifacts: Vec::new(),
        files: Vec::new(),
    };
    manifest
        .options
        .insert("pad_ivf".to_owned(), layout.pad_ivf.into());
    // Only then are they part of the index.
    if layout.absolute_paths {
        let mut paths = json!({"checkpoint": origin.checkpoint});
        if !origin.collection.is_empty() {
            paths["collection"] = origin.collection.clone().into();
        }
        manifest.options.insert("absolute_paths".to_owned(), paths);
    }
    let occupied = match occupant(out, &manifest, replace)? {
        Occupant::ThisIndex(there) => {
            remove_leftovers(out)?;
            return Ok(BuildReport {
                manifest: there,
                already_there: true,
                log: BuildLog::read(out),
                notices: what.notices(None)?,
            });
        }
        Occupant::ToBeReplaced => true,
        Occupant::Nothing => false,
    };
    let finite = FiniteArtifacts::of(what);
    finite
        .check_given()
        .map_err(|found| BuildError::NotFinite(Box::new(found)))?;
    let staging = Staging::open(out)?;
    let store = DiskStore::open(&staging.path("store"))?;
    let folder = staging.path("index");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(writing(&folder))?;
    }
    fs::create_dir(&folder).map_err(writing(&folder))?;
    let read = what.reading_took();
    let stages = StageCounter::after_reading(progress, begun, read);
    let config = what.published_config(layout.absolute_paths.then_some(origin));
    let evaluated = what.evaluate(&store, Some(&finite), &stages, |evaluator| {
        let names = write_index(&folder, evaluator, what.grid(), &config, layout.pad_ivf)?;
        Ok::<_, BuildError>((
            evaluator.known_artifacts()?,
            names,
            what.notices(Some(evaluator))?,
        ))
    });
    let (artifacts, mut files, notices) = match (evaluated, finite.into_found()) {
        (Err(_), Some(found)) => return Err(BuildError::NotFinite(Box::new(found))),
        (evaluated, _) => evaluated?,
    };
    PassageDb::write(&folder.join(PASSAGES_FILE), passages)?;
    files.push(PASSAGES_FILE.to_owned());
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
        seconds: (read + begun.elapsed()).as_secs_f64(),
        threads: what.threads(),
        stages: stages.into_stages(),
    };
    write_json(&folder.join(LOG), &log)?;
    if occupied {
        check_only_an_index(out)?;
        staging.replace("index")?;
    } else {
        staging.publish("index")?;
    }
    Ok(BuildReport {
        manifest,
        already_there: false,
        log: Some(log),
        notices,
    })
}

/// Removes the staging folder of a process that was killed after the index was there.
fn remove_leftovers(out: &Path) -> Result<(), BuildError> {
    if Staging::folder_for(out).exists() {
        Staging::open(out)?.discard()?;
    }
    Ok(())
}
