//! From what a pickle describes to tensors in the archive.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use super::archive::{Archive, Extent};
use super::unpickled::{Id, MAX_VALUES, StorageRef, Unpickled, Value, View};
use super::{PtProblem, PtValue};
use crate::file_error::FileError;
use crate::layout::Layout;
use crate::tensor::element_count;
use crate::{FileProblem, TensorSource};

/// The deepest nesting read. Checkpoints nest three or four deep.
const MAX_DEPTH: usize = 64;

/// How much larger than the file its tensors may be in sum: this many bytes, and this many times.
///
/// Views of one storage let a small file describe any amount of data. Sharing is ordinary (tied
/// weights, slices of one tensor, a broadcast mask), a thousandfold is not.
const ORDINARY_BYTES: u64 = 256 << 20;
const ORDINARY_SHARING: u64 = 16;

type Lazy = PtValue<TensorSource>;

/// The value a pickle describes, with its tensors found in the archive and checked against it.
pub(crate) fn resolve(archive: &Archive, unpickled: &Unpickled) -> Result<Lazy, FileError> {
    let mut resolver = Resolver {
        archive,
        unpickled,
        extents: HashMap::new(),
        values: 0,
        bytes: 0,
    };
    resolver.value(unpickled.root, 0)
}

struct Resolver<'a> {
    archive: &'a Archive,
    unpickled: &'a Unpickled,
    /// The storages checked so far, by key.
    extents: HashMap<Rc<str>, (StorageRef, Extent)>,
    /// How many values were made, and how many bytes the tensors among them have.
    values: usize,
    bytes: u64,
}

impl Resolver<'_> {
    fn value(&mut self, id: Id, depth: usize) -> Result<Lazy, FileError> {
        if depth > MAX_DEPTH {
            return Err(self.error(PtProblem::TooDeep { limit: MAX_DEPTH }));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(PtProblem::TooManyValues { limit: MAX_VALUES }));
        }
        let unpickled = self.unpickled;
        Ok(match unpickled.get(id) {
            Value::None => PtValue::None,
            &Value::Bool(value) => PtValue::Bool(value),
            &Value::Int(value) => PtValue::Int(value),
            &Value::Float(value) => PtValue::Float(value),
            Value::Str(value) => {
                self.add_bytes(value.len() as u64)?;
                PtValue::Str(value.to_string())
            }
            Value::Tuple(items) => PtValue::Tuple(self.all(items, depth)?),
            Value::List(items) => PtValue::List(self.all(items, depth)?),
            Value::Dict(items) => PtValue::Dict(self.dict(items, depth)?),
            Value::Tensor(view) => PtValue::Tensor(self.tensor(view)?),
            other @ (Value::Global(_) | Value::Storage(_)) => {
                return Err(self.error(PtProblem::NotAValue {
                    found: other.kind(),
                }));
            }
        })
    }

    fn all(&mut self, items: &[Id], depth: usize) -> Result<Vec<Lazy>, FileError> {
        items
            .iter()
            .map(|&item| self.value(item, depth + 1))
            .collect()
    }

    /// The items of a dict. As in Python, a key set again keeps its place and gets the new value.
    fn dict(&mut self, items: &[(Id, Id)], depth: usize) -> Result<Vec<(Lazy, Lazy)>, FileError> {
        #[derive(PartialEq, Eq, Hash)]
        enum Key<'a> {
            Int(i64),
            Str(&'a str),
        }
        let mut places: HashMap<Key<'_>, usize> = HashMap::new();
        let mut unique: Vec<(Id, Id)> = Vec::new();
        for &(key, value) in items {
            let name = match self.unpickled.get(key) {
                &Value::Int(number) => Key::Int(number),
                Value::Str(text) => Key::Str(text),
                other => {
                    return Err(self.error(PtProblem::UnsupportedKey {
                        found: other.kind(),
                    }));
                }
            };
            match places.entry(name) {
                Entry::Occupied(place) => unique[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(unique.len());
                    unique.push((key, value));
                }
            }
        }
        unique
            .into_iter()
            .map(|(key, value)| Ok((self.value(key, depth + 1)?, self.value(value, depth + 1)?)))
            .collect()
    }

    fn tensor(&mut self, view: &View) -> Result<TensorSource, FileError> {
        let View {
            storage,
            offset,
            shape,
            strides,
        } = view;
        let (entry, extent) = self.storage(storage)?;
        let invalid = |source| FileProblem::Tensor {
            name: entry.clone(),
            source,
        };
        let len = element_count(storage.dtype, shape).map_err(|e| self.error(invalid(e)))?;
        self.add_bytes((len * storage.dtype.size()) as u64)?;

        let last = last_position(*offset, shape, strides);
        if last.is_none_or(|last| last >= storage.count) && len > 0 {
            return Err(self.error(PtProblem::ViewOutOfStorage {
                entry,
                shape: shape.clone(),
                strides: strides.clone(),
                offset: *offset,
                count: storage.count,
            }));
        }
        // An empty tensor may have any offset; none of its elements is ever sought.
        let first = if len > 0 { *offset as u64 } else { 0 };
        let element = storage.dtype.size();
        let layout = Layout {
            start: extent.start + first * element as u64,
            element,
            shape: shape.clone(),
            strides: strides.clone(),
        };
        TensorSource::new(
            self.archive.container().clone(),
            entry,
            storage.dtype,
            layout,
        )
    }

    /// The full name and the extent of a storage's entry.
    fn storage(&mut self, storage: &StorageRef) -> Result<(String, Extent), FileError> {
        let name = format!("data/{}", storage.key);
        let entry = self.archive.full_name(&name);
        if let Some((known, extent)) = self.extents.get(&storage.key)
            && known == storage
        {
            return Ok((entry, *extent));
        }
        let Some(extent) = self.archive.extent(&name)? else {
            return Err(self.error(PtProblem::MissingStorage { entry }));
        };
        let expected = storage.count.saturating_mul(storage.dtype.size() as u64);
        if expected != extent.size {
            return Err(self.error(PtProblem::StorageSize {
                entry,
                dtype: storage.dtype,
                count: storage.count,
                expected,
                actual: extent.size,
            }));
        }
        self.extents
            .insert(Rc::clone(&storage.key), (storage.clone(), extent));
        Ok((entry, extent))
    }

    fn add_bytes(&mut self, bytes: u64) -> Result<(), FileError> {
        self.bytes = self.bytes.saturating_add(bytes);
        let file = self.archive.container().len();
        let limit = file
            .saturating_mul(ORDINARY_SHARING)
            .saturating_add(ORDINARY_BYTES);
        if self.bytes > limit {
            return Err(self.error(PtProblem::Inflated {
                bytes: self.bytes,
                file,
            }));
        }
        Ok(())
    }

    fn error(&self, problem: impl Into<FileProblem>) -> FileError {
        self.archive.container().error(problem)
    }
}

/// The position of a non-empty tensor's last element in its storage, unless it overflows.
fn last_position(offset: usize, shape: &[usize], strides: &[usize]) -> Option<u64> {
    shape
        .iter()
        .zip(strides)
        .try_fold(offset as u64, |position, (&size, &stride)| {
            let reach = (size as u64).saturating_sub(1).checked_mul(stride as u64)?;
            position.checked_add(reach)
        })
}
