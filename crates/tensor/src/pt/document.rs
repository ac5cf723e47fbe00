//! A file of `torch.save` as it lies there: every value once, and what it holds by number.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::elements::Element;
use super::keys::{self, Effort, KeyProblem};
use super::node::{Node, held};
use super::pickle;
use super::problem::PtProblem;
use super::unique_keys::unique_keys;
use super::unpickled::{Id, StorageRef, Unpickled, Value, View};
use crate::budget::Budget;
use crate::container::Container;
use crate::dtype::DType;
use crate::file_error::{FileError, FileProblem};
use crate::layout::Layout;
use crate::source::TensorSource;
use crate::stored::StoredTensor;
use crate::tensor::element_count;
use crate::zip_directory::Extent;

/// The largest pickle read, in bytes; that of a model of a thousand tensors has some 200 kB.
const MAX_PICKLE: u64 = 64 << 20;

/// The longest `byteorder` entry read; PyTorch's are "little" and "big".
const MAX_BYTE_ORDER: u64 = 16;

/// A file of `torch.save`, opened: a graph of values, in which nothing was executed.
///
/// A value that the file uses at several places is one here, and a value may hold itself; whoever walks from one
/// to what it holds must bound the walk. What it takes in memory is bounded: 24 MiB, and three times the file.
#[derive(Debug)]
pub struct PtDocument {
    archive: Archive,
    unpickled: Unpickled,
    /// Where each storage lies; nothing for those that nothing reachable names.
    extents: Vec<Option<(Arc<str>, Extent)>>,
}

impl PtDocument {
    /// Opens a file: reads the archive's directory and the pickle, and checks every tensor against the size of
    /// its storage.
    ///
    /// # Errors
    /// [`FileError`] with [`FileProblem::Pt`] if the file is not what `torch.save` writes.
    pub fn open(path: impl AsRef<Path>) -> Result<PtDocument, FileError> {
        PtDocument::open_container(Container::open(path)?)
    }

    /// Opens a container; like [`open`](PtDocument::open).
    ///
    /// # Errors
    /// Those of [`open`](PtDocument::open).
    pub fn open_container(container: Container) -> Result<PtDocument, FileError> {
        let archive = Archive::open(container.clone())?;
        let fail = |problem| container.error(problem);
        if archive.has("constants.pkl") {
            return Err(fail(PtProblem::TorchScript));
        }
        let pickle = archive
            .extent("data.pkl")?
            .ok_or_else(|| fail(PtProblem::NotATorchArchive))?;
        if pickle.size > MAX_PICKLE {
            let (size, limit) = (pickle.size, MAX_PICKLE);
            return Err(fail(PtProblem::PickleTooLarge { size, limit }));
        }
        if let Some(entry) = archive.extent("byteorder")? {
            let size = entry.size.min(MAX_BYTE_ORDER);
            let order = container.bytes_at(entry.start, size, "entry \"byteorder\"")?;
            if order != b"little" {
                let order = String::from_utf8_lossy(&order).into_owned();
                return Err(fail(PtProblem::ByteOrder { order }));
            }
        }
        let pickle = container.bytes_at(pickle.start, pickle.size, "entry \"data.pkl\"")?;
        let budget = Budget::of_file(container.len());
        let mut unpickled = pickle::run(pickle, budget).map_err(fail)?;
        unique_keys(&mut unpickled).map_err(fail)?;
        let storages = unpickled.values.storages.len();
        let each = size_of::<Option<(Arc<str>, Extent)>>() as u64;
        let taken = unpickled.values.budget.take(storages as u64 * each);
        taken.map_err(|exhausted| fail(exhausted.into()))?;
        let mut document = PtDocument {
            archive,
            unpickled,
            extents: vec![None; storages],
        };
        document.check()?;
        Ok(document)
    }

    /// The value that was saved.
    pub fn root(&self) -> Id {
        self.unpickled.root
    }

    /// How many values there are, those included that tuples name again.
    pub fn len(&self) -> usize {
        self.unpickled.values.len() + self.unpickled.values.items.len()
    }

    /// Never: there is a root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file's length in bytes.
    pub fn file_len(&self) -> u64 {
        self.archive.container().len()
    }

    /// The path it was opened from, or the name it was given.
    pub fn path(&self) -> &Path {
        self.archive.container().path()
    }

