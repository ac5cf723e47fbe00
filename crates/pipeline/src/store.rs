//! Where values and the memory of what was computed live while a graph is evaluated.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use concord_tensor::{BitHash, Durability, FileError, FileProblem, read_regular, safetensors};
use serde::{Deserialize, Serialize};

use crate::hex::hex;
use crate::manifest::ChunkRecord;
use crate::publish::{json_text, write_file_as, writing};
use crate::store_error::StoreError;
use crate::stored_tensor::{BLOB_TENSOR, StoredTensor};
use crate::value::Value;

/// Values by the hash of their bits, and the records of outputs by the hash of what they are made from.
pub trait Store: Send + Sync {
    /// Keeps a value. Equal tensors are kept once.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, record: &ChunkRecord, value: &Value) -> Result<(), StoreError>;
    /// Whether the value is here, as far as can be told without reading it.
    fn has(&self, record: &ChunkRecord) -> bool;
    /// The value, or `None` if it is not here or its bits are no longer those of the record. What is damaged is
    /// removed, so that it is computed again.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    fn get(&self, record: &ChunkRecord) -> Result<Option<Value>, StoreError>;
    /// Notes what was made from `key`.
    ///
    /// # Errors
    /// When it cannot be written.
    fn remember(&self, key: BitHash, outputs: &[ChunkRecord]) -> Result<(), StoreError>;
    /// What was made from `key`, if anything was. A note that is damaged is removed, as a value is.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    fn remembered(&self, key: BitHash) -> Result<Option<Vec<ChunkRecord>>, StoreError>;
    /// The files that were found damaged, and removed, since this was last asked.
    fn take_damaged(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// A store in a folder: `blobs/<first two digits>/<hash>.safetensors`, one tensor each, and
/// `memory/<hash>.json`.
///
/// Nothing in it is trusted: a value has the hash that it is named for, and a note a hash over all that it says,
/// or it is removed and counts as not there.
pub struct DiskStore {
    folder: PathBuf,
    durability: Durability,
    damaged: Mutex<Vec<PathBuf>>,
}

impl DiskStore {
    /// Opens the store in `folder`, making what is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<DiskStore, StoreError> {
        DiskStore::lasting(folder, Durability::Kept)
    }

    /// Opens the store in a folder that nobody goes on from once this process is gone: nothing in it waits for the
    /// disk.
    ///
    /// # Errors
    /// As [`DiskStore::open`].
    pub fn scratch(folder: &Path) -> Result<DiskStore, StoreError> {
        DiskStore::lasting(folder, Durability::Scratch)
    }

    fn lasting(folder: &Path, durability: Durability) -> Result<DiskStore, StoreError> {
        for part in ["blobs", "memory"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(writing(&part))?;
        }
        Ok(DiskStore {
            folder: folder.to_owned(),
            durability,
            damaged: Mutex::default(),
        })
    }

    /// Removes a file that is not what was stored: it would be taken for the whole one when that is stored again.
    fn remove_damaged(&self, path: PathBuf) -> Result<(), StoreError> {
        remove_if_there(&path)?;
        lock(&self.damaged).push(path);
        Ok(())
    }

    fn blob(&self, hash: BitHash) -> PathBuf {
        blob_path(&self.folder.join("blobs"), hash)
    }

    fn memory(&self, key: BitHash) -> PathBuf {
        self.folder
            .join("memory")
            .join(format!("{}.json", hex(key)))
    }
}

/// Where a blob of that hash lies under `blobs`.
pub(crate) fn blob_path(blobs: &Path, hash: BitHash) -> PathBuf {
    let digits = hex(hash);
    blobs
        .join(&digits[..2])
        .join(format!("{digits}.safetensors"))
}

/// Writes the tensors of a value that are not there yet under `blobs`.
pub(crate) fn put_blobs(
    blobs: &Path,
    record: &ChunkRecord,
    value: &Value,
    durability: Durability,
) -> Result<(), StoreError> {
    for (field, (_, tensor)) in record.fields.iter().zip(value.fields()) {
        let path = blob_path(blobs, field.hash);
        if !path.exists() {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(writing(folder))?;
            }
            let tensors = [(BLOB_TENSOR.to_owned(), tensor.clone())];
            safetensors::write_as(&path, &tensors, durability)?;
        }
    }
    Ok(())
}

/// The largest note that is read, in bytes. They have some hundred for each output.
const MAX_NOTE: u64 = 4 << 20;

/// What is remembered under a key, with a hash over all of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    key: BitHash,
    outputs: Vec<ChunkRecord>,
    /// SHA-256 of the JSON of key and outputs, without spaces.
    hash: BitHash,
}

impl Note {
    fn new(key: BitHash, outputs: &[ChunkRecord]) -> Result<Note, serde_json::Error> {
        Ok(Note {
            key,
            outputs: outputs.to_vec(),
            hash: BitHash::of_bytes(&serde_json::to_vec(&(key, outputs))?),
        })
    }

