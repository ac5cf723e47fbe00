//! A run read back.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use concord_tensor::{BitHash, FileError, FileProblem, HashRule, open_regular, read_regular};

use crate::manifest::{ArtifactRecord, ManifestHead};
use crate::observe::ArtifactEvent;
use crate::run::error::{RunError, unreadable};
use crate::run::events::{each_event, gather};
use crate::run::record::{Event, RunManifest, TapRecord};
use crate::run::seal::{EVENTS, MANIFEST, SEAL, Seal};
use crate::store::blob_path;
use crate::store_error::StoreError;
use crate::stored_tensor::StoredTensor;

pub struct RecordedRun {
    folder: PathBuf,
    manifest: RunManifest,
    seal: Option<Seal>,
    artifacts: Vec<ArtifactRecord>,
    taps: Vec<TapRecord>,
}

impl RecordedRun {
    /// Whether `folder` looks like a recorded run.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(MANIFEST).exists() && folder.join(EVENTS).exists()
    }

    /// Whether the run in `folder` has the hashes of its files; see [`is_sealed`](RecordedRun::is_sealed).
    pub fn has_seal(folder: &Path) -> bool {
        folder.join(SEAL).exists()
    }

    /// Opens the run in `folder`. Values stay on disk.
    ///
    /// # Errors
    /// When it cannot be read, is not as it was written, or is not a run of the
    /// [version](crate::manifest::MANIFEST_VERSION) this program reads.
    pub fn open(folder: &Path) -> Result<RecordedRun, RunError> {
        let seal = Seal::read(folder)?;
        let mut run = RecordedRun {
            manifest: read_manifest(&folder.join(MANIFEST), seal)?,
            folder: folder.to_owned(),
            seal,
            artifacts: Vec::new(),
            taps: Vec::new(),
        };
        let (mut chunks, mut taps) = (Vec::<ArtifactEvent>::new(), Vec::new());
        run.each_event(|event| {
            match event {
                Event::Artifact(event) => chunks.push(event),
                Event::Tap(tap) => taps.push(tap),
            }
            Ok(())
        })?;
        let modules: HashSet<&str> = taps
            .iter()
            .map(|tap: &TapRecord| tap.tap.as_str())
            .collect();
        if modules.len() > MAX_MODULES {
            return Err(RunError::Damaged {
                path: folder.join(EVENTS),
                what: format!("it has taps at more than {MAX_MODULES} modules, which no model has"),
            });
        }
        run.artifacts = gather(&folder.join(EVENTS), chunks)?;
        run.taps = taps;
        Ok(run)
    }

    /// Reads the events, one after the other. What was taken counts if there is no error in the end.
    pub(crate) fn each_event(
        &self,
        take: impl FnMut(Event) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let path = self.folder.join(EVENTS);
        let file = open_regular(&path).map_err(unreadable(&path))?;
        let found = each_event(&path, file, take)?;
        check(&path, found, self.seal.map(|seal| seal.events))
    }

    /// Whether it has the hashes of its files, so that damage to any of them is found. A run that was recorded
    /// before there were such hashes has none: only its values are checked.
    pub fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// The artifacts, in the order of the graph.
    pub fn artifacts(&self) -> &[ArtifactRecord] {
        &self.artifacts
    }

    /// The taps, in the order of computation.
    pub fn taps(&self) -> &[TapRecord] {
        &self.taps
    }

    /// Whether the hashes of its taps are by one rule, and by the same as the other's, so that they can be compared.
    pub fn hashes_taps_like(&self, other: &RecordedRun) -> bool {
        let rules = |run: &'_ RecordedRun| -> BTreeSet<HashRule> {
            let rows = run.taps().iter().flat_map(|tap| &tap.passages);
            rows.map(|rows| rows.hash.rule()).collect()
        };
        let (own, others) = (rules(self), rules(other));
        own.union(&others).count() <= 1
    }

    /// The tensor with that hash, or `None` if the run did not keep it.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub fn tensor(&self, hash: BitHash) -> Result<Option<StoredTensor>, StoreError> {
        let path = blob_path(&self.folder.join("blobs"), hash);
        match StoredTensor::open(&path, hash) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// More modules than a model has.
const MAX_MODULES: usize = 10_000;

/// The largest manifest that is read, in bytes. They have some thousand.
const MAX_MANIFEST: u64 = 4 << 20;

fn is_not_found(error: &FileError) -> bool {
    matches!(&error.problem, FileProblem::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn read_manifest(path: &Path, seal: Option<Seal>) -> Result<RunManifest, RunError> {
    let text = read_regular(path, MAX_MANIFEST).map_err(unreadable(path))?;
    let whole = check(
        path,
        BitHash::of_bytes(&text),
        seal.map(|seal| seal.manifest),
    );
    let malformed = |source: serde_json::Error| RunError::Malformed {
        path: path.to_owned(),
        line: source.line(),
        source,
    };
    let head = serde_json::from_slice::<ManifestHead>(&text);
    match head {
        // The rest of another version would look like damage.
        Ok(head) if !head.is_of("run") => Err(RunError::NotARun {
            path: path.to_owned(),
            found: head.concord,
            version: head.version,
        }),
        Ok(_) => whole.and_then(|()| serde_json::from_slice(&text).map_err(malformed)),
        Err(error) => Err(whole.err().unwrap_or_else(|| malformed(error))),
    }
}

/// Compares the hash of a file with the one that the seal has of it.
fn check(path: &Path, found: BitHash, sealed: Option<BitHash>) -> Result<(), RunError> {
    if sealed.is_none_or(|sealed| sealed == found) {
        return Ok(());
    }
    Err(RunError::Damaged {
        path: path.to_owned(),
        what: format!("its hash is not the one in {SEAL}"),
    })
}
