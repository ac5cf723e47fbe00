//! Two files of `torch.save`, value by value.

use std::collections::HashSet;
use std::hash::RandomState;

use concord_tensor::pt::{
    DictNode, Effort, Id, KeyProblem, Making, Node, ObjectNode, PtDocument, PtProblem,
};
use concord_tensor::{FileError, StoredTensor};

use super::matching::{Match, matches, prefixed, texts};
use super::path::{Step, Way};
use super::rows::{Name, Rows};
use super::text::{both, repr};
use crate::diff::error::DiffError;
use crate::diff::values::{Renamed, ValuesDiff};

/// The deepest nesting that is compared.
const MAX_DEPTH: usize = 200;

/// How many steps may be taken for each value that there is, and beside, so that no knot of values that hold each
/// other takes forever.
const EFFORT_EACH: u64 = 64;
const EFFORT: u64 = 10_000_000;

/// How many pairs of containers may be met for each value, and beside: they are remembered.
const PAIRS_EACH: usize = 1;
const PAIRS: usize = 1 << 20;

/// Compares two files from the top, into rows of tensors and what there is to say of other values.
pub(super) fn walk<'a>(
    a: &'a PtDocument,
    b: &'a PtDocument,
    rows: &mut Rows<'_>,
    values: &mut ValuesDiff,
) -> Result<(), DiffError> {
    let len = a.len() + b.len();
    let mut walk = Walk {
        a,
        b,
        rows,
        values,
        way: Way::default(),
        met: HashSet::new(),
        most_met: len * PAIRS_EACH + PAIRS,
        shown: [HashSet::new(), HashSet::new()],
        hashers: RandomState::new(),
        effort: Effort::new(len as u64 * EFFORT_EACH + EFFORT),
    };
    walk.pair(a.root(), b.root())
}

struct Walk<'a, 'r, 'p> {
    a: &'a PtDocument,
    b: &'a PtDocument,
    rows: &'r mut Rows<'p>,
    values: &'r mut ValuesDiff,
    way: Way<'a>,
    /// Pairs of containers that were compared, or are being compared: a value may hold itself.
    met: HashSet<(Id, Id)>,
    most_met: usize,
    /// Containers of each side whose tensors were shown to be on one side only.
    shown: [HashSet<Id>; 2],
    hashers: RandomState,
    effort: Effort,
}

impl<'a> Walk<'a, '_, '_> {
    fn pair(&mut self, a: Id, b: Id) -> Result<(), DiffError> {
        self.spend(1)?;
        if self.way.0.len() > MAX_DEPTH {
            return Err(self.refuse(PtProblem::TooDeep { limit: MAX_DEPTH }));
        }
        let (node_a, node_b) = (self.a.node(a), self.b.node(b));
        match (&node_a, &node_b) {
            (Node::Tensor, Node::Tensor) | (Node::Storage, Node::Storage) => {
                let (document_a, document_b) = (self.a, self.b);
                let name = Name::Way(&self.way);
                return self.rows.both(&name, Some((a, b)), || {
                    Ok((stored(document_a, a)?, stored(document_b, b)?))
                });
            }
            (Node::Float(of_a), Node::Float(of_b)) => {
                self.values.compared += 1;
                if of_a.to_bits() != of_b.to_bits() {
                    self.differ(a, b);
                }
                return Ok(());
            }
            (Node::Tuple(_), Node::Tuple(_))
            | (Node::Size(_), Node::Size(_))
            | (Node::List(_), Node::List(_))
            | (Node::Dict(_), Node::Dict(_))
            | (Node::Set { .. }, Node::Set { .. })
            | (Node::Object(_), Node::Object(_)) => {}
            _ => {
                self.values.compared += 1;
                if node_a != node_b {
                    self.differ(a, b);
                    self.only_tensors(true, a)?;
                    self.only_tensors(false, b)?;
                }
                return Ok(());
            }
        }
        if !self.met.insert((a, b)) {
            return Ok(());
        }
        if self.met.len() > self.most_met {
            return Err(self.refuse(PtProblem::RepeatedKeys));
        }
        self.values.compared += 1;
        match (node_a, node_b) {
            (Node::Tuple(of_a), Node::Tuple(of_b))
            | (Node::Size(of_a), Node::Size(of_b))
            | (Node::List(of_a), Node::List(of_b)) => {
                if of_a.len() != of_b.len() {
                    self.differ(a, b);
                }
                self.items(of_a, of_b)
            }
            (Node::Dict(of_a), Node::Dict(of_b)) => self.dicts((a, &of_a), (b, &of_b)),
            (
                Node::Set {
                    items: of_a,
                    frozen,
                },
                Node::Set {
                    items: of_b,
                    frozen: other,
                },
            ) => {
                if frozen != other {
                    self.differ(a, b);
                }
                self.sets(of_a, of_b)
            }
            (Node::Object(of_a), Node::Object(of_b)) => self.objects((a, &of_a), (b, &of_b)),
            _ => Ok(()),
        }
    }

