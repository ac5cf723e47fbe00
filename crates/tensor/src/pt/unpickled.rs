//! What a pickle describes.
//!
//! Values live in one arena and refer to each other by number. So a value that a pickle uses a
//! thousand times takes room once, and one that contains itself is no cycle in memory; whoever
//! walks the result must bound the walk. Texts are places in the pickle, which is kept.

use super::elements::Element;
use super::global::Global;
use super::problem::PtProblem;
use crate::budget::Budget;

/// A value of a [`PtDocument`](super::PtDocument), by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u32);

/// A stretch of the pickle, or of another vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        let start = self.start as usize;
        &all[start..start + self.len as usize]
    }
}

/// A value of a pickle. What is large or grows lies in a vector of its kind, under its number there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Two's complement, little-endian, of more than eight bytes.
    Long(Span),
    Float(f64),
    Str(Span),
    Bytes(Span, BytesForm),
    Tuple(Span),
    Size(Span),
    List(u32),
    Dict(u32),
    Set(u32),
    Global(u32),
    Storage(u32),
    Tensor(u32),
    Object(u32),
}

/// How bytes are written, and what they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BytesForm {
    /// They are written as a string of the characters of their numbers.
    pub(super) latin1: bool,
    /// They are a `bytearray`.
    pub(super) mutable: bool,
}

/// A list, or the elements of a set in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    pub(super) items: Vec<Id>,
    /// Of a set: whether it cannot change.
    pub(super) frozen: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Dict {
    /// Keys and values in the order in which they were set. Once the pickle has run, no key comes twice.
    pub(super) items: Vec<(Id, Id)>,
    /// Whether it is an `OrderedDict`.
    pub(super) ordered: bool,
    /// The attributes of the dict object: state dicts have `_metadata`, the versions of their modules.
    pub(super) state: Option<Id>,
}

/// How an object comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// By calling something.
    Call,
    /// By `__new__` of a class.
    New,
    /// By `__new__` with arguments that have names, in a dict.
    NewNamed(Id),
    /// It lies outside of what can be read; the arguments say which it is.
    Outside,
}

/// An object of a class that is not known, or what a function returns that is not known: not made, but kept
/// as the pickle describes it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(super) making: Making,
    /// The class or function.
    pub(super) callee: Id,
    pub(super) arguments: Id,
    /// What it is given after it was made.
    pub(super) state: Option<Id>,
    pub(super) items: Vec<Id>,
    pub(super) pairs: Vec<(Id, Id)>,
}

/// A class or function by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(super) module: Span,
    pub(super) name: Span,
    pub(super) global: Global,
}

/// A storage as a pickle names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageRef {
    pub(super) element: Element,
    /// The name of its entry below `data/`.
    pub(super) key: Span,
    pub(super) count: u64,
}

/// A tensor as a pickle describes it, not yet checked against its storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The number of the storage.
    pub(super) storage: u32,
    pub(super) element: Element,
    pub(super) offset: u64,
    /// Where the sizes are; the strides follow.
    pub(super) shape: Span,
}

/// What running a pickle leaves: its values, and which of them is the result.
#[derive(Debug)]
pub(crate) struct Unpickled {
    pub(super) pickle: Vec<u8>,
    pub(super) values: Values,
    pub(super) root: Id,
}

impl Unpickled {
    pub(super) fn get(&self, id: Id) -> Value {
        self.values.get(id)
    }

    /// A text that was found to be one.
    pub(super) fn text(&self, span: Span) -> &str {
        text(&self.pickle, span)
    }
}

/// A stretch of a pickle that was found to be text; nothing else is ever asked for.
pub(super) fn text(pickle: &[u8], span: Span) -> &str {
    str::from_utf8(span.of(pickle)).unwrap_or_default()
}

/// The arena of values.
#[derive(Debug)]
pub(crate) struct Values {
    all: Vec<Value>,
    /// The items of all tuples.
    pub(super) items: Vec<Id>,
    pub(super) lists: Vec<Sequence>,
    pub(super) dicts: Vec<Dict>,
    pub(super) sets: Vec<Sequence>,
    pub(super) globals: Vec<Named>,
    pub(super) storages: Vec<StorageRef>,
    pub(super) tensors: Vec<View>,
    pub(super) sizes: Vec<u64>,
    pub(super) objects: Vec<Object>,
    pub(super) budget: Budget,
}

/// Values that are everywhere and take room once: None, the bools, and the integers below this.
const SMALL: i64 = 256;

impl Values {
    pub(super) fn new(budget: Budget) -> Values {
        let mut all = vec![Value::None, Value::Bool(false), Value::Bool(true)];
        all.extend((0..SMALL).map(Value::Int));
        Values {
            all,
            items: Vec::new(),
            lists: Vec::new(),
            dicts: Vec::new(),
            sets: Vec::new(),
            globals: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
            sizes: Vec::new(),
            objects: Vec::new(),
            budget,
        }
    }

    pub(super) fn get(&self, id: Id) -> Value {
        self.all[id.0 as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn add(&mut self, value: Value) -> Result<Id, PtProblem> {
        match value {
            Value::None => return Ok(Id(0)),
            Value::Bool(truth) => return Ok(Id(1 + u32::from(truth))),
            Value::Int(number @ 0..SMALL) => return Ok(Id(3 + number as u32)),
            _ => {}
        }
        self.budget.push::<Value>(1)?;
        self.all.push(value);
        Ok(Id(self.all.len() as u32 - 1))
    }

    /// Adds to a vector of its own kind: the number it has there.
    pub(super) fn add_to<T>(
        &mut self,
        vector: impl FnOnce(&mut Values) -> &mut Vec<T>,
        value: T,
    ) -> Result<u32, PtProblem> {
        self.budget.push::<T>(1)?;
        let vector = vector(self);
        vector.push(value);
        Ok(vector.len() as u32 - 1)
    }

    pub(super) fn tuple(&mut self, items: &[Id]) -> Result<Value, PtProblem> {
        self.budget.push::<Id>(items.len())?;
        let start = self.items.len() as u32;
        self.items.extend(items);
        let len = items.len() as u32;
        Ok(Value::Tuple(Span { start, len }))
    }

    /// The items of a tuple, if it is one.
    pub(super) fn as_tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::Size(items) => Some(items.of(&self.items)),
            _ => None,
        }
    }
}