    /// The outputs in the text of a note, if it is what was noted under `key`.
    fn outputs(text: &[u8], key: BitHash) -> Option<Vec<ChunkRecord>> {
        let found: Note = serde_json::from_slice(text).ok()?;
        let expected = Note::new(key, &found.outputs).ok()?;
        (found.key == key && found.hash == expected.hash).then_some(found.outputs)
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(path)(error).into()),
        _ => Ok(()),
    }
}

impl Store for DiskStore {
    fn put(&self, record: &ChunkRecord, value: &Value) -> Result<(), StoreError> {
        put_blobs(&self.folder.join("blobs"), record, value, self.durability)
    }

    fn has(&self, record: &ChunkRecord) -> bool {
        record
            .fields
            .iter()
            .all(|field| self.blob(field.hash).is_file())
    }

    fn get(&self, record: &ChunkRecord) -> Result<Option<Value>, StoreError> {
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let path = self.blob(field.hash);
            let read = StoredTensor::open(&path, field.hash)
                .map_err(StoreError::from)
                .and_then(|stored| stored.read());
            match read {
                Ok(tensor) => fields.push((field.name.clone(), tensor)),
                Err(StoreError::Blob(FileError {
                    problem: FileProblem::Io { source, .. },
                    ..
                })) => {
                    return match source.kind() {
                        io::ErrorKind::NotFound => Ok(None),
                        _ => Err(StoreError::Unreadable { path, source }),
                    };
                }
                Err(StoreError::Blob(_) | StoreError::Damaged { .. }) => {
                    self.remove_damaged(path)?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Value::from_parts(fields)))
    }

    fn remember(&self, key: BitHash, outputs: &[ChunkRecord]) -> Result<(), StoreError> {
        let path = self.memory(key);
        let note = Note::new(key, outputs).map_err(|error| writing(&path)(error.into()))?;
        let text = json_text(&note).map_err(writing(&path))?;
        let written = write_file_as(&path, self.durability, |file| file.write_all(&text));
        Ok(written?)
    }

    fn remembered(&self, key: BitHash) -> Result<Option<Vec<ChunkRecord>>, StoreError> {
        let path = self.memory(key);
        match read_regular(&path, MAX_NOTE) {
            Ok(text) => {
                let outputs = Note::outputs(&text, key);
                if outputs.is_none() {
                    // Forgetting it costs one run of a stage.
                    self.remove_damaged(path)?;
                }
                Ok(outputs)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Unreadable { path, source }),
        }
    }

    fn take_damaged(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *lock(&self.damaged))
    }
}

#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<MemoryState>,
}

#[derive(Default)]
struct MemoryState {
    values: HashMap<BitHash, Value>,
    memory: HashMap<BitHash, Vec<ChunkRecord>>,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Drops a value, as a disk might.
    pub fn lose(&self, record: &ChunkRecord) {
        let mut state = self.lock();
        state.values.remove(&record.hash);
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while holding the lock leaves what is whole all the same.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn put(&self, record: &ChunkRecord, value: &Value) -> Result<(), StoreError> {
        self.lock().values.insert(record.hash, value.clone());
        Ok(())
    }

    fn has(&self, record: &ChunkRecord) -> bool {
        self.lock().values.contains_key(&record.hash)
    }

    fn get(&self, record: &ChunkRecord) -> Result<Option<Value>, StoreError> {
        Ok(self.lock().values.get(&record.hash).cloned())
    }

    fn remember(&self, key: BitHash, outputs: &[ChunkRecord]) -> Result<(), StoreError> {
        self.lock().memory.insert(key, outputs.to_vec());
        Ok(())
    }

    fn remembered(&self, key: BitHash) -> Result<Option<Vec<ChunkRecord>>, StoreError> {
        Ok(self.lock().memory.get(&key).cloned())
    }
}

#[cfg(test)]
mod tests {
    use concord_tensor::Tensor;

    use super::*;

    #[test]
    fn a_damaged_blob_is_not_taken_for_the_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        let value = Value::from(Tensor::vector(vec![1.0f32, 2.0, 3.0]));
        let record = value.record();
        store.put(&record, &value).unwrap();
        let blob = store.blob(record.hash);
        let whole = fs::read(&blob).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        for damaged in [altered.as_slice(), &whole[..whole.len() - 1], &[]] {
            fs::write(&blob, damaged).unwrap();
            assert!(store.get(&record).unwrap().is_none());
            assert!(!store.has(&record));
            store.put(&record, &value).unwrap();
            assert_eq!(store.get(&record).unwrap().unwrap().record(), record);
        }
    }

    #[test]
    fn a_blob_that_the_system_does_not_give_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        let record = Value::from(Tensor::scalar(1i64)).record();
        let blob = store.blob(record.hash);
        fs::create_dir_all(&blob).unwrap();
        let error = store.get(&record).unwrap_err();
        assert!(matches!(&error, StoreError::Unreadable { path, .. } if *path == blob));
        assert!(blob.exists());
    }
}
