//! `concord.json`: what an index was made from, what was computed on the way, and what its files are.
//!
//! Its last field is `hash`, the SHA-256 hash of all bytes before that field. What follows those bytes is fixed but
//! for the digits, so no byte of the file can be another one unnoticed. Manifests that were written before there was
//! such a field have none, and are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use concord_pipeline::publish::{PublishError, write_file, writing};
use concord_pipeline::{ArtifactRecord, MANIFEST_VERSION, ManifestHead};
use concord_tensor::{BitHash, ByteHasher, OpenFolder};
use serde::{Deserialize, Serialize};

/// The name of the manifest.
pub const INDEX_MANIFEST: &str = "concord.json";

/// The bytes that are read of a manifest. It has some 4 kB for each thousand passages.
const MAX_MANIFEST: u64 = 256 << 20;

/// What stands between the hashed bytes and the hash, and behind it.
const BEFORE_HASH: &str = ",\n  \"hash\": \"";
const BEHIND_HASH: &str = "\"\n}\n";

/// What the hashed bytes are followed by where the hash is left out.
const END: &str = "\n}\n";

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
    /// When it cannot be read, is no regular file, or its name leads out of the folder.
    pub fn of(folder: &OpenFolder, name: &str) -> io::Result<FileRecord> {
        FileRecord::of_file(name, &folder.file(name)?)
    }

    /// The record of a file that is open and stands at its beginning.
    pub(super) fn of_file(name: &str, mut file: &File) -> io::Result<FileRecord> {
        let mut hasher = ByteHasher::new();
        let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
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

/// A manifest as its file has it.
#[derive(Clone, Debug)]
pub(super) struct ReadManifest {
    pub(super) manifest: IndexManifest,
    /// Whether it ends with its own hash, which is then right.
    pub(super) has_hash: bool,
}

/// Every field that a manifest's file may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    concord: String,
    version: u32,
    contract: u32,
    inputs: BTreeMap<String, BitHash>,
    options: BTreeMap<String, serde_json::Value>,
    artifacts: Vec<ArtifactRecord>,
    files: Vec<FileRecord>,
    hash: Option<serde_json::Value>,
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
    /// Its bytes do not have the hash that it ends with.
    #[error(
        "{path} was altered: its bytes do not have the hash that stands at its end; build the index again, or \
         restore the file",
        path = .0.display()
    )]
    Altered(PathBuf),
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
    /// When it is there and cannot be read, or is not as it was written.
    pub fn read(folder: &Path) -> Result<Option<IndexManifest>, ManifestError> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let folder = match OpenFolder::open(folder) {
            Ok(folder) => folder,
            Err(error) if [NotFound, NotADirectory].contains(&error.kind()) => return Ok(None),
            Err(source) => {
                let path = folder.to_owned();
                return Err(ManifestError::Unreadable { path, source });
            }
        };
        Ok(IndexManifest::read_from(&folder)?.map(|read| read.manifest))
    }

    /// [`IndexManifest::read`] from a folder that is open.
    pub(super) fn read_from(folder: &OpenFolder) -> Result<Option<ReadManifest>, ManifestError> {
        let path = folder.path().join(INDEX_MANIFEST);
        let text = match folder.read(INDEX_MANIFEST, MAX_MANIFEST) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ManifestError::Unreadable { path, source }),
        };
        let malformed = |source| ManifestError::Malformed {
            path: path.clone(),
            source,
        };
        let has_hash = match ends_with_its_hash(&text) {
            Some(false) => return Err(ManifestError::Altered(path)),
            Some(true) => true,
            None => false,
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
        let stored: Stored = serde_json::from_slice(&text).map_err(malformed)?;
        // There is a hash, but not as one is written.
        if stored.hash.is_some() && !has_hash {
            return Err(ManifestError::Altered(path));
        }
        let manifest = IndexManifest {
            concord: stored.concord,
            version: stored.version,
            contract: stored.contract,
            inputs: stored.inputs,
            options: stored.options,
            artifacts: stored.artifacts,
            files: stored.files,
        };
        Ok(Some(ReadManifest { manifest, has_hash }))
    }

    /// Writes the manifest into `folder`, with its hash.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), PublishError> {
        let path = folder.join(INDEX_MANIFEST);
        let text = serde_json::to_string_pretty(self);
        let mut text = text.map_err(|error| writing(&path)(error.into()))?;
        text.push('\n');
        let hashed = &text[..text.len() - END.len()];
        let hash = BitHash::of_bytes(hashed.as_bytes());
        write_file(&path, |file| {
            write!(file, "{hashed}{BEFORE_HASH}{hash}{BEHIND_HASH}")
        })
    }

    /// The record of an artifact.
    pub fn artifact(&self, name: &str) -> Option<&ArtifactRecord> {
        self.artifacts.iter().find(|artifact| artifact.name == name)
    }
}

/// Whether the bytes of a manifest that ends with a hash have that hash; `None` for one that does not end so.
fn ends_with_its_hash(text: &[u8]) -> Option<bool> {
    let text = text.strip_suffix(BEHIND_HASH.as_bytes())?;
    let digits = BitHash::of_bytes(b"").to_string().len();
    let (text, hash) = text.split_at_checked(text.len().checked_sub(digits)?)?;
    let hashed = text.strip_suffix(BEFORE_HASH.as_bytes())?;
    Some(BitHash::of_bytes(hashed).to_string().as_bytes() == hash)
}
