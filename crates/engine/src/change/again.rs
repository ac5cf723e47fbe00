//! Building an index again that was changed, under the codec that it has.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_index::format::{Assembly, PassageRows, Run};
use concord_kernels::compute::Compute;
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::{Progress, Scratch};

use super::encoding::{Codec, NamedCheckpoint, encoded, engine, given};
use super::error::ChangeError;
use super::opened::Opened;
use super::sources::{embeddings_of, texts_of};
use crate::buildable::Buildable;
use crate::embeddings::GivenPassages;
use crate::options::NativeOptions;
use crate::rebuild::RebuildReport;
use crate::recorded::CODEC;

/// Encodes and compresses again what an index is made of, under the codec that it has, puts the deleted passages where
/// they are, and compares the hash of everything that follows from it. The codec itself is taken as it is: from which
/// passages it was trained is not recorded. The texts are among those of `collection`, under whatever ids.
///
/// It is for indexes that were changed, and for those that were built with a codec that was given.
///
/// # Errors
/// When a text is missing, the checkpoint, called `name`, is another, or something cannot be computed.
pub fn rebuild_changed(
    index: &Path,
    collection: &Collection,
    (name, checkpoint): (&str, Arc<Checkpoint>),
    compute: &NativeOptions,
    progress: &dyn Progress,
) -> Result<RebuildReport, ChangeError> {
    let (opened, _) = Opened::shared(index)?;
    let named = NamedCheckpoint {
        name: name.to_owned(),
        checkpoint,
    };
    let collection = Arc::new(texts_of(&opened.table, collection)?);
    let native = engine(&opened, &named, collection, compute, Codec::Kept)?;
    again(&opened, &native, progress)
}

/// [`rebuild_changed`] of an index of given embeddings, which are looked up by their ids.
///
/// # Errors
/// As [`rebuild_changed`], and when the index is one of texts, or a passage has another number of embeddings.
pub fn rebuild_changed_embeddings(
    index: &Path,
    passages: GivenPassages,
    compute: Compute,
    progress: &dyn Progress,
) -> Result<RebuildReport, ChangeError> {
    let (opened, rows) = Opened::shared(index)?;
    let own_ids = opened.table.own_ids();
    let passages = embeddings_of(&opened.table, &rows, passages, own_ids)?;
    drop(rows);
    let given = given(&opened, passages, compute, Codec::Kept, progress)?;
    again(&opened, &given, progress)
}

fn again(
    opened: &Opened,
    what: &(impl Buildable + Sync),
    progress: &dyn Progress,
) -> Result<RebuildReport, ChangeError> {
    let scratch = Scratch::new().map_err(ChangeError::Scratch)?;
    let [store, rows, index] = ["store", "rows", "index"].map(|name| scratch.path().join(name));
    for folder in [&rows, &index] {
        fs::create_dir(folder).map_err(ChangeError::Scratch)?;
    }
    let (rows, _) = encoded(what, &store, &rows, opened.width(), progress)?;
    let assembly = Assembly {
        runs: runs(opened),
        sources: &[rows] as &[PassageRows],
        codec: &opened.tensors,
        config: &opened.config,
        seed: opened.seed,
        partitions: opened.partitions,
        pad_ivf: opened.pad_ivf,
    };
    let assembled = assembly.write(&index, progress)?;
    let mut report = RebuildReport {
        compared: 0,
        differing: Vec::new(),
        codec_kept: true,
    };
    for artifact in &assembled.artifacts {
        let recorded = opened.manifest.artifact(&artifact.name);
        if let (Some(recorded), false) = (recorded, CODEC.contains(&artifact.name.as_str())) {
            report.compared += 1;
            if recorded.hash != artifact.hash {
                report.differing.push(artifact.name.clone());
            }
        }
    }
    Ok(report)
}

/// The passages that are not deleted, which the one source has, with the others between them.
fn runs(opened: &Opened) -> Vec<Run> {
    let (mut runs, mut next): (Vec<Run>, usize) = (Vec::new(), 0);
    for passage in opened.table.passages() {
        match (passage.deleted, runs.last_mut()) {
            (true, Some(Run::Empty(passages))) => *passages += 1,
            (true, _) => runs.push(Run::Empty(1)),
            (false, last) => {
                match last {
                    Some(Run::Of { pids, .. }) => pids.end += 1,
                    _ => runs.push(Run::Of {
                        source: 0,
                        pids: next..next + 1,
                    }),
                }
                next += 1;
            }
        }
    }
    runs
}
