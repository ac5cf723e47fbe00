//! Changing an index: passages added, deleted, dropped for good, and indexes merged.
//!
//! The folder of an index is never written to. A change writes another index beside it and exchanges the two in one
//! step, so whoever reads the old one goes on reading it, whoever opens it afterwards has the new one, and a process
//! that is killed has changed nothing. Files that stay as they are become names of the same bytes.
//!
//! What a change leaves is [one construction](concord_index::format::Assembly): the index of these passages, in this
//! order, under the codec that was there. It does not matter in how many steps it came about, so passages added in ten
//! pieces, at once, or as a shard built apart with the same codec and merged, give the same bytes in every file but the
//! log.

mod drift;
mod error;
mod lock;
mod opened;
mod staged;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use concord_corpus::Collection;
use concord_index::format::{IndexFiles, PassageRows, write_rows};
use concord_index::passages::{Known, PassageTable};
use concord_kernels::compute::Compute;
use concord_model::hub::HubOptions;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, RESIDUALS,
};
use concord_pipeline::{DiskStore, Progress, Staging};
use serde::Serialize;

pub use drift::{Drift, RETRAIN_FROM};
pub use error::ChangeError;

use crate::buildable::Buildable;
use crate::checkpoint;
use crate::embeddings::{GivenIndex, GivenPassages, GivenSettings};
use crate::finite::FiniteArtifacts;
use crate::log::StageCounter;
use crate::native::Native;
use crate::options::NativeOptions;
use crate::recorded::{is_of_embeddings, recorded_options};
use crate::settings::IndexSettings;
use crate::swap::{Swap, SwapError};
use drift::Bytes;
use opened::Opened;
use staged::{Change, INDEX, emptied, finished, replace, staged};

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeReport {
    /// The passages that are found.
    pub passages: usize,
    /// Passages that are deleted and keep their numbers.
    pub deleted: usize,
    pub embeddings: usize,
    /// Passages that were added.
    pub added: usize,
    /// Passages that were deleted now, because they were named or replaced.
    pub removed: usize,
    /// Deleted passages that were dropped for good.
    pub dropped: usize,
    /// How far what was added lies from what the codec was made for.
    pub drift: Option<Drift>,
    pub notices: Vec<String>,
    pub seconds: f64,
}

/// Texts to add, and how they are encoded.
pub struct Adding {
    pub collection: Arc<Collection>,
    /// The checkpoint; the one that the index names if unset.
    pub checkpoint: Option<String>,
    pub hub: HubOptions,
    /// With which batch size, threads and instruction set; the bits do not depend on them.
    pub compute: NativeOptions,
}

/// Adds passages to the index at `index`, behind those that are there. With `replace`, passages that have an id of these
/// are deleted, instead of these refused.
///
/// # Errors
/// When an id is there already, the checkpoint is another, or anything cannot be computed or written. The index is then
/// as it was.
pub fn add(
    index: &Path,
    adding: &Adding,
    replace: bool,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let of_texts = |opened: &Opened| engine(opened, adding);
    added(index, of_texts, replace, progress)
}

/// [`add`] of embeddings that are given, to an index of given embeddings. Whether they were made as those that are there
/// is the caller's to know.
///
/// # Errors
/// As [`add`], and when the index is one of texts, or the embeddings have another width.
pub fn add_embeddings(
    index: &Path,
    passages: GivenPassages,
    compute: Compute,
    replace: bool,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let of_embeddings = |opened: &Opened| given(opened, passages, compute, progress);
    added(index, of_embeddings, replace, progress)
}

