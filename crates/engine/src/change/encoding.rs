//! Passages on their way into an index that is there: encoded, and compressed by its codec.

use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_index::format::{IndexFiles, PassageRows, write_rows};
use concord_kernels::compute::Compute;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_pipeline::artifact::{CODES, DOCLENS, RESIDUALS};
use concord_pipeline::{DiskStore, Progress};

use super::drift::Bytes;
use super::error::ChangeError;
use super::opened::Opened;
use crate::buildable::Buildable;
use crate::checkpoint;
use crate::embeddings::{GivenIndex, GivenPassages, GivenSettings};
use crate::finite::FiniteArtifacts;
use crate::native::Native;
use crate::options::NativeOptions;
use crate::recorded::{CODEC, is_of_embeddings, recorded_options};
use crate::settings::IndexSettings;
use crate::swap::{Swap, SwapError};

/// Texts, and how they are encoded.
pub struct Adding {
    pub collection: Arc<Collection>,
    /// The checkpoint; the one that the index names if unset.
    pub checkpoint: Option<String>,
    pub hub: HubOptions,
    /// With which batch size, threads and instruction set; the bits do not depend on them.
    pub compute: NativeOptions,
}

/// The codec by which passages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// That of the index.
    Kept,
    /// One that is trained on them.
    Trained,
}

/// A checkpoint under the name by which it was found.
pub(super) struct NamedCheckpoint {
    pub(super) name: String,
    pub(super) checkpoint: Arc<Checkpoint>,
}

impl NamedCheckpoint {
    /// The checkpoint that is asked for, or that the index names.
    pub(super) fn of(opened: &Opened, adding: &Adding) -> Result<NamedCheckpoint, ChangeError> {
        if is_of_embeddings(&opened.manifest) {
            return Err(ChangeError::OfEmbeddings);
        }
        let logged = opened.log.as_ref().map(|log| log.origin.checkpoint.clone());
        let name = adding.checkpoint.clone().or(logged);
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or(ChangeError::NoCheckpoint)?;
        let checkpoint = checkpoint::load(&name, &adding.hub).map_err(ChangeError::Checkpoint)?;
        Ok(NamedCheckpoint {
            name,
            checkpoint: Arc::new(checkpoint),
        })
    }
}

/// The engine over texts with the settings of the index. Of `compute`, batch size, threads and instruction set count.
pub(super) fn engine(
    opened: &Opened,
    named: &NamedCheckpoint,
    collection: Arc<Collection>,
    compute: &NativeOptions,
    which: Codec,
) -> Result<Native, ChangeError> {
    if is_of_embeddings(&opened.manifest) {
        return Err(ChangeError::OfEmbeddings);
    }
    if opened.checkpoint() != Some(&named.checkpoint.hash()) {
        return Err(ChangeError::OtherCheckpoint(named.name.clone()));
    }
    let recorded = recorded_options(&opened.manifest)?;
    let swaps = match which {
        // What is encoded apart from its neighbours would come out otherwise.
        Codec::Kept if !recorded.numerics.is_batch_invariant() => {
            return Err(ChangeError::BatchVariant);
        }
        Codec::Kept => codec(opened)?,
        Codec::Trained => Vec::new(),
    };
    let options = NativeOptions {
        batch: match recorded.numerics.is_batch_invariant() {
            true => compute.batch,
            false => recorded.batch,
        },
        compute: compute.compute,
        ..recorded
    };
    let settings = IndexSettings {
        nbits: Some(opened.config.nbits),
        doc_maxlen: Some(opened.config.doc_maxlen),
        kmeans_niters: Some(opened.config.kmeans_niters),
        partitions: opened.partitions,
        seed: opened.seed,
        swaps,
    };
    let checkpoint = Arc::clone(&named.checkpoint);
    Ok(Native::new(checkpoint, collection, options, settings)?)
}

/// Given embeddings with the settings of the index.
pub(super) fn given(
    opened: &Opened,
    passages: GivenPassages,
    compute: Compute,
    which: Codec,
    progress: &dyn Progress,
) -> Result<GivenIndex, ChangeError> {
    check_fits(opened, passages.width())?;
    let settings = GivenSettings {
        nbits: Some(opened.config.nbits),
        kmeans_niters: Some(opened.config.kmeans_niters),
        partitions: opened.partitions,
        seed: opened.seed,
    };
    let given = GivenIndex::new(passages, settings, compute, progress)?;
    match which {
        Codec::Kept => Ok(given.with_codec(codec(opened)?)?),
        Codec::Trained => Ok(given),
    }
}

/// Refuses embeddings for an index of texts, and those of another width.
///
/// # Errors
/// [`ChangeError::OfTexts`], [`ChangeError::Width`].
pub(super) fn check_fits(opened: &Opened, found: usize) -> Result<(), ChangeError> {
    if !is_of_embeddings(&opened.manifest) {
        return Err(ChangeError::OfTexts);
    }
    let index = opened.config.dim;
    match found == index {
        true => Ok(()),
        false => Err(ChangeError::Width { found, index }),
    }
}

/// The artifacts of an index's codec.
fn codec(opened: &Opened) -> Result<Vec<Swap>, SwapError> {
    CODEC
        .iter()
        .map(|name| Swap::of(name, &opened.path))
        .collect()
}

/// Computes lengths, codes and residuals of passages with the codec that they are given, into the empty folder
/// `folder`. What is computed is remembered in `store`.
pub(super) fn encoded(
    what: &(impl Buildable + Sync),
    store: &Path,
    folder: &Path,
    width: usize,
    progress: &dyn Progress,
) -> Result<(PassageRows, Bytes), ChangeError> {
    let finite = FiniteArtifacts::of(what);
    let store = DiskStore::open(store)?;
    let artifacts = [DOCLENS, CODES, RESIDUALS];
    let evaluated = what.evaluate_only(&artifacts, &store, Some(&finite), progress, |all| {
        write_rows(folder, all, what.grid())?;
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
    let files = Arc::new(IndexFiles::open(folder)?);
    let chunks = what.grid().index_chunks().len();
    Ok((PassageRows::of(files, chunks, width)?, bytes))
}
