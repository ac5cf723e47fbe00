//! From what a pickle describes to tensors in the archive.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use super::archive::{Archive, Extent};
use super::problem::PtProblem;
use super::unpickled::{Id, MAX_VALUES, StorageRef, Unpickled, Value, View};
use super::value::PtValue;
use crate::file_error::FileError;
use crate::file_error::FileProblem;
use crate::layout::Layout;
use crate::source::TensorSource;
use crate::tensor::element_count;

/// The deepest nesting read. Checkpoints nest three or four deep.
const MAX_DEPTH: usize = 64;

/// How much larger than the file its tensors, texts and paths may be in sum: this many bytes, and
/// this many times.
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
        storages: HashMap::new(),
        values: 0,
        bytes: 0,
    };
    resolver.value(unpickled.root, Path::default())
}

struct Resolver<'a> {
    archive: &'a Archive,
    unpickled: &'a Unpickled,
    /// The storages checked so far, by key.
    storages: HashMap<Rc<str>, Checked>,
    /// How many values were made, and how many bytes tensors, texts and paths among them take.
    values: usize,
    bytes: u64,
}

/// A storage that was found in the archive with the size it should have.
#[derive(Clone)]
struct Checked {
    storage: StorageRef,
    /// The full name of its entry.
    entry: Arc<str>,
    extent: Extent,
}

/// The way from the top to a value.
#[derive(Clone, Copy, Default)]
struct Path {
    depth: usize,
    /// The length of its text, as [`PtValue::tensors`] makes it, in bytes.
    len: u64,
}

impl Path {
    /// The way to what is found under a key of `len` bytes.
    fn join(self, len: usize) -> Path {
        Path {
            depth: self.depth + 1,
            len: self.len + len as u64 + 1,
        }
    }
}

/// More digits than a position or an integer key has.
const DIGITS: usize = 20;

impl Resolver<'_> {
    fn value(&mut self, id: Id, path: Path) -> Result<Lazy, FileError> {
        if path.depth > MAX_DEPTH {
            return Err(self.error(PtProblem::TooDeep { limit: MAX_DEPTH }));
        }
        self.add_values(1)?;
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
            Value::Tuple(items) => PtValue::Tuple(self.all(items, path)?),
            Value::List(items) => PtValue::List(self.all(items, path)?),
            Value::Dict(items) => PtValue::Dict(self.dict(items, path)?),
            Value::Tensor(view) => {
                self.add_bytes(path.len)?;
                PtValue::Tensor(self.tensor(view)?)
            }
            other @ (Value::Global(_) | Value::Storage(_)) => {
                return Err(self.error(PtProblem::NotAValue {
                    found: other.kind(),
                }));
            }
        })
    }

    fn all(&mut self, items: &[Id], path: Path) -> Result<Vec<Lazy>, FileError> {
        items
            .iter()
            .map(|&item| self.value(item, path.join(DIGITS)))
            .collect()
    }

    /// The items of a dict. As in Python, a key set again keeps its place and gets the new value.
    fn dict(&mut self, items: &[(Id, Id)], path: Path) -> Result<Vec<(Lazy, Lazy)>, FileError> {
        #[derive(PartialEq, Eq, Hash)]
        enum Key<'a> {
            Int(i64),
            Str(&'a str),
        }
        // Keys that come again make no values, but they take time.
        self.add_values(items.len())?;
        let mut places: HashMap<Key<'_>, usize> = HashMap::new();
        let mut unique: Vec<(Id, Id)> = Vec::new();
        let unpickled = self.unpickled;
        for &(key, value) in items {
            let name = match unpickled.get(key) {
                &Value::Int(number) => Key::Int(number),
                Value::Str(text) => {
                    self.add_bytes(text.len() as u64)?;
                    Key::Str(text)
                }
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
            .map(|(key, value)| {
                let path = path.join(match unpickled.get(key) {
                    Value::Str(text) => text.len(),
                    _ => DIGITS,
                });
                Ok((self.value(key, path)?, self.value(value, path)?))
            })
            .collect()
    }

    fn tensor(&mut self, view: &View) -> Result<TensorSource, FileError> {
        let View {
            storage,
            offset,
            shape,
            strides,
        } = view;
        let Checked { entry, extent, .. } = self.storage(storage)?;
        let invalid = |source| FileProblem::Tensor {
            name: entry.to_string(),
            source,
        };
        let len = element_count(storage.dtype, shape).map_err(|e| self.error(invalid(e)))?;
        self.add_bytes((len * storage.dtype.size()) as u64)?;

        let last = last_position(*offset, shape, strides);
        if last.is_none_or(|last| last >= storage.count) && len > 0 {
            return Err(self.error(PtProblem::ViewOutOfStorage {
                entry: entry.to_string(),
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

    fn storage(&mut self, storage: &StorageRef) -> Result<Checked, FileError> {
        if let Some(known) = self.storages.get(&storage.key)
            && known.storage == *storage
        {
            return Ok(known.clone());
        }
        let name = format!("data/{}", storage.key);
        let entry = self.archive.full_name(&name);
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
        let checked = Checked {
            storage: storage.clone(),
            entry: entry.into(),
            extent,
        };
        self.storages
            .insert(Rc::clone(&storage.key), checked.clone());
        Ok(checked)
    }

    fn add_values(&mut self, count: usize) -> Result<(), FileError> {
        self.values = self.values.saturating_add(count);
        if self.values > MAX_VALUES {
            return Err(self.error(PtProblem::TooManyValues { limit: MAX_VALUES }));
        }
        Ok(())
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
