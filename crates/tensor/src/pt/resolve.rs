//! A file of `torch.save` as a tree of values.

use super::document::PtDocument;
use super::node::Node;
use super::problem::PtProblem;
use super::unpickled::Id;
use super::value::PtValue;
use crate::budget::Budget;
use crate::file_error::FileError;
use crate::source::TensorSource;

/// The deepest nesting read. Checkpoints nest three or four deep.
const MAX_DEPTH: usize = 64;

/// How much larger than the file its tensors may be in sum: this many bytes, and this many times.
///
/// A tree is read to hold its tensors in memory. Views of one storage let a small file describe any amount of
/// data. Sharing is ordinary (tied weights, a broadcast mask of a few megabytes), tenfold is not.
const REPEATED: u64 = 24 << 20;
const REPEATED_TIMES: u64 = 2;

type Lazy = PtValue<TensorSource>;

/// The value of a document as a tree: what it holds at several places comes several times.
pub(super) fn resolve(document: &PtDocument) -> Result<Lazy, FileError> {
    let file = document.file_len();
    let mut resolver = Resolver {
        document,
        budget: Budget::of_file(file),
        bytes: 0,
        limit: file.saturating_mul(REPEATED_TIMES).saturating_add(REPEATED),
    };
    resolver.value(document.root(), Way::default())
}

struct Resolver<'a> {
    document: &'a PtDocument,
    budget: Budget,
    /// How many bytes the elements of the tensors take that were found, and at most may.
    bytes: u64,
    limit: u64,
}

/// The way from the top to a value.
#[derive(Clone, Copy, Default)]
struct Way {
    depth: usize,
    /// The length of its text, as [`PtValue::tensors`] makes it, in bytes.
    len: u64,
}

impl Way {
    /// The way to what is found under a key of `len` bytes.
    fn join(self, len: usize) -> Way {
        Way {
            depth: self.depth + 1,
            len: self.len + len as u64 + 1,
        }
    }
}

/// More digits than a position or an integer key has.
const DIGITS: usize = 20;

/// What a tensor's source takes in memory beside itself: shape and strides.
const SOURCE: u64 = 64;

impl Resolver<'_> {
    fn value(&mut self, id: Id, way: Way) -> Result<Lazy, FileError> {
        if way.depth > MAX_DEPTH {
            return Err(self.document.error(PtProblem::TooDeep { limit: MAX_DEPTH }));
        }
        self.take(size_of::<Lazy>() as u64)?;
        let document = self.document;
        Ok(match document.node(id) {
            Node::None => PtValue::None,
            Node::Bool(value) => PtValue::Bool(value),
            Node::Int(value) => PtValue::Int(value),
            Node::Float(value) => PtValue::Float(value),
            Node::Str(value) => {
                self.take(value.len() as u64)?;
                PtValue::Str(value.to_owned())
            }
            Node::Tuple(items) | Node::Size(items) => PtValue::Tuple(self.all(items, way)?),
            Node::List(items) => PtValue::List(self.all(items, way)?),
            Node::Dict(dict) => {
                let item = |&(key, value): &(Id, Id)| {
                    let way = way.join(match document.node(key) {
                        Node::Str(text) => text.len(),
                        _ => DIGITS,
                    });
                    Ok((self.value(key, way)?, self.value(value, way)?))
                };
                PtValue::Dict(
                    dict.items
                        .iter()
                        .map(item)
                        .collect::<Result<_, FileError>>()?,
                )
            }
            Node::Tensor => {
                self.take(way.len + SOURCE)?;
                self.tensor(id)?
            }
            Node::Long(bytes) => self.other(format!("an integer of {} bytes", bytes.len()))?,
            Node::Bytes { mutable: false, .. } => self.other("bytes".to_owned())?,
            Node::Bytes { mutable: true, .. } => self.other("a bytearray".to_owned())?,
            Node::Set { frozen: false, .. } => self.other("a set".to_owned())?,
            Node::Set { frozen: true, .. } => self.other("a frozenset".to_owned())?,
            Node::Storage => self.other("a storage".to_owned())?,
            Node::Global { .. } => {
                self.other(format!("the class or function {}", document.class_name(id)))?
            }
            Node::Object(_) => self.other(format!("an object of {}", document.class_name(id)))?,
        })
    }

    fn all(&mut self, items: &[Id], way: Way) -> Result<Vec<Lazy>, FileError> {
        items
            .iter()
            .map(|&item| self.value(item, way.join(DIGITS)))
            .collect()
    }

    fn tensor(&mut self, id: Id) -> Result<Lazy, FileError> {
        self.bytes = self.bytes.saturating_add(self.document.tensor_bytes(id));
        if self.bytes > self.limit {
            return Err(self.document.error(PtProblem::Inflated {
                bytes: self.bytes,
                file: self.document.file_len(),
                limit: self.limit,
            }));
        }
        let Some(stored) = self.document.tensor(id)? else {
            return self.other("a tensor".to_owned());
        };
        let elements = stored.element_type();
        match stored.known() {
            Some(source) => Ok(PtValue::Tensor(source)),
            None => self.other(format!(
                "a tensor of {elements}, which is not computed with"
            )),
        }
    }

    fn other(&mut self, what: String) -> Result<Lazy, FileError> {
        self.take(what.len() as u64)?;
        Ok(PtValue::Other(what))
    }

    fn take(&mut self, bytes: u64) -> Result<(), FileError> {
        let taken = self.budget.take(bytes);
        taken.map_err(|exhausted| self.document.error(PtProblem::from(exhausted)))
    }
}
