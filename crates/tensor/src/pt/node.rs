//! A value of a file as it is looked at.

use std::borrow::Cow;

use super::global::module_today;
use super::unpickled::{Id, Making, Unpickled, Value};

/// A value of a [`PtDocument`](super::PtDocument), with what it holds by number.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that does not fit 64 bits: the fewest bytes of its two's complement, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Str(&'a str),
    Bytes {
        bytes: Cow<'a, [u8]>,
        /// Whether they are a `bytearray`.
        mutable: bool,
    },
    Tuple(&'a [Id]),
    /// A `torch.Size`.
    Size(&'a [Id]),
    List(&'a [Id]),
    Dict(DictNode<'a>),
    Set {
        items: &'a [Id],
        frozen: bool,
    },
    /// A class or function, or a type of elements, by its name of today.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// A tensor or a parameter, which is not told from one.
    Tensor,
    /// A storage by itself.
    Storage,
    /// Anything else, as the file describes it.
    Object(ObjectNode<'a>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct DictNode<'a> {
    /// Keys and values in order; no key comes twice.
    pub items: &'a [(Id, Id)],
    /// Whether it is an `OrderedDict`.
    pub ordered: bool,
    /// The attributes of the dict object: `_metadata` in state dicts.
    pub state: Option<Id>,
}

/// An object of a class that is not known, or what a function returns that is not known. It was never made.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectNode<'a> {
    pub making: Making,
    /// The class or function.
    pub callee: Id,
    pub arguments: Id,
    /// What it is given after it was made.
    pub state: Option<Id>,
    /// What is appended to it.
    pub items: &'a [Id],
    /// The keys and values that are set in it.
    pub pairs: &'a [(Id, Id)],
}

/// Adds what a value holds.
pub(super) fn held(node: &Node<'_>, into: &mut Vec<Id>) {
    let pairs = |pairs: &[(Id, Id)], into: &mut Vec<Id>| {
        into.extend(pairs.iter().flat_map(|&(key, value)| [key, value]));
    };
    match node {
        Node::Tuple(items) | Node::Size(items) | Node::List(items) | Node::Set { items, .. } => {
            into.extend(*items);
        }
        Node::Dict(dict) => {
            pairs(dict.items, into);
            into.extend(dict.state);
        }
        Node::Object(object) => {
            into.extend([object.callee, object.arguments]);
            into.extend(object.state);
            into.extend(object.items);
            pairs(object.pairs, into);
            if let Making::NewNamed(named) = object.making {
                into.push(named);
            }
        }
        _ => {}
    }
}

impl Unpickled {
    /// A value.
    pub(super) fn node(&self, id: Id) -> Node<'_> {
        let values = &self.values;
        match self.get(id) {
            Value::None => Node::None,
            Value::Bool(truth) => Node::Bool(truth),
            Value::Int(number) => Node::Int(number),
            Value::Long(bytes) => Node::Long(bytes.of(&self.pickle)),
            Value::Float(number) => Node::Float(number),
            Value::Str(text) => Node::Str(self.text(text)),
            Value::Bytes(bytes, form) => {
                let mutable = form.mutable;
                let bytes = if form.latin1 {
                    let text = self.text(bytes);
                    if text.is_ascii() {
                        Cow::Borrowed(text.as_bytes())
                    } else {
                        Cow::Owned(text.chars().map(|c| u32::from(c) as u8).collect())
                    }
                } else {
                    Cow::Borrowed(bytes.of(&self.pickle))
                };
                Node::Bytes { bytes, mutable }
            }
            Value::Tuple(items) => Node::Tuple(items.of(&values.items)),
            Value::Size(items) => Node::Size(items.of(&values.items)),
            Value::List(list) => Node::List(&values.lists[list as usize].items),
            Value::Dict(dict) => {
                let dict = &values.dicts[dict as usize];
                Node::Dict(DictNode {
                    items: &dict.items,
                    ordered: dict.ordered,
                    state: dict.state,
                })
            }
            Value::Set(set) => {
                let set = &values.sets[set as usize];
                Node::Set {
                    items: &set.items,
                    frozen: set.frozen,
                }
            }
            Value::Global(named) => {
                let named = &values.globals[named as usize];
                Node::Global {
                    module: module_today(self.text(named.module)),
                    name: self.text(named.name),
                }
            }
            Value::Storage(_) => Node::Storage,
            Value::Tensor(_) => Node::Tensor,
            Value::Object(object) => {
                let object = &values.objects[object as usize];
                Node::Object(ObjectNode {
                    making: object.making,
                    callee: object.callee,
                    arguments: object.arguments,
                    state: object.state,
                    items: &object.items,
                    pairs: &object.pairs,
                })
            }
        }
    }
}
