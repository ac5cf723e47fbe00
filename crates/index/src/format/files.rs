//! The files of an index, read through one handle of its folder and checked as they are read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use concord_tensor::{BitHash, Container, OpenFolder, read_to_limit};

use super::error::IndexError;
use super::finding::Finding;
use super::manifest::{FileRecord, IndexManifest, ReadManifest};
use super::mapped::MappedFile;
use super::names::PASSAGES_FILE;
use crate::passages::PassageDb;

/// The bytes that are read of a JSON file of settings; real ones have two thousand.
const MAX_SETTINGS: u64 = 1 << 20;

/// The bytes that are read of the lengths of a chunk's passages; 25,000 of them, ColBERT's chunk, have a hundred
/// thousand.
const MAX_DOCLENS: u64 = 16 << 20;

/// How often an index is opened anew when another took its place while it was read.
const MAX_OPENINGS: usize = 16;

/// What `look` makes of the folder at `path`: of the one that is there, or, where that did not come out `well` and
/// another folder was put in its place meanwhile, of that one.
pub(crate) fn settled<T>(path: &Path, well: impl Fn(&T) -> bool, look: impl Fn() -> T) -> T {
    for _ in 1..MAX_OPENINGS {
        let before = OpenFolder::open(path);
        let found = look();
        if well(&found) || !before.is_ok_and(|folder| folder.was_replaced()) {
            return found;
        }
    }
    look()
}

/// What the bytes of a file are for, which decides how many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Settings,
    Doclens,
}

/// The files of an index, whoever built it, opened through one handle of its folder.
///
/// Where the index has a manifest, a file is handed out only when its bytes have the hash recorded there, and it is
/// those bytes that are handed out. Large files are mapped instead, and `check_mapped` has to
/// be asked before what they hold is used: it hashes what was mapped. So whatever happens to the folder or in it while it is read, what is read is the
/// index that the manifest describes, or an error.
#[derive(Debug)]
pub struct IndexFiles {
    folder: OpenFolder,
    manifest: Option<ReadManifest>,
    checked: Mutex<BTreeSet<String>>,
    mapped: Mutex<Vec<Arc<MappedFile>>>,
}

impl IndexFiles {
    /// Opens the folder and reads its manifest, if it has one.
    ///
    /// # Errors
    /// When there is no folder, or the manifest cannot be used.
    pub fn open(path: &Path) -> Result<IndexFiles, IndexError> {
        use io::ErrorKind::{NotADirectory, NotFound};
        let folder = OpenFolder::open(path).map_err(|source| match source.kind() {
            NotFound | NotADirectory => IndexError::NotAnIndex(path.to_owned()),
            _ => IndexError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })?;
        let manifest = IndexManifest::read_from(&folder)?;
        Ok(IndexFiles {
            folder,
            manifest,
            checked: Mutex::default(),
            mapped: Mutex::default(),
        })
    }

    /// What `read` makes of the files of the index in `path`: of the one that is there, or, where another is put in
    /// its place meanwhile and the files of the first are gone, of that one.
    ///
    /// # Errors
    /// Those of [`open`](IndexFiles::open) and of `read`.
    pub fn read<T, E: From<IndexError>>(
        path: &Path,
        read: impl Fn(IndexFiles) -> Result<T, E>,
    ) -> Result<T, E> {
        settled(path, Result::is_ok, || {
            IndexFiles::open(path).map_err(E::from).and_then(&read)
        })
    }

