//! Checking an index against its manifest.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::format::{FileRecord, INDEX_MANIFEST, IndexManifest, ManifestError};

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Finding {
    /// It is not there.
    Missing {
        /// The file.
        file: String,
    },
    /// It is shorter or longer than it was.
    Size {
        /// The file.
        file: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// It has the right size and other bytes.
    Altered {
        /// The file.
        file: String,
    },
    /// It cannot be read.
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        error: String,
    },
    /// It is there and the manifest does not know it.
    Unknown {
        /// The file.
        file: String,
    },
}

impl Finding {
    /// What is wrong with a file that the manifest knows, if anything is.
    pub fn of(folder: &Path, record: &FileRecord) -> Option<Finding> {
        let file = record.name.clone();
        match FileRecord::of(folder, &record.name) {
            Ok(now) if now == *record => None,
            Ok(now) if now.bytes != record.bytes => Some(Finding::Size {
                file,
                expected: record.bytes,
                found: now.bytes,
            }),
            Ok(_) => Some(Finding::Altered { file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(Finding::Missing { file })
            }
            Err(error) => Some(Finding::Unreadable {
                file,
                error: error.to_string(),
            }),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Missing { file } => write!(f, "{file} is missing"),
            Finding::Size {
                file,
                expected,
                found,
            } => {
                write!(f, "{file} has {found} bytes instead of {expected}")
            }
            Finding::Altered { file } => write!(f, "{file} was altered"),
            Finding::Unreadable { file, error } => write!(f, "{file} cannot be read: {error}"),
            Finding::Unknown { file } => write!(f, "{file} does not belong to the index"),
        }
    }
}

/// Why an index cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no manifest.
    #[error(
        "{path} has no {INDEX_MANIFEST}: it was not built by Concord, so there is nothing to check it \
         against; `concord diff` compares it with another index",
        path = .0.display()
    )]
    NoManifest(PathBuf),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The folder cannot be listed.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
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
