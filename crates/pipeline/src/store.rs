//! Where values and the memory of what was computed live while a graph is evaluated.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use concord_tensor::{BitHash, FileError, FileProblem, Tensor, safetensors};

use crate::manifest::ChunkRecord;
use crate::publish::{PublishError, write_json, writing};
use crate::value::Value;

/// Why the store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Blob(#[from] FileError),
    /// Something that is there could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Values by the hash of their bits, and the records of outputs by the hash of what they are made from.
pub trait Store: Send + Sync {
    /// Keeps a value. Equal tensors are kept once.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, record: &ChunkRecord, value: &Value) -> Result<(), StoreError>;
    /// Whether the value is here, as far as can be told without reading it.
    fn has(&self, record: &ChunkRecord) -> bool;
    /// The value, or `None` if it is not here or its bits are no longer those of the record.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    fn get(&self, record: &ChunkRecord) -> Result<Option<Value>, StoreError>;
    /// Notes what was made from `key`.
    ///
    /// # Errors
    /// When it cannot be written.
    fn remember(&self, key: BitHash, outputs: &[ChunkRecord]) -> Result<(), StoreError>;
    /// What was made from `key`, if anything was.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    fn remembered(&self, key: BitHash) -> Result<Option<Vec<ChunkRecord>>, StoreError>;
}

/// A store in a folder: `blobs/<first two digits>/<hash>.safetensors`, one tensor each, and
/// `memory/<hash>.json`.
pub struct DiskStore {
    folder: PathBuf,
}

/// The name of the tensor inside a blob.
pub(crate) const BLOB_TENSOR: &str = "tensor";

impl DiskStore {
    /// Opens the store in `folder`, making what is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<DiskStore, StoreError> {
        for part in ["blobs", "memory"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(writing(&part))?;
        }
        Ok(DiskStore {
            folder: folder.to_owned(),
        })
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
) -> Result<(), StoreError> {
    for (field, (_, tensor)) in record.fields.iter().zip(value.fields()) {
        let path = blob_path(blobs, field.hash);
        if !path.exists() {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(writing(folder))?;
            }
            safetensors::write(&path, &[(BLOB_TENSOR.to_owned(), tensor.clone())])?;
        }
    }
    Ok(())
}

/// The tensor of a blob; `None` where there is no blob, or one that is damaged.
fn read_blob(path: &Path) -> Result<Option<Tensor>, StoreError> {
    match safetensors::read(path) {
        Ok(tensors) => Ok(tensors.into_iter().next().map(|(_, tensor)| tensor)),
        Err(FileError {
            problem: FileProblem::Io { source, .. },
            ..
        }) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Unreadable {
            path: path.to_owned(),
            source,
        }),
        Err(_) => Ok(None),
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(path)(error).into()),
        _ => Ok(()),
    }
}

fn hex(hash: BitHash) -> String {
    hash.as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Store for DiskStore {
    fn put(&self, record: &ChunkRecord, value: &Value) -> Result<(), StoreError> {
        put_blobs(&self.folder.join("blobs"), record, value)
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
            let tensor = read_blob(&path)?.filter(|tensor| tensor.hash() == field.hash);
            let Some(tensor) = tensor else {
                // A blob that was cut short or altered has to go, or it would be taken for the whole
                // one when the value is put again.
                remove_if_there(&path)?;
                return Ok(None);
            };
            fields.push((field.name.clone(), tensor));
        }
        Ok(Some(Value::from_parts(fields)))
    }

    fn remember(&self, key: BitHash, outputs: &[ChunkRecord]) -> Result<(), StoreError> {
        Ok(write_json(&self.memory(key), &outputs)?)
    }

    fn remembered(&self, key: BitHash) -> Result<Option<Vec<ChunkRecord>>, StoreError> {
        let path = self.memory(key);
        match fs::read(&path) {
            // A note that does not parse was damaged; forgetting it costs one run of a stage.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Unreadable { path, source }),
        }
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

    fn lock(&self) -> std::sync::MutexGuard<'_, MemoryState> {
        // A panic while holding the lock leaves maps that are whole all the same.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
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
