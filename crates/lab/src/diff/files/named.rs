//! The tensors of a file by name, whatever its format, to be compared with those of another format.

use std::borrow::Cow;
use std::sync::Arc;

use concord_tensor::pt::{Id, Node, PtDocument, PtProblem};
use concord_tensor::{FileError, NamedTensors, StoredTensor};

use super::path::{Step, Way};
use super::text::repr;
use super::walk::stored;

/// How many ways to tensors and values are followed: those of more, a program made to be many.
const MAX_WAYS: usize = 1 << 20;

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 200;

/// What a file holds, by name.
#[derive(Default)]
pub(super) struct Named<'a> {
    pub(super) tensors: Cow<'a, [(Arc<str>, StoredTensor)]>,
    /// Other values: where they are, and what they are in short.
    pub(super) values: Vec<(String, String)>,
    /// How many things the other format has no room for.
    pub(super) beside: u64,
    /// What cannot be read.
    pub(super) unread: Vec<String>,
}

impl<'a> Named<'a> {
    pub(super) fn of_tensors(named: &'a NamedTensors) -> Named<'a> {
        Named {
            tensors: Cow::Borrowed(&named.tensors),
            values: Vec::new(),
            beside: named
                .metadata
                .as_ref()
                .map_or(0, |metadata| metadata.len() as u64),
            unread: named.unread.clone(),
        }
    }

    /// What a document holds, each thing at every place where it is.
    pub(super) fn of_document(document: &PtDocument) -> Result<Named<'a>, FileError> {
        let mut found = Named::default();
        let mut way = Way::default();
        let mut ways = 0;
        visit(document, document.root(), &mut way, &mut ways, &mut found)?;
        Ok(found)
    }
}

fn visit<'a>(
    document: &'a PtDocument,
    id: Id,
    way: &mut Way<'a>,
    ways: &mut usize,
    found: &mut Named<'_>,
) -> Result<(), FileError> {
    *ways += 1;
    let problem = match (*ways > MAX_WAYS, way.0.len() > MAX_DEPTH) {
        (true, _) => Some(PtProblem::RepeatedKeys),
        (_, true) => Some(PtProblem::TooDeep { limit: MAX_DEPTH }),
        _ => None,
    };
    if let Some(problem) = problem {
        let (path, problem) = (document.path().to_owned(), problem.into());
        return Err(FileError { path, problem });
    }
    let mut below = |step, id, found: &mut Named<'_>| {
        way.0.push(step);
        let done = visit(document, id, way, ways, found);
        way.0.pop();
        done
    };
    match document.node(id) {
        Node::Tensor | Node::Storage => {
            let tensor = stored(document, id)?;
            found.tensors.to_mut().push((way.dotted().into(), tensor));
        }
        Node::Tuple(items) | Node::List(items) => {
            for (index, &item) in items.iter().enumerate() {
                below(Step::Index(index), item, found)?;
            }
        }
        Node::Dict(dict) => {
            for &(key, value) in dict.items {
                below(Step::Key(document, key), value, found)?;
            }
            found.beside += u64::from(dict.state.is_some());
        }
        _ => found.values.push((way.python(), repr(document, id))),
    }
    Ok(())
}