    /// The same files, taken as they are: as if there were no manifest.
    #[must_use]
    pub fn without_manifest(mut self) -> IndexFiles {
        self.manifest = None;
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, for files that are no part of the index.
    pub fn folder(&self) -> &OpenFolder {
        &self.folder
    }

    /// Concord's manifest, where Concord built the index.
    pub fn manifest(&self) -> Option<&IndexManifest> {
        self.manifest.as_ref().map(|read| &read.manifest)
    }

    /// Whether the manifest, if there is one, ends with a hash of its own, so that it is known to be as it was
    /// written.
    pub fn manifest_has_hash(&self) -> bool {
        self.manifest.as_ref().is_some_and(|read| read.has_hash)
    }

    /// Whether the manifest has a file of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.manifest().is_some_and(|manifest| {
            let mut files = manifest.files.iter();
            files.any(|file| file.name == name)
        })
    }

    /// What is wrong with the first file that is not as the manifest says.
    pub fn first_finding(&self) -> Option<Finding> {
        let manifest = self.manifest()?;
        let mut files = manifest.files.iter();
        files.find_map(|record| Finding::of(&self.folder, record))
    }

    /// Checks the files that were neither handed out nor mapped.
    ///
    /// # Errors
    /// [`IndexError::Damaged`].
    pub(super) fn check_rest(&self) -> Result<(), IndexError> {
        let checked = self.checked();
        let files = self.manifest().map(|manifest| &manifest.files[..]);
        let mut rest = files.unwrap_or_default().iter();
        let finding = rest.find_map(|record| match checked.contains(&record.name) {
            true => None,
            false => Finding::of(&self.folder, record),
        });
        finding.map_or(Ok(()), |finding| Err(self.damaged(finding)))
    }

    /// A tensor file that is mapped, and what its tensors are read from. Of its bytes, none was checked: that is what
    /// [`check_mapped`](IndexFiles::check_mapped) does.
    ///
    /// # Errors
    /// When it is missing, cannot be mapped, or has another size than the manifest says.
    pub(super) fn mapped(&self, name: &str) -> Result<(Arc<MappedFile>, Container), IndexError> {
        let record = self.record(name)?;
        let file = self.file(name)?;
        if let Some(record) = record {
            self.check_size(record, &file)?;
        }
        let mapped = MappedFile::of(&file, record.cloned());
        let mapped = Arc::new(mapped.map_err(|source| self.unreadable(name, source))?);
        self.all_mapped().push(Arc::clone(&mapped));
        if let Some(record) = record {
            self.checked().insert(record.name.clone());
        }
        Ok((mapped, Container::of_file(self.at(name), file)?))
    }

    /// Hashes every file that was mapped, in as many threads as there are, and compares it with the manifest.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], of the first in the manifest where there are several.
    pub(super) fn check_mapped(&self) -> Result<(), IndexError> {
        let mut files = self.all_mapped().clone();
        // The largest first, so that no thread is left alone with it.
        files.sort_by_key(|file| std::cmp::Reverse(file.len()));
        let next = AtomicUsize::new(0);
        let findings = Mutex::new(Vec::new());
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some((record, finding)) = file.record.as_ref().zip(file.finding()) {
                    let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
                    findings.push((record.name.clone(), finding));
                }
            }
        };
        // Threads of its own: one of a pool may take up another search meanwhile, which waits for this.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(files.len()) {
                scope.spawn(work);
            }
            work();
        });
        let findings = findings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // The manifest has its files in the order of their names.
        let first = findings.into_iter().min_by(|(a, _), (b, _)| a.cmp(b));
        first.map_or(Ok(()), |(_, finding)| Err(self.damaged(finding)))
    }

    /// How many bytes of mapped files there are to be checked.
    pub(super) fn mapped_bytes(&self) -> u64 {
        let files = self.all_mapped();
        let recorded = files.iter().filter(|file| file.record.is_some());
        recorded.map(|file| file.len()).sum()
    }

    /// What is told of an index that cannot be used: that a file is damaged where that is why.
    pub(super) fn reason(&self, error: IndexError) -> IndexError {
        match error {
            // Of several damaged files, the one that is told should not depend on the order of reading.
            IndexError::Damaged { path, finding } => {
                let finding = self.first_finding().unwrap_or(finding);
                IndexError::Damaged { path, finding }
            }
            error => self.check_mapped().err().unwrap_or(error),
        }
    }

    fn all_mapped(&self) -> MutexGuard<'_, Vec<Arc<MappedFile>>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a file that is read whole.
    ///
    /// # Errors
    /// When it is missing, not as the manifest says, or larger than files of its kind are.
    pub(super) fn bytes(&self, name: &str, purpose: Purpose) -> Result<Vec<u8>, IndexError> {
        let limit = match purpose {
            Purpose::Settings => MAX_SETTINGS,
            Purpose::Doclens => MAX_DOCLENS,
        };
        self.bytes_up_to(name, limit)
    }

    fn bytes_up_to(&self, name: &str, limit: u64) -> Result<Vec<u8>, IndexError> {
        let record = self.record(name)?;
        let file = self.file(name)?;
        if let Some(record) = record {
            self.check_size(record, &file)?;
        }
        let bytes = read_to_limit(&file, limit).map_err(|source| self.unreadable(name, source))?;
        if let Some(record) = record {
            let found = FileRecord {
                name: name.to_owned(),
                bytes: bytes.len() as u64,
                hash: BitHash::of_bytes(&bytes),
            };
            self.check(record, &found)?;
        }
        Ok(bytes)
    }

    /// The table of the passages, of the bytes that the manifest has; `None` where the index has none. Once its file is
    /// mapped, it is that which is read, also where another index has been put in the place of this one.
    ///
    /// # Errors
    /// When it is not as the manifest says, or no such table.
    pub fn passages(&self) -> Result<Option<PassageDb>, IndexError> {
        let record = match self.has(PASSAGES_FILE) {
            true => self.record(PASSAGES_FILE)?,
            false => None,
        };
        let Some(record) = record else {
            return Ok(None);
        };
        let is_it = |file: &&Arc<MappedFile>| file.record.as_ref() == Some(record);
        let mapped = self.all_mapped().iter().find(is_it).cloned();
        let bytes = match mapped {
            Some(mapped) => {
                let bytes = mapped.to_vec();
                let found = FileRecord {
                    name: record.name.clone(),
                    bytes: bytes.len() as u64,
                    hash: BitHash::of_bytes(&bytes),
                };
                self.check(record, &found)?;
                bytes
            }
            None => self.bytes_up_to(PASSAGES_FILE, record.bytes)?,
        };
        Ok(Some(PassageDb::of_bytes(&self.at(PASSAGES_FILE), &bytes)?))
    }

    /// A tensor file, and how many bytes it has. Of an index with a manifest, its bytes are in memory.
    ///
    /// # Errors
    /// When it is missing or not as the manifest says.
    pub(super) fn in_memory(&self, name: &str) -> Result<(Container, u64), IndexError> {
        let Some(record) = self.record(name)? else {
            return self.on_disk(name);
        };
        let bytes = self.bytes_up_to(name, record.bytes)?;
        Ok((Container::from_bytes(self.at(name), bytes), record.bytes))
    }

    /// A tensor file that stays on disk, and how many bytes it has. Of an index with a manifest, they were read and
    /// checked through the handle that later reads go by.
    ///
    /// # Errors
    /// As [`in_memory`](IndexFiles::in_memory).
    pub(super) fn on_disk(&self, name: &str) -> Result<(Container, u64), IndexError> {
        let record = self.record(name)?;
        let file = self.file(name)?;
        let len = match file.metadata() {
            Ok(found) => found.len(),
            Err(source) => return Err(self.unreadable(name, source)),
        };
        if let Some(record) = record {
            self.check_size(record, &file)?;
            let found = FileRecord::of_file(name, &file);
            self.check(
                record,
                &found.map_err(|source| self.unreadable(name, source))?,
            )?;
        }
        Ok((Container::of_file(self.at(name), file)?, len))
    }

    /// The record of a file; nothing where there is no manifest.
    fn record(&self, name: &str) -> Result<Option<&FileRecord>, IndexError> {
        let Some(manifest) = self.manifest() else {
            return Ok(None);
        };
        let record = manifest.files.iter().find(|record| record.name == name);
        let unknown = || Finding::Unknown {
            file: name.to_owned(),
        };
        record.map(Some).ok_or_else(|| {
            self.damaged(match self.folder.file(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::Missing {
                    file: name.to_owned(),
                },
                _ => unknown(),
            })
        })
    }

    fn file(&self, name: &str) -> Result<File, IndexError> {
        self.folder.file(name).map_err(|source| {
            let file = name.to_owned();
            match (source.kind(), &self.manifest) {
                (io::ErrorKind::NotFound, Some(_)) => self.damaged(Finding::Missing { file }),
                (io::ErrorKind::NotFound, None) => IndexError::Missing {
                    path: self.path().to_owned(),
                    file,
                },
                _ => self.unreadable(name, source),
            }
        })
    }

    fn check_size(&self, record: &FileRecord, file: &File) -> Result<(), IndexError> {
        let found = file.metadata();
        let found = found.map_err(|source| self.unreadable(&record.name, source))?;
        if found.len() == record.bytes {
            return Ok(());
        }
        Err(self.damaged(Finding::Size {
            file: record.name.clone(),
            expected: record.bytes,
            found: found.len(),
        }))
    }

    fn check(&self, record: &FileRecord, found: &FileRecord) -> Result<(), IndexError> {
        match Finding::between(record, found) {
            Some(finding) => Err(self.damaged(finding)),
            None => {
                self.checked().insert(record.name.clone());
                Ok(())
            }
        }
    }

    pub(super) fn damaged(&self, finding: Finding) -> IndexError {
        IndexError::Damaged {
            path: self.path().to_owned(),
            finding,
        }
    }

    fn unreadable(&self, name: &str, source: io::Error) -> IndexError {
        IndexError::Unreadable {
            path: self.at(name),
            source,
        }
    }

    /// Where a file lies, for messages.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
