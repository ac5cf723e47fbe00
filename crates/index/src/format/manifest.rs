//! `concord.json`: what an index was made from, what was computed on the way, and what its files are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use concord_pipeline::publish::{PublishError, write_json};
use concord_pipeline::{ArtifactRecord, MANIFEST_VERSION, ManifestHead};
use concord_tensor::{BitHash, ByteHasher};
use serde::{Deserialize, Serialize};

/// The name of the manifest.
pub const INDEX_MANIFEST: &str = "concord.json";

/// What is written about an index. It holds nothing that changes from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexManifest {
    /// Always `index`.
    pub concord: String,
    pub version: u32,
    /// The version of the numeric contract.
    pub contract: u32,
    /// The hash of each input, by name: `checkpoint`, `collection`.
    pub inputs: BTreeMap<String, BitHash>,
    /// The options that the index depends on, by name.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Every artifact, in the order of the graph; also those that are not kept.
    pub artifacts: Vec<ArtifactRecord>,
    /// Every other file of the index, by name.
    pub files: Vec<FileRecord>,
}

/// A file of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub name: String,
    pub bytes: u64,
    /// The SHA-256 hash of its bytes.
    pub hash: BitHash,
}

impl FileRecord {
    /// The record of the file as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(folder: &Path, name: &str) -> io::Result<FileRecord> {
        let mut file = File::open(folder.join(name))?;
        let mut hasher = ByteHasher::new();
        let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
        Ok(FileRecord {
            name: name.to_owned(),
            bytes,
            hash: hasher.finish(),
        })
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is not what a manifest looks like.
    #[error("{path} is damaged: {source}", path = path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// It is of another kind or version.
    #[error(
        "{path} is a manifest of {found}, version {version}; this program reads those of an index, \
         version {MANIFEST_VERSION}: build the index again, or use the version of Concord that built it",
        path = path.display()
    )]
    Version {
        path: PathBuf,
        /// The kind it says it is.
        found: String,
        /// The version it says it has.
        version: u32,
    },
}

impl IndexManifest {
    /// The manifest of the index in `folder`; `None` where there is none, as in an index that the
    /// reference built.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Option<IndexManifest>, ManifestError> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let path = folder.join(INDEX_MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if [NotFound, NotADirectory].contains(&error.kind()) => return Ok(None),
            Err(source) => return Err(ManifestError::Unreadable { path, source }),
        };
        let malformed = |source| ManifestError::Malformed {
            path: path.clone(),
            source,
        };
        let head: ManifestHead = serde_json::from_slice(&text).map_err(malformed)?;
        if !head.is_of("index") {
            let (found, version) = (head.concord, head.version);
            return Err(ManifestError::Version {
                path,
                found,
                version,
            });
        }
        Ok(Some(serde_json::from_slice(&text).map_err(malformed)?))
    }

    /// Writes the manifest into `folder`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), PublishError> {
        write_json(&folder.join(INDEX_MANIFEST), self)
    }

    /// The record of an artifact.
    pub fn artifact(&self, name: &str) -> Option<&ArtifactRecord> {
        self.artifacts.iter().find(|artifact| artifact.name == name)
    }
}
