//! Verifying indexes.

use std::path::Path;

use concord_corpus::Collection;
use concord_engine::options::NativeOptions;
use concord_engine::rebuild;
use concord_index::format::IndexManifest;
#[doc(inline)]
pub use concord_index::verify::Finding;
use concord_index::verify::{self, VerifyError};
use concord_pipeline::NoProgress;

use crate::checkpoint::Checkpoint;
use crate::error::Error;

/// What came of checking the bytes of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many files the index recorded.
    pub files: usize,
    /// Whether the record itself, `concord.json`, ends with its own hash and has it. Where this is false and nothing
    /// is wrong, the index was built by a version that wrote no such hash: whether the record was altered is not
    /// known.
    pub manifest_has_hash: bool,
    /// What is wrong; empty if every byte is as it was written.
    pub findings: Vec<Finding>,
}

/// What came of computing an index again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many artifacts were compared: those on disk, and those on the way to them.
    pub compared: usize,
    /// The names of those that came out otherwise, in the order of the build.
    pub differing: Vec<String>,
}

/// Checks every byte of an index against what was recorded when it was built, and the record against its own hash.
///
/// # Errors
/// [`Error::Verify`] when Concord did not build it, so that nothing was recorded, or what was recorded is of another
/// version. A damaged record is a finding.
pub fn verify(index: impl AsRef<Path>) -> Result<Verified, Error> {
    let checked = verify::check(index.as_ref())?;
    Ok(Verified {
        files: checked.manifest.map_or(0, |manifest| manifest.files.len()),
        manifest_has_hash: checked.manifest_has_hash,
        findings: checked.findings,
    })
}

/// Computes everything again that an index was built from, and compares every artifact's hash with the one
/// recorded. It says nothing of the files; [`verify()`] does.
///
/// # Errors
/// [`Error::Manifest`] when what was recorded is damaged; [`Error::Verify`] when nothing was; [`Error::Collection`];
/// [`Error::Rebuild`] when the collection or the checkpoint is not what the index was built from, or it was built
/// under another numeric contract.
pub fn rebuild(
    index: impl AsRef<Path>,
    collection: impl AsRef<Path>,
    checkpoint: &Checkpoint,
) -> Result<Rebuilt, Error> {
    let manifest = manifest(index.as_ref())?;
    let collection = Collection::open(collection.as_ref())?;
    let report = rebuild::rebuild(
        &manifest,
        checkpoint.loaded().clone(),
        collection,
        NativeOptions::default(),
        &NoProgress,
    )?;
    Ok(Rebuilt {
        compared: report.compared,
        differing: report.differing,
    })
}

fn manifest(index: &Path) -> Result<IndexManifest, Error> {
    let found = IndexManifest::read(index)?;
    Ok(found.ok_or_else(|| VerifyError::NoManifest(index.to_owned()))?)
}
