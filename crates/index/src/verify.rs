//! Checking an index against its manifest.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use concord_pipeline::artifact::{AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS};

use crate::format::{
    INDEX_MANIFEST, IndexError, IndexFiles, IndexManifest, IndexTensors, ManifestError,
    belongs_to_an_index, first_not_finite, settled,
};

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

/// The artifacts whose values everything in an index is computed with.
const FINITE: [&str; 4] = [CENTROIDS, BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL];

/// What came of checking an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The manifest that was checked against; `None` where it is damaged itself.
    pub manifest: Option<IndexManifest>,
    /// Whether the manifest has a hash of its own, so that an altered byte of it is found as well. Those of indexes
    /// built before there was one have none.
    pub manifest_has_hash: bool,
    /// Empty if all is as it was written.
    pub findings: Vec<Finding>,
}

/// Checks every byte of the index in `folder` against its manifest, and the manifest against its own hash: an empty
/// list means that all is as it was written.
///
/// # Errors
/// When there is no manifest to check against, or it is of another version.
pub fn verify(folder: &Path) -> Result<Vec<Finding>, VerifyError> {
    check(folder).map(|checked| checked.findings)
}

/// [`verify`], and what was checked against.
///
/// # Errors
/// As [`verify`].
pub fn check(folder: &Path) -> Result<Checked, VerifyError> {
    let well = |checked: &Result<Checked, VerifyError>| {
        let findings = checked.as_ref().map(|checked| checked.findings.len());
        findings.is_ok_and(|findings| findings == 0)
    };
    settled(folder, well, || check_once(folder))
}

fn check_once(folder: &Path) -> Result<Checked, VerifyError> {
    let damaged = |problem: Finding| {
        Ok(Checked {
            manifest: None,
            manifest_has_hash: false,
            findings: vec![problem],
        })
    };
    let file = INDEX_MANIFEST.to_owned();
    match IndexFiles::open(folder) {
        Ok(files) => check_files(files),
        Err(IndexError::Manifest(ManifestError::Altered(_))) => damaged(Finding::Altered { file }),
        Err(IndexError::Manifest(ManifestError::Malformed { source, .. })) => {
            let error = source.to_string();
            damaged(Finding::Unreadable { file, error })
        }
        Err(IndexError::Manifest(error)) => Err(error.into()),
        Err(IndexError::Unreadable { path, source }) => {
            Err(VerifyError::Unreadable { path, source })
        }
        Err(_) => Err(VerifyError::NoManifest(folder.to_owned())),
    }
}

/// [`check`] of an index whose files are open.
///
/// # Errors
/// When there is no manifest to check against, or the folder cannot be listed.
fn check_files(files: IndexFiles) -> Result<Checked, VerifyError> {
    let Some(manifest) = files.manifest().cloned() else {
        return Err(VerifyError::NoManifest(files.path().to_owned()));
    };
    let mut findings: Vec<Finding> = manifest
        .files
        .iter()
        .filter_map(|record| Finding::of(files.folder(), record))
        .collect();
    let unknown = unknown(&files, &manifest)?;
    findings.extend(unknown.into_iter().map(|file| Finding::Unknown { file }));
    let manifest_has_hash = files.manifest_has_hash();
    if findings.is_empty() {
        findings.extend(not_finite(files));
    }
    Ok(Checked {
        manifest: Some(manifest),
        manifest_has_hash,
        findings,
    })
}

/// Why the manifest of an index must not be believed: the first file that is not as it says, or that should not be
/// there; that it is missing where the log says that Concord built the index. `None` where nothing is wrong, and where
/// somebody else built it. Files that are no index's may lie beside.
///
/// # Errors
/// When the folder cannot be listed.
pub fn damage(files: &IndexFiles) -> Result<Option<Finding>, VerifyError> {
    let Some(manifest) = files.manifest() else {
        let names = files.folder().names().map_err(unlisted(files))?;
        let is_ours = names.iter().any(|name| name == LOG);
        let file = INDEX_MANIFEST.to_owned();
        return Ok(is_ours.then_some(Finding::Missing { file }));
    };
    if let Some(finding) = files.first_finding() {
        return Ok(Some(finding));
    }
    let unknown = unknown(files, manifest)?;
    let file = unknown.into_iter().find(|name| belongs_to_an_index(name));
    Ok(file.map(|file| Finding::Unknown { file }))
}

/// An index to be compared: what its files hold, also where they are not as its manifest says.
pub struct AsItIs {
    pub tensors: IndexTensors,
    /// Why the manifest is not believed, and not asked; `None` where there is no reason.
    pub damage: Option<Finding>,
    /// Whether there is a manifest, believed or not.
    pub has_manifest: bool,
}

/// Opens the index in `folder` for comparison.
///
/// # Errors
/// When its files do not fit together, or it cannot be read.
pub fn open_as_it_is<E: From<IndexError> + From<VerifyError>>(folder: &Path) -> Result<AsItIs, E> {
    IndexFiles::read(folder, |files| {
        let (has_manifest, damage) = (files.manifest().is_some(), damage(&files)?);
        let files = match damage {
            Some(_) => files.without_manifest(),
            None => files,
        };
        Ok(AsItIs {
            tensors: IndexTensors::of(files)?,
            damage,
            has_manifest,
        })
    })
}

fn unlisted(files: &IndexFiles) -> impl FnOnce(io::Error) -> VerifyError {
    let path = files.path().to_owned();
    |source| VerifyError::Unreadable { path, source }
}

/// The names in the folder that the manifest does not know.
fn unknown(files: &IndexFiles, manifest: &IndexManifest) -> Result<Vec<String>, VerifyError> {
    let known: BTreeSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .chain([INDEX_MANIFEST, LOG])
        .collect();
    let names = files.folder().names().map_err(unlisted(files))?;
    let names = names.iter().map(|name| name.to_string_lossy().into_owned());
    Ok(names
        .filter(|name| !known.contains(name.as_str()))
        .collect())
}

/// What was written as a number and is none, or cannot be read though its bytes are those that were written.
fn not_finite(files: IndexFiles) -> Vec<Finding> {
    let unreadable = |file: &str, error: String| Finding::Unreadable {
        file: file.to_owned(),
        error,
    };
    let tensors = match IndexTensors::of(files) {
        Ok(tensors) => tensors,
        Err(error) => return vec![unreadable("metadata.json", error.to_string())],
    };
    let mut findings = Vec::new();
    for name in FINITE {
        let sources = match tensors.artifact(name) {
            Ok(sources) => sources.unwrap_or_default(),
            Err(error) => {
                findings.push(unreadable(name, error.to_string()));
                continue;
            }
        };
        for source in sources {
            let file = source.path().file_name().unwrap_or_default();
            let file = file.to_string_lossy().into_owned();
            match first_not_finite(&source) {
                Ok(None) => {}
                Ok(Some(found)) => findings.push(Finding::NotFinite {
                    file,
                    tensor: name.to_owned(),
                    value: found.value.to_string(),
                    at: found.at,
                }),
                Err(error) => findings.push(unreadable(&file, error.to_string())),
            }
        }
    }
    findings
}
