//! Checking an index against its manifest.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::{INDEX_MANIFEST, IndexManifest, ManifestError};

pub use crate::format::Finding;

/// Why an index cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(
        "{path} has no {INDEX_MANIFEST}: it was not built by Concord, so there is nothing to check it \
         against; `concord diff` compares it with another index",
        path = .0.display()
    )]
    NoManifest(PathBuf),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// The name of the log, which is no part of the index and may change.
pub const LOG: &str = "concord.log.json";

/// Checks every byte of the index in `folder` against its manifest: an empty list means that all is as
/// it was written.
///
/// # Errors
/// When there is no manifest to check against.
pub fn verify(folder: &Path) -> Result<Vec<Finding>, VerifyError> {
    let manifest =
        IndexManifest::read(folder)?.ok_or_else(|| VerifyError::NoManifest(folder.to_owned()))?;
    let mut findings: Vec<Finding> = manifest
        .files
        .iter()
        .filter_map(|record| Finding::of(folder, record))
        .collect();
    let known: BTreeSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    let unreadable = |source| VerifyError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut unknown = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry
            .map_err(unreadable)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !known.contains(name.as_str()) && name != INDEX_MANIFEST && name != LOG {
            unknown.push(name);
        }
    }
    unknown.sort();
    findings.extend(unknown.into_iter().map(|file| Finding::Unknown { file }));
    Ok(findings)
}
