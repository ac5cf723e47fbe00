//! A codec that is trained anew, for the passages that an index has by now.
//!
//! What comes of it is the index that is built of these passages, in this order and under these ids, by the settings
//! that the index has: the same bytes in every file but the log. Nothing of deleted passages is left, not even their
//! ids.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use concord_index::passages::PassageTable;
use concord_kernels::compute::Compute;
use concord_pipeline::Progress;

use super::encoding::{Adding, Codec, NamedCheckpoint, engine, given};
use super::error::ChangeError;
use super::opened::Opened;
use super::report::ChangeReport;
use super::sources::{embeddings_of, texts_of};
use crate::build::{Layout, Output, build_of};
use crate::buildable::Buildable;
use crate::checkpoint;
use crate::embeddings::GivenPassages;
use crate::origin::Origin;

/// Drops the deleted passages for good and trains the codec anew, as if an index of the others were built. Their texts
/// are among those of `texts`, whatever else there is, under whatever ids and in whatever order.
///
/// # Errors
/// When a text is missing, the checkpoint is another, or anything cannot be computed or written. The index is then as it
/// was.
pub fn retrain(
    index: &Path,
    texts: &Adding,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let begun = Instant::now();
    let (opened, _) = Opened::alone(index)?;
    let named = NamedCheckpoint::of(&opened, texts)?;
    let compacted = Compacted::of(&opened);
    let collection = Arc::new(texts_of(&compacted.table, &texts.collection)?);
    let native = engine(&opened, &named, collection, &texts.compute, Codec::Trained)?;
    let origin = Origin {
        checkpoint: checkpoint::location(&named.name),
        collection: String::new(),
    };
    retrained(&opened, compacted, &native, &origin, begun, progress)
}

/// [`retrain`] of an index of given embeddings, which are looked up by their ids. That these have as many embeddings as
/// in the index is checked; that they are the same is the caller's to know.
///
/// # Errors
/// As [`retrain`], and when the index is one of texts, or the embeddings have another width.
pub fn retrain_embeddings(
    index: &Path,
    passages: GivenPassages,
    compute: Compute,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let begun = Instant::now();
    let (opened, rows) = Opened::alone(index)?;
    let compacted = Compacted::of(&opened);
    let own_ids = compacted.table.own_ids();
    let passages = embeddings_of(&opened.table, &rows, passages, own_ids)?;
    drop(rows);
    let given = given(&opened, passages, compute, Codec::Trained, progress)?;
    let origin = Origin::default();
    retrained(&opened, compacted, &given, &origin, begun, progress)
}

/// What is left of the passages of an index.
struct Compacted {
    table: PassageTable,
    dropped: usize,
}

impl Compacted {
    fn of(opened: &Opened) -> Compacted {
        let mut table = opened.table.clone();
        let dropped = table.compact(true);
        Compacted { table, dropped }
    }
}

fn retrained(
    opened: &Opened,
    Compacted { table, dropped }: Compacted,
    what: &(impl Buildable + Sync),
    origin: &Origin,
    begun: Instant,
    progress: &dyn Progress,
) -> Result<ChangeReport, ChangeError> {
    let layout = Layout {
        pad_ivf: opened.pad_ivf,
        absolute_paths: opened.absolute_paths(),
    };
    let output = Output {
        path: &opened.path,
        replace: true,
    };
    let built = build_of(what, &table, layout, origin, output, progress)?;
    Ok(ChangeReport {
        dropped,
        retrained: true,
        embeddings: built.size().embeddings,
        notices: built.notices,
        seconds: begun.elapsed().as_secs_f64(),
        ..ChangeReport::of(&table)
    })
}
