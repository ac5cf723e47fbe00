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

mod again;
mod drift;
mod encoding;
mod error;
mod lock;
mod opened;
mod report;
mod retrain;
mod sources;
mod staged;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use concord_index::passages::{Known, PassageTable};
use concord_kernels::compute::Compute;
use concord_pipeline::Progress;
use concord_pipeline::artifact::BUCKET_WEIGHTS;

pub use again::{rebuild_changed, rebuild_changed_embeddings};
pub use drift::{Drift, RETRAIN_FROM};
pub use encoding::Adding;
pub use error::ChangeError;
pub use report::ChangeReport;
pub use retrain::{retrain, retrain_embeddings};

use crate::buildable::Buildable;
use crate::embeddings::GivenPassages;
use crate::log::StageCounter;
use crate::passages::table_of;
use crate::recorded::is_of_embeddings;
use encoding::{Codec, NamedCheckpoint, check_fits, encoded, engine, given};
use opened::Opened;
use staged::{Change, INDEX, emptied, finished, replace, staged};

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
    let of_texts = |opened: &Opened| {
        let named = NamedCheckpoint::of(opened, adding)?;
        let collection = Arc::clone(&adding.collection);
        engine(opened, &named, collection, &adding.compute, Codec::Kept)
    };
    let fits = |opened: &Opened| match is_of_embeddings(&opened.manifest) {
        true => Err(ChangeError::OfEmbeddings),
        false => Ok(table_of(&adding.collection)),
    };
    added(index, fits, of_texts, replace, progress)
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
    let table = passages.table();
    let width = passages.width();
    let fits = |opened: &Opened| check_fits(opened, width).map(|()| table);
    let of_embeddings = |opened: &Opened| given(opened, passages, compute, Codec::Kept, progress);
    added(index, fits, of_embeddings, replace, progress)
}

/// Adds what `what` makes. What passages are `incoming` is looked at before, so that ids that are taken are refused before
/// anything is loaded or encoded.
fn added<B: Buildable + Sync>(
    index: &Path,
    incoming: impl FnOnce(&Opened) -> Result<PassageTable, ChangeError>,
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
    let replaced = table.append(&incoming(&opened)?, known)?;
    let what = what(&opened)?;
    let staging = staged(index)?;
    let stages = StageCounter::after_reading(progress, begun, what.reading_took());
    let (store, folder) = (staging.path("store"), emptied(&staging, "added")?);
    let (added, bytes) = encoded(&what, &store, &folder, opened.width(), &stages)?;
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