    /// A value.
    pub fn node(&self, id: Id) -> Node<'_> {
        self.unpickled.node(id)
    }

    /// What messages call a class, a function, or the class of an object.
    pub fn class_name(&self, id: Id) -> String {
        // Objects that make objects are not nested deep in what Python writes.
        let mut id = id;
        for _ in 0..8 {
            match self.node(id) {
                Node::Global {
                    module: "builtins",
                    name,
                } => return name.to_owned(),
                Node::Global { module, name } => return format!("{module}.{name}"),
                Node::Object(object) => id = object.callee,
                _ => break,
            }
        }
        "an unknown class".to_owned()
    }

    /// The hash of a key of a dict or an element of a set: the same of the same keys in any document.
    ///
    /// # Errors
    /// [`KeyProblem`]
    pub fn key_hash(
        &self,
        id: Id,
        hashers: &impl BuildHasher,
        effort: &mut Effort,
    ) -> Result<u64, KeyProblem> {
        keys::hash(&self.unpickled, id, hashers, effort)
    }

    /// Whether a key is the same as one of another document: of one type and content, floats by their bits.
    ///
    /// # Errors
    /// [`KeyProblem`]
    pub fn same_key(
        &self,
        id: Id,
        other: &PtDocument,
        its: Id,
        effort: &mut Effort,
    ) -> Result<bool, KeyProblem> {
        keys::same((&self.unpickled, id), (&other.unpickled, its), effort)
    }

    /// The tensor of a [`Node::Tensor`], or the elements of a [`Node::Storage`]; `None` for other values.
    ///
    /// # Errors
    /// None that opening the file would not have found.
    pub fn tensor(&self, id: Id) -> Result<Option<StoredTensor>, FileError> {
        match self.unpickled.get(id) {
            Value::Tensor(tensor) => self
                .view(&self.unpickled.values.tensors[tensor as usize])
                .map(Some),
            Value::Storage(storage) => {
                let StorageRef { element, count, .. } =
                    self.unpickled.values.storages[storage as usize];
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let layout = (0, vec![count], vec![1]);
                self.stored(storage, element, layout).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// How many bytes the elements of a tensor take; 0 for another value.
    pub fn tensor_bytes(&self, id: Id) -> u64 {
        let values = &self.unpickled.values;
        match self.unpickled.get(id) {
            Value::Tensor(tensor) => {
                let view = &values.tensors[tensor as usize];
                let sizes = view.shape.of(&values.sizes).iter();
                let count = sizes.fold(1u64, |count, &size| count.saturating_mul(size));
                count.saturating_mul(view.element.size() as u64)
            }
            Value::Storage(storage) => {
                let StorageRef { element, count, .. } = values.storages[storage as usize];
                count.saturating_mul(element.size() as u64)
            }
            _ => 0,
        }
    }

    fn view(&self, view: &View) -> Result<StoredTensor, FileError> {
        let View {
            storage,
            element,
            offset,
            shape,
        } = *view;
        let sizes = &self.unpickled.values.sizes[shape.start as usize..];
        let dimensions = shape.len as usize;
        // Checked to fit when the file was opened.
        let numbers = |sizes: &[u64]| sizes.iter().map(|&size| size as usize).collect::<Vec<_>>();
        let (shape, strides) = (
            numbers(&sizes[..dimensions]),
            numbers(&sizes[dimensions..][..dimensions]),
        );
        self.stored(storage, element, (offset, shape, strides))
    }

    /// Elements of a storage: offset, shape and strides, in elements.
    fn stored(
        &self,
        storage: u32,
        element: Element,
        (offset, shape, strides): (u64, Vec<usize>, Vec<usize>),
    ) -> Result<StoredTensor, FileError> {
        let Some((entry, extent)) = &self.extents[storage as usize] else {
            // Nothing that is reachable names a storage that was not found.
            let entry = "of a tensor".to_owned();
            return Err(self.error(PtProblem::MissingStorage { entry }));
        };
        let size = element.size();
        let is_empty = shape.contains(&0);
        // An empty tensor may have any offset; none of its elements is ever sought.
        let first = if is_empty { 0 } else { offset };
        let start = extent.start + first * size as u64;
        let container = self.archive.container().clone();
        let entry = Arc::clone(entry);
        if let Some(dtype) = element.dtype() {
            let layout = Layout::strided(start, size, shape, strides);
            return Ok(TensorSource::new(container, entry, dtype, layout)?.into());
        }
        // Bytes in the place of elements: one more dimension.
        let in_bytes = strides
            .iter()
            .map(|&stride| stride.saturating_mul(size))
            .chain([1]);
        let layout = Layout::strided(start, 1, [&shape[..], &[size]].concat(), in_bytes.collect());
        let bytes = TensorSource::new(container, entry, DType::U8, layout)?;
        Ok(StoredTensor::of_bits(element.element_type(), shape, bytes))
    }

    /// Finds the storages of what is reachable, and checks that its tensors lie in them.
    fn check(&mut self) -> Result<(), FileError> {
        let mut known: HashMap<String, (StorageRef, Arc<str>, Extent)> = HashMap::new();
        let mut seen = vec![false; self.unpickled.values.len()];
        let mut next = vec![self.unpickled.root];
        while let Some(id) = next.pop() {
            if std::mem::replace(&mut seen[id.0 as usize], true) {
                continue;
            }
            let storage = match self.unpickled.get(id) {
                Value::Storage(storage) => storage,
                Value::Tensor(tensor) => self.unpickled.values.tensors[tensor as usize].storage,
                _ => {
                    held(&self.unpickled.node(id), &mut next);
                    continue;
                }
            };
            if self.extents[storage as usize].is_none() {
                let described = self.unpickled.values.storages[storage as usize];
                let key = self.unpickled.text(described.key);
                let found = match known.get(key) {
                    Some((same, entry, extent))
                        if same.element == described.element && same.count == described.count =>
                    {
                        (Arc::clone(entry), *extent)
                    }
                    _ => {
                        let (entry, extent) = self.storage(&described)?;
                        let at = (described, Arc::clone(&entry), extent);
                        known.insert(key.to_owned(), at);
                        (entry, extent)
                    }
                };
                self.extents[storage as usize] = Some(found);
            }
            if let Value::Tensor(tensor) = self.unpickled.get(id) {
                self.check_view(&self.unpickled.values.tensors[tensor as usize])?;
            }
        }
        Ok(())
    }

    /// Finds a storage in the archive, which has the size it should have.
    fn storage(&self, storage: &StorageRef) -> Result<(Arc<str>, Extent), FileError> {
        let name = format!("data/{}", self.unpickled.text(storage.key));
        let entry = self.archive.full_name(&name);
        let Some(extent) = self.archive.extent(&name)? else {
            return Err(self.error(PtProblem::MissingStorage { entry }));
        };
        let expected = storage.count.saturating_mul(storage.element.size() as u64);
        if expected != extent.size {
            return Err(self.error(PtProblem::StorageSize {
                entry,
                dtype: storage.element.element_type(),
                count: storage.count,
                expected,
                actual: extent.size,
            }));
        }
        Ok((entry.into(), extent))
    }

    /// Checks that a tensor lies within its storage.
    fn check_view(&self, view: &View) -> Result<(), FileError> {
        let values = &self.unpickled.values;
        let sizes = &values.sizes[view.shape.start as usize..];
        let dimensions = view.shape.len as usize;
        let (shape, strides) = (&sizes[..dimensions], &sizes[dimensions..][..dimensions]);
        let entry = || match &self.extents[view.storage as usize] {
            Some((entry, _)) => entry.to_string(),
            None => String::new(),
        };
        let numbers = |sizes: &[u64]| -> Vec<usize> {
            let fitting = |&size| usize::try_from(size).unwrap_or(usize::MAX);
            sizes.iter().map(fitting).collect()
        };
        // The dtype has no part in this but for the size of its elements.
        let dtype = match view.element.size() {
            1 => DType::U8,
            2 => DType::I16,
            4 => DType::I32,
            8 => DType::I64,
            _ => DType::F64,
        };
        let dtype = view.element.dtype().unwrap_or(dtype);
        let mut counted = numbers(shape);
        counted.extend((view.element.size() > 8).then_some(view.element.size() / 8));
        let len = element_count(dtype, &counted).map_err(|source| {
            self.error(FileProblem::Tensor {
                name: entry(),
                source,
            })
        })?;
        let storage = &values.storages[view.storage as usize];
        let last = last_position(view.offset, shape, strides)
            .and_then(|last| last.checked_add(1)?.checked_mul(view.element.size() as u64));
        let bytes = storage.count.saturating_mul(storage.element.size() as u64);
        if last.is_none_or(|end| end > bytes) && len > 0 {
            return Err(self.error(PtProblem::ViewOutOfStorage {
                entry: entry(),
                shape: numbers(shape),
                strides: numbers(strides),
                offset: usize::try_from(view.offset).unwrap_or(usize::MAX),
                count: storage.count,
            }));
        }
        Ok(())
    }

    pub(super) fn error(&self, problem: impl Into<FileProblem>) -> FileError {
        self.archive.container().error(problem)
    }
}

/// The position of a non-empty tensor's last element in its storage, unless it overflows.
fn last_position(offset: u64, shape: &[u64], strides: &[u64]) -> Option<u64> {
    shape
        .iter()
        .zip(strides)
        .try_fold(offset, |position, (&size, &stride)| {
            position.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        })
}