fn added<B: Buildable + Sync>(
    index: &Path,
    what: impl FnOnce(&Opened) -> Result<B, ChangeError>,
    replaces: bool,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let begun = Instant::now();
    let (opened, rows) = Opened::alone(index)?;
    let mut table = opened.table.clone();
    let known = match replaces {
        true => Known::Replaced,
        false => Known::RefusedIfThere,
    };
    let what = what(&opened)?;
    let replaced = table.append(&what.passages(), known)?;
    let staging = staged(index)?;
    let stages = StageCounter::new(progress, begun);
    let (added, bytes) = encoded(&what, &staging, &opened, &stages)?;
    let first = rows.passages();
    let mut runs = Opened::runs(&rows, 0, &table, 0, false);
    runs.extend(Opened::runs(&added, 1, &table, first, false));
    let weights = what
        .swaps()
        .iter()
        .find(|swap| swap.artifact() == BUCKET_WEIGHTS);
    let drift = match weights {
        Some(weights) => {
            let weights = weights.tensor().as_slice::<f32>()?;
            bytes.drift(opened.config.dim, opened.config.nbits, weights)
        }
        None => None,
    };
    let mut report = ChangeReport {
        added: added.passages(),
        removed: replaced.len(),
        drift,
        notices: what.notices(None)?,
        ..ChangeReport::of(&table)
    };
    let sources = [rows, added];
    let change = Change {
        opened: &opened,
        sources: &sources,
        runs,
        table: &table,
    };
    report.embeddings = change.write(&staging, stages, begun, what.threads())?;
    replace(staging, index)?;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Deletes the passages of these ids. They keep their numbers, have no embeddings any more and are not found.
///
/// # Errors
/// When no passage has one of the ids, or none would be left. The index is then as it was.
pub fn delete<'a>(
    index: &Path,
    ids: impl IntoIterator<Item = &'a str>,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    rewritten(index, progress, |table| {
        let removed = table.delete(ids)?.len();
        match removed {
            0 => Err(ChangeError::NothingNamed),
            removed => Ok((removed, 0)),
        }
    })
}

/// Drops the deleted passages for good and numbers the others anew, in the same order.
///
/// # Errors
/// When anything cannot be read or written. The index is then as it was.
pub fn compact(index: &Path, progress: &dyn Progress) -> Result<ChangeReport, ChangeError> {
    rewritten(index, progress, |table| Ok((0, table.compact(false))))
}