    /// Goes down a step, and back.
    fn below(
        &mut self,
        step: Step<'a>,
        compare: impl FnOnce(&mut Self) -> Result<(), DiffError>,
    ) -> Result<(), DiffError> {
        self.way.0.push(step);
        let done = compare(self);
        self.way.0.pop();
        done
    }

    fn items(&mut self, a: &[Id], b: &[Id]) -> Result<(), DiffError> {
        for (index, (&a, &b)) in a.iter().zip(b).enumerate() {
            self.below(Step::Index(index), |walk| walk.pair(a, b))?;
        }
        let common = a.len().min(b.len());
        for (in_a, rest) in [(true, &a[common..]), (false, &b[common..])] {
            for (index, &item) in rest.iter().enumerate() {
                self.below(Step::Index(common + index), |walk| {
                    walk.only_tensors(in_a, item)
                })?;
            }
        }
        Ok(())
    }

    fn dicts(
        &mut self,
        (a, of_a): (Id, &DictNode<'a>),
        (b, of_b): (Id, &DictNode<'a>),
    ) -> Result<(), DiffError> {
        if of_a.ordered != of_b.ordered {
            self.differ(a, b);
        }
        self.pairs(of_a.items, of_b.items, of_a.ordered && of_b.ordered)?;
        self.states("__dict__", of_a.state, of_b.state)
    }

    /// The keys and values of two dicts; `ordered` if the order of the keys counts.
    fn pairs(&mut self, a: &[(Id, Id)], b: &[(Id, Id)], ordered: bool) -> Result<(), DiffError> {
        let (document_a, document_b) = (self.a, self.b);
        let keys = |place: usize| a[place].0;
        let others = |place: usize| b[place].0;
        let matched = matches(
            (document_a, &keys, a.len()),
            (document_b, &others, b.len()),
            &self.hashers,
            &mut self.effort,
        );
        let mut matched = matched.map_err(|problem| self.entangled(problem))?;
        if matched.iter().any(|place| matches!(place, Match::OnlyA(_)))
            && let (Some(names_a), Some(names_b)) = (texts(document_a, a), texts(document_b, b))
            && let Some(prefixed) = prefixed(&names_a, &names_b)
        {
            self.values.renamed.push(Renamed {
                path: self.way.python(),
                prefix: prefixed.prefix.to_owned(),
                in_a: prefixed.in_a,
                names: a.len(),
            });
            let places = prefixed.places.into_iter().enumerate();
            matched = places.map(|(a, b)| Match::Both(a, b)).collect();
        }
        let places = matched.iter().filter_map(|place| match place {
            Match::Both(_, place) => Some(place),
            _ => None,
        });
        if ordered && !places.is_sorted() {
            self.values.differ(
                self.way.python(),
                Some("keys in an order".to_owned()),
                Some("the same in another order".to_owned()),
            );
        }
        for place in matched {
            match place {
                Match::Both(of_a, of_b) => {
                    let step = Step::Key(document_a, a[of_a].0);
                    self.below(step, |walk| walk.pair(a[of_a].1, b[of_b].1))?;
                }
                Match::OnlyA(place) => {
                    let (key, value) = a[place];
                    self.below(Step::Key(document_a, key), |walk| walk.only(true, value))?;
                }
                Match::OnlyB(place) => {
                    let (key, value) = b[place];
                    self.below(Step::Key(document_b, key), |walk| walk.only(false, value))?;
                }
                Match::UnknownA(place) => {
                    let step = Step::Key(document_a, a[place].0);
                    self.below(step, |walk| {
                        walk.values.cannot_tell(walk.way.python());
                        walk.only_tensors(true, a[place].1)
                    })?;
                }
                Match::UnknownB(place) => {
                    let step = Step::Key(document_b, b[place].0);
                    self.below(step, |walk| {
                        walk.values.cannot_tell(walk.way.python());
                        walk.only_tensors(false, b[place].1)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn sets(&mut self, a: &[Id], b: &[Id]) -> Result<(), DiffError> {
        let (document_a, document_b) = (self.a, self.b);
        let elements = |place: usize| a[place];
        let others = |place: usize| b[place];
        let matched = matches(
            (document_a, &elements, a.len()),
            (document_b, &others, b.len()),
            &self.hashers,
            &mut self.effort,
        );
        for place in matched.map_err(|problem| self.entangled(problem))? {
            match place {
                Match::Both(_, _) => self.values.compared += 1,
                Match::OnlyA(place) => {
                    let element = Some(repr(document_a, a[place]));
                    self.values.differ(self.way.python(), element, None);
                }
                Match::OnlyB(place) => {
                    let element = Some(repr(document_b, b[place]));
                    self.values.differ(self.way.python(), None, element);
                }
                Match::UnknownA(_) | Match::UnknownB(_) => {
                    self.values.cannot_tell(self.way.python());
                }
            }
        }
        Ok(())
    }

    /// Two objects, by what the files say of them.
    fn objects(
        &mut self,
        (a, of_a): (Id, &ObjectNode<'a>),
        (b, of_b): (Id, &ObjectNode<'a>),
    ) -> Result<(), DiffError> {
        let document_a = self.a;
        self.values.opaque(|| document_a.class_name(a));
        if Making::Outside == of_a.making || Making::Outside == of_b.making {
            self.values.cannot_tell(self.way.python());
        }
        match (of_a.making, of_b.making) {
            (Making::NewNamed(a), Making::NewNamed(b)) => {
                self.below(Step::Part("named_arguments"), |walk| walk.pair(a, b))?;
            }
            (of_a, of_b) if of_a != of_b => self.differ(a, b),
            _ => {}
        }
        let (a, b) = (of_a, of_b);
        self.below(Step::Part("class"), |walk| walk.pair(a.callee, b.callee))?;
        self.below(Step::Part("arguments"), |walk| {
            walk.pair(a.arguments, b.arguments)
        })?;
        if !a.items.is_empty() || !b.items.is_empty() {
            if a.items.len() != b.items.len() {
                let count = |items: &[Id]| Some(format!("{} items", items.len()));
                let (of_a, of_b) = (count(a.items), count(b.items));
                self.values.differ(self.way.python(), of_a, of_b);
            }
            self.items(a.items, b.items)?;
        }
        self.pairs(a.pairs, b.pairs, false)?;
        self.states("state", a.state, b.state)
    }

    fn states(
        &mut self,
        part: &'static str,
        a: Option<Id>,
        b: Option<Id>,
    ) -> Result<(), DiffError> {
        self.below(Step::Part(part), |walk| match (a, b) {
            (Some(a), Some(b)) => walk.pair(a, b),
            (Some(a), None) => walk.only(true, a),
            (None, Some(b)) => walk.only(false, b),
            (None, None) => Ok(()),
        })
    }

    fn differ(&mut self, a: Id, b: Id) {
        let (of_a, of_b) = both((self.a, a), (self.b, b));
        self.values
            .differ(self.way.python(), Some(of_a), Some(of_b));
    }

    /// A value that one side alone has.
    fn only(&mut self, in_a: bool, id: Id) -> Result<(), DiffError> {
        let document = if in_a { self.a } else { self.b };
        if !matches!(document.node(id), Node::Tensor | Node::Storage) {
            let text = Some(repr(document, id));
            let (a, b) = if in_a { (text, None) } else { (None, text) };
            self.values.differ(self.way.python(), a, b);
        }
        self.only_tensors(in_a, id)
    }

    /// The tensors in a value that one side alone has, each container's once.
    fn only_tensors(&mut self, in_a: bool, id: Id) -> Result<(), DiffError> {
        self.spend(1)?;
        if self.way.0.len() > MAX_DEPTH {
            return Err(self.refuse(PtProblem::TooDeep { limit: MAX_DEPTH }));
        }
        let document = if in_a { self.a } else { self.b };
        let node = document.node(id);
        if matches!(node, Node::Tensor | Node::Storage) {
            let name = Name::Way(&self.way);
            return self.rows.only(&name, in_a, || stored(document, id));
        }
        if !is_container(&node) || !self.shown[usize::from(in_a)].insert(id) {
            return Ok(());
        }
        let items = |walk: &mut Self, items: &'a [Id]| {
            for (index, &item) in items.iter().enumerate() {
                walk.below(Step::Index(index), |walk| walk.only_tensors(in_a, item))?;
            }
            Ok::<(), DiffError>(())
        };
        let pairs = |walk: &mut Self, pairs: &'a [(Id, Id)]| {
            for &(key, value) in pairs {
                walk.below(Step::Key(document, key), |walk| {
                    walk.only_tensors(in_a, value)
                })?;
            }
            Ok::<(), DiffError>(())
        };
        match node {
            Node::Tuple(of) | Node::Size(of) | Node::List(of) | Node::Set { items: of, .. } => {
                items(self, of)
            }
            Node::Dict(dict) => {
                pairs(self, dict.items)?;
                self.only_state(in_a, "__dict__", dict.state)
            }
            Node::Object(object) => {
                let arguments = object.arguments;
                self.only_state(in_a, "arguments", Some(arguments))?;
                items(self, object.items)?;
                pairs(self, object.pairs)?;
                self.only_state(in_a, "state", object.state)
            }
            _ => Ok(()),
        }
    }

    fn only_state(
        &mut self,
        in_a: bool,
        part: &'static str,
        state: Option<Id>,
    ) -> Result<(), DiffError> {
        match state {
            Some(state) => self.below(Step::Part(part), |walk| walk.only_tensors(in_a, state)),
            None => Ok(()),
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), DiffError> {
        let spent = self.effort.spend(steps);
        spent.map_err(|problem| self.entangled(problem))
    }

    fn entangled(&self, _: KeyProblem) -> DiffError {
        self.refuse(PtProblem::RepeatedKeys)
    }

    fn refuse(&self, problem: PtProblem) -> DiffError {
        let (path, problem) = (self.a.path().to_owned(), problem.into());
        FileError { path, problem }.into()
    }
}

fn is_container(node: &Node<'_>) -> bool {
    matches!(
        node,
        Node::Tuple(_)
            | Node::Size(_)
            | Node::List(_)
            | Node::Dict(_)
            | Node::Set { .. }
            | Node::Object(_)
    )
}

/// A tensor of a document.
pub(super) fn stored(document: &PtDocument, id: Id) -> Result<StoredTensor, FileError> {
    let path = || document.path().to_owned();
    document.tensor(id)?.ok_or_else(|| FileError {
        path: path(),
        problem: PtProblem::NotWritten {
            what: "a value that is no tensor".to_owned(),
        }
        .into(),
    })
}
