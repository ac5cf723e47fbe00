//! When two values are the same key of a dict, or the same element of a set.
//!
//! Python asks `==` and `hash` of them. What a pickle holds of a value decides instead: two are the same if
//! their types and contents are, floats by their bits. That is as fine or finer than Python's `==`, which takes
//! `1`, `1.0` and `True` for the same. A tensor is the same as itself alone, so nothing can be said of one in
//! another file.

use std::hash::{BuildHasher, Hash, Hasher};

use super::node::Node;
use super::unpickled::{Id, Making, Unpickled};

/// The deepest nesting of a key.
const MAX_DEPTH: usize = 64;

/// Why keys cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// One holds a tensor, or is nested too deep.
    Incomparable,
    /// Keys are repeated so often that comparing them would take forever.
    Effort,
}

/// How many values may still be looked at.
#[derive(Debug)]
pub struct Effort(u64);

impl Effort {
    pub fn new(values: u64) -> Effort {
        Effort(values)
    }

    /// Looks at so many.
    ///
    /// # Errors
    /// [`KeyProblem::Effort`].
    pub fn spend(&mut self, values: usize) -> Result<(), KeyProblem> {
        self.0 = self
            .0
            .checked_sub(values as u64)
            .ok_or(KeyProblem::Effort)?;
        Ok(())
    }
}

/// The hash of a key; the same of the same keys in any document, with the same hasher.
pub(super) fn hash(
    nodes: &Unpickled,
    id: Id,
    hashers: &impl BuildHasher,
    effort: &mut Effort,
) -> Result<u64, KeyProblem> {
    hash_below(nodes, id, hashers, effort, 0)
}

fn hash_below(
    nodes: &Unpickled,
    id: Id,
    hashers: &impl BuildHasher,
    effort: &mut Effort,
    depth: usize,
) -> Result<u64, KeyProblem> {
    if depth > MAX_DEPTH {
        return Err(KeyProblem::Incomparable);
    }
    effort.spend(1)?;
    let mut hasher = hashers.build_hasher();
    let node = nodes.node(id);
    std::mem::discriminant(&node).hash(&mut hasher);
    let mut below = |id| hash_below(nodes, id, hashers, effort, depth + 1);
    match node {
        Node::None => {}
        Node::Bool(truth) => truth.hash(&mut hasher),
        Node::Int(number) => number.hash(&mut hasher),
        Node::Long(bytes) => bytes.hash(&mut hasher),
        Node::Float(number) => number.to_bits().hash(&mut hasher),
        Node::Str(text) => text.hash(&mut hasher),
        Node::Bytes { bytes, mutable } => (bytes, mutable).hash(&mut hasher),
        Node::Global { module, name } => (module, name).hash(&mut hasher),
        Node::Tuple(items) | Node::Size(items) | Node::List(items) => {
            for &item in items {
                below(item)?.hash(&mut hasher);
            }
        }
        Node::Set { items, frozen } => {
            let mut all = 0u64;
            for &item in items {
                all = all.wrapping_add(below(item)?);
            }
            (all, frozen).hash(&mut hasher);
        }
        Node::Dict(dict) => {
            let mut all = 0u64;
            for &(key, value) in dict.items {
                let pair = (below(key)?, below(value)?);
                all = all.wrapping_add(hashers.hash_one(pair));
            }
            (all, dict.ordered).hash(&mut hasher);
        }
        Node::Object(object) => {
            below(object.callee)?.hash(&mut hasher);
            below(object.arguments)?.hash(&mut hasher);
            if let Some(state) = object.state {
                below(state)?.hash(&mut hasher);
            }
            (object.items.len(), object.pairs.len()).hash(&mut hasher);
        }
        Node::Tensor | Node::Storage => return Err(KeyProblem::Incomparable),
    }
    Ok(hasher.finish())
}

/// Whether two keys are the same, each of its own document.
pub(super) fn same(
    (nodes_a, a): (&Unpickled, Id),
    (nodes_b, b): (&Unpickled, Id),
    effort: &mut Effort,
) -> Result<bool, KeyProblem> {
    Comparing {
        nodes_a,
        nodes_b,
        effort,
    }
    .same(a, b, 0)
}

struct Comparing<'a> {
    nodes_a: &'a Unpickled,
    nodes_b: &'a Unpickled,
    effort: &'a mut Effort,
}

impl Comparing<'_> {
    fn same(&mut self, a: Id, b: Id, depth: usize) -> Result<bool, KeyProblem> {
        if depth > MAX_DEPTH {
            return Err(KeyProblem::Incomparable);
        }
        self.effort.spend(1)?;
        Ok(match (self.nodes_a.node(a), self.nodes_b.node(b)) {
            (Node::None, Node::None) => true,
            (Node::Bool(a), Node::Bool(b)) => a == b,
            (Node::Int(a), Node::Int(b)) => a == b,
            (Node::Long(a), Node::Long(b)) => a == b,
            (Node::Float(a), Node::Float(b)) => a.to_bits() == b.to_bits(),
            (Node::Str(a), Node::Str(b)) => a == b,
            (a @ Node::Bytes { .. }, b @ Node::Bytes { .. })
            | (a @ Node::Global { .. }, b @ Node::Global { .. }) => a == b,
            (Node::Tuple(a), Node::Tuple(b))
            | (Node::Size(a), Node::Size(b))
            | (Node::List(a), Node::List(b)) => self.all(a, b, depth)?,
            (
                Node::Set {
                    items: a,
                    frozen: f,
                },
                Node::Set {
                    items: b,
                    frozen: g,
                },
            ) => f == g && a.len() == b.len() && self.unordered(a, b, depth)?,
            (Node::Dict(a), Node::Dict(b)) => {
                a.ordered == b.ordered && self.pairs(a.items, b.items, depth)?
            }
            (Node::Object(a), Node::Object(b)) => {
                let making = match (a.making, b.making) {
                    (Making::NewNamed(a), Making::NewNamed(b)) => self.same(a, b, depth + 1)?,
                    (a, b) => a == b,
                };
                let state = match (a.state, b.state) {
                    (Some(a), Some(b)) => self.same(a, b, depth + 1)?,
                    (a, b) => a == b,
                };
                making
                    && state
                    && self.same(a.callee, b.callee, depth + 1)?
                    && self.same(a.arguments, b.arguments, depth + 1)?
                    && self.all(a.items, b.items, depth)?
                    && self.pairs(a.pairs, b.pairs, depth)?
            }
            (Node::Tensor | Node::Storage, _) | (_, Node::Tensor | Node::Storage) => {
                return Err(KeyProblem::Incomparable);
            }
            _ => false,
        })
    }

    fn all(&mut self, a: &[Id], b: &[Id], depth: usize) -> Result<bool, KeyProblem> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (&a, &b) in a.iter().zip(b) {
            if !self.same(a, b, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether each of the first is among the second; sets in keys are short.
    fn unordered(&mut self, a: &[Id], b: &[Id], depth: usize) -> Result<bool, KeyProblem> {
        'next: for &a in a {
            for &b in b {
                if self.same(a, b, depth + 1)? {
                    continue 'next;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn pairs(&mut self, a: &[(Id, Id)], b: &[(Id, Id)], depth: usize) -> Result<bool, KeyProblem> {
        if a.len() != b.len() {
            return Ok(false);
        }
        'next: for &(key, value) in a {
            for &(other, its) in b {
                if self.same(key, other, depth + 1)? && self.same(value, its, depth + 1)? {
                    continue 'next;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }
}