/// Merges indexes of one checkpoint, the same settings and the same codec into a new one at `out`: the passages of the
/// first, then those of the second, and so on.
///
/// # Errors
/// When they differ, two have a passage of the same id, or something is at `out`.
pub fn merge(
    indexes: &[PathBuf],
    out: &Path,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let begun = Instant::now();
    if indexes.len() < 2 {
        return Err(ChangeError::OneIndex);
    }
    if fs::symlink_metadata(out).is_ok() {
        return Err(ChangeError::OutThere(out.to_owned()));
    }
    let mut there = BTreeSet::new();
    let (mut all, mut sources) = (Vec::new(), Vec::new());
    for path in indexes {
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !there.insert(place) {
            return Err(ChangeError::Twice(path.clone()));
        }
        let (opened, rows) = Opened::shared(path)?;
        all.push(opened);
        sources.push(rows);
    }
    let (first, others) = all.split_first().ok_or(ChangeError::OneIndex)?;
    let mut table = first.table.clone();
    for other in others {
        if let Some(what) = first.difference(other) {
            return Err(ChangeError::NotAlike {
                a: first.path.clone(),
                b: other.path.clone(),
                what,
            });
        }
        let appended = table.append(&other.table, Known::Refused);
        appended.map_err(|source| ChangeError::MergedIds {
            path: other.path.clone(),
            source,
        })?;
    }
    let (mut runs, mut from) = (Vec::new(), 0);
    for (number, rows) in sources.iter().enumerate() {
        runs.extend(Opened::runs(rows, number, &table, from, false));
        from += rows.passages();
    }
    let staging = staged(out)?.not_kept();
    let mut report = ChangeReport {
        added: table.len() - first.table.len(),
        ..ChangeReport::of(&table)
    };
    let stages = StageCounter::new(progress, begun);
    let change = Change {
        opened: first,
        sources: &sources,
        runs,
        table: &table,
    };
    let written = change.write(&staging, stages, begun, 1);
    report.embeddings = finished(staging, written, |staging| Ok(staging.publish(INDEX)?))?;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Puts an index of the same passages under another table in the place of the one at `index`. `change` says how many
/// passages it deleted and how many it dropped.
fn rewritten(
    index: &Path,
    progress: &dyn Progress,
    change: impl FnOnce(&mut PassageTable) -> Result<(usize, usize), ChangeError>,
) -> Result<ChangeReport, ChangeError> {
    let begun = Instant::now();
    let (opened, rows) = Opened::alone(index)?;
    let mut table = opened.table.clone();
    let (removed, dropped) = change(&mut table)?;
    if table.deleted().count() == table.len() {
        return Err(ChangeError::NothingLeft);
    }
    let runs = match dropped {
        0 => Opened::runs(&rows, 0, &table, 0, false),
        // The numbers are those before.
        _ => Opened::runs(&rows, 0, &opened.table, 0, true),
    };
    let staging = staged(index)?.not_kept();
    let mut report = ChangeReport {
        removed,
        dropped,
        ..ChangeReport::of(&table)
    };
    let stages = StageCounter::new(progress, begun);
    let change = Change {
        opened: &opened,
        sources: &[rows],
        runs,
        table: &table,
    };
    let written = change.write(&staging, stages, begun, 1);
    report.embeddings = finished(staging, written, |staging| replace(staging, index))?;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

impl ChangeReport {
    fn of(table: &PassageTable) -> ChangeReport {
        let deleted = table.deleted().count();
        ChangeReport {
            passages: table.len() - deleted,
            deleted,
            embeddings: 0,
            added: 0,
            removed: 0,
            dropped: 0,
            drift: None,
            notices: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// The engine over the passages that are added, with the codec of the index.
fn engine(opened: &Opened, adding: &Adding) -> Result<Native, ChangeError> {
    if is_of_embeddings(&opened.manifest) {
        return Err(ChangeError::OfEmbeddings);
    }
    let logged = opened.log.as_ref().map(|log| log.origin.checkpoint.clone());
    let named = adding.checkpoint.clone().or(logged);
    let named = named.filter(|name| !name.is_empty());
    let named = named.ok_or(ChangeError::NoCheckpoint)?;
    let checkpoint = checkpoint::load(&named, &adding.hub).map_err(ChangeError::Checkpoint)?;
    if opened.checkpoint() != Some(&checkpoint.hash()) {
        return Err(ChangeError::OtherCheckpoint(named));
    }
    let recorded = recorded_options(&opened.manifest)?;
    if !recorded.numerics.is_batch_invariant() {
        return Err(ChangeError::BatchVariant);
    }
    let options = NativeOptions {
        batch: adding.compute.batch,
        compute: adding.compute.compute,
        ..recorded
    };
    let settings = IndexSettings {
        nbits: Some(opened.config.nbits),
        doc_maxlen: Some(opened.config.doc_maxlen),
        kmeans_niters: Some(opened.config.kmeans_niters),
        seed: opened.seed,
        swaps: codec(opened)?,
    };
    let collection = Arc::clone(&adding.collection);
    Ok(Native::new(
        Arc::new(checkpoint),
        collection,
        options,
        settings,
    )?)
}

/// The embeddings that are added, with the codec of the index.
fn given(
    opened: &Opened,
    passages: GivenPassages,
    compute: Compute,
    progress: &dyn Progress,
) -> Result<GivenIndex, ChangeError> {
    if !is_of_embeddings(&opened.manifest) {
        return Err(ChangeError::OfTexts);
    }
    let (found, index) = (passages.width(), opened.config.dim);
    if found != index {
        return Err(ChangeError::Width { found, index });
    }
    let settings = GivenSettings {
        nbits: Some(opened.config.nbits),
        kmeans_niters: Some(opened.config.kmeans_niters),
        seed: opened.seed,
    };
    Ok(GivenIndex::new(passages, settings, compute, progress)?.with_codec(codec(opened)?)?)
}

/// The artifacts of an index's codec.
fn codec(opened: &Opened) -> Result<Vec<Swap>, SwapError> {
    let names = [CENTROIDS, BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL];
    names
        .iter()
        .map(|name| Swap::of(name, &opened.path))
        .collect()
}

/// Computes lengths, codes and residuals of what is added, into a folder of the staging folder.
fn encoded(
    what: &(impl Buildable + Sync),
    staging: &Staging,
    opened: &Opened,
    progress: &StageCounter<'_>,
) -> Result<(PassageRows, Bytes), ChangeError> {
    let finite = FiniteArtifacts::of(what);
    let store = DiskStore::open(&staging.path("store"))?;
    let folder = emptied(staging, "added")?;
    let artifacts = [DOCLENS, CODES, RESIDUALS];
    let evaluated = what.evaluate_only(&artifacts, &store, Some(&finite), progress, |all| {
        write_rows(&folder, all, what.grid())?;
        let mut bytes = Bytes::none();
        for chunk in 0..all.chunks(RESIDUALS)? {
            if let Some(residuals) = all.load(RESIDUALS, chunk)?.field("") {
                bytes.count(residuals)?;
            }
        }
        Ok::<_, ChangeError>(bytes)
    });
    let bytes = match (evaluated, finite.into_found()) {
        (Err(_), Some(found)) => return Err(ChangeError::NotFinite(Box::new(found))),
        (evaluated, _) => evaluated?,
    };
    let files = Arc::new(IndexFiles::open(&folder)?);
    let chunks = what.grid().index_chunks().len();
    Ok((PassageRows::of(files, chunks, opened.width())?, bytes))
}
