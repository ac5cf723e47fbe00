//! What a pickle describes.
//!
//! Values live in one arena and refer to each other by number. So a value that a pickle uses a
//! thousand times takes room once, and one that contains itself is no cycle in memory; whoever
//! walks the result must bound the walk.

use std::rc::Rc;

use super::global::Global;
use super::problem::PtProblem;
use crate::dtype::DType;

/// The most values a pickle may describe.
///
/// The checkpoint of a large model has some ten thousand, and a list of numbers one for each.
pub(super) const MAX_VALUES: usize = 2_000_000;

/// The number of a value in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(usize);

/// A value of a pickle.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order they were set; a later pair of equal key replaces the former.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(StorageRef),
    Tensor(View),
}

impl Value {
    /// What it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Str(_) => "a string",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dict",
            Value::Global(_) => "a class or function",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }
}

/// A storage as a pickle names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StorageRef {
    pub(super) dtype: DType,
    /// The name of its entry below `data/`.
    pub(super) key: Rc<str>,
    pub(super) count: u64,
}

/// A tensor as a pickle describes it, not yet checked against its storage.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) storage: StorageRef,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What running a pickle leaves: its values, and which of them is the result.
#[derive(Debug)]
pub(super) struct Unpickled {
    values: Values,
    pub(super) root: Id,
}

impl Unpickled {
    pub(super) fn new(values: Values, root: Id) -> Unpickled {
        Unpickled { values, root }
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id)
    }
}

/// The arena of values.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<Value>);

impl Values {
    pub(super) fn get(&self, id: Id) -> &Value {
        &self.0[id.0]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.0[id.0]
    }

    pub(super) fn add(&mut self, value: Value) -> Result<Id, PtProblem> {
        if self.0.len() == MAX_VALUES {
            return Err(PtProblem::TooManyValues { limit: MAX_VALUES });
        }
        self.0.push(value);
        Ok(Id(self.0.len() - 1))
    }
}
