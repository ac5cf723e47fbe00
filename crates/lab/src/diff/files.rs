//! Two single files: every tensor, and every value beside.
//!
//! Two files of `torch.save` are compared from the top, each value with what lies at the same place in the other.
//! Those of other formats are tensors by name, and so is one of `torch.save` beside them.

mod matching;
mod named;
mod path;
mod rows;
mod text;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use concord_tensor::closeness::Tolerance;
use concord_tensor::{Contents, StoredTensor};

use super::error::DiffError;
use super::progress::DiffProgress;
use super::report::{Counts, DiffRow};
use super::values::{Renamed, ValuesDiff};
use crate::diff::names::places_in;
use crate::side::{FileHolding, TensorFile};
use matching::prefixed;
use named::Named;
use rows::{Name, Rows};

/// What two files hold, beside each other.
pub(super) struct FileDiff {
    pub(super) rows: Vec<DiffRow>,
    /// What came of tensors that are too many to be listed.
    pub(super) unlisted: Counts,
    pub(super) values: ValuesDiff,
}

/// Compares two files.
pub(super) fn compare(
    a: &TensorFile,
    b: &TensorFile,
    tolerance: Tolerance,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<FileDiff, DiffError> {
    let mut values = ValuesDiff::default();
    let mut rows = Rows::new(tolerance, a.bytes().saturating_add(b.bytes()), progress);
    match (a.holding(), b.holding()) {
        (
            FileHolding::Contents(Contents::Pickled(a)),
            FileHolding::Contents(Contents::Pickled(b)),
        ) => walk::walk(a, b, &mut rows, &mut values)?,
        (a, b) => {
            let (of_a, of_b) = (named(a)?, named(b)?);
            by_name(&of_a, &of_b, &mut rows, &mut values)?;
            match (metadata(a), metadata(b)) {
                (Some(a), Some(b)) => compare_metadata(a, b, &mut values),
                _ => values.not_compared += of_a.beside + of_b.beside,
            }
        }
    }
    Ok(FileDiff {
        rows: rows.rows,
        unlisted: rows.unlisted,
        values,
    })
}

fn named(holding: &FileHolding) -> Result<Named<'_>, DiffError> {
    Ok(match holding {
        FileHolding::Contents(Contents::Pickled(document)) => Named::of_document(document)?,
        FileHolding::Contents(Contents::Named(named)) => Named::of_tensors(named),
        FileHolding::List(list) => Named {
            tensors: Cow::Owned(vec![("".into(), list.clone())]),
            ..Named::default()
        },
    })
}

fn metadata(holding: &FileHolding) -> Option<&BTreeMap<String, String>> {
    match holding {
        FileHolding::Contents(Contents::Named(named)) => named.metadata.as_ref(),
        _ => None,
    }
}

/// Compares tensors of the same name: in the order of the first file, and what only the second has behind what
/// precedes it there. Other values are on one side only, for the other format has none.
fn by_name(
    a: &Named<'_>,
    b: &Named<'_>,
    rows: &mut Rows<'_>,
    values: &mut ValuesDiff,
) -> Result<(), DiffError> {
    let [names_a, names_b] = [a, b].map(|named| {
        let names = named.tensors.iter().map(|(name, _)| &**name);
        names.collect::<Vec<&str>>()
    });
    let mut places = places_in(&names_a, &names_b);
    let all_have = places
        .iter()
        .all(|place| matches!(place, (Some(_), Some(_))));
    if !all_have && let Some(prefixed) = prefixed(&names_a, &names_b) {
        values.renamed.push(Renamed {
            path: String::new(),
            prefix: prefixed.prefix.to_owned(),
            in_a: prefixed.in_a,
            names: names_a.len(),
        });
        let pairs = prefixed.places.into_iter().enumerate();
        places = pairs.map(|(a, b)| (Some(a), Some(b))).collect();
    }
    let tensor =
        |named: &Named<'_>, place: usize| -> StoredTensor { named.tensors[place].1.clone() };
    for place in places {
        match place {
            (Some(of_a), Some(of_b)) => {
                let name = Name::Given(names_a[of_a]);
                rows.both(&name, None, || Ok((tensor(a, of_a), tensor(b, of_b))))?;
            }
            (Some(of_a), None) => {
                rows.only(&Name::Given(names_a[of_a]), true, || Ok(tensor(a, of_a)))?;
            }
            (None, Some(of_b)) => {
                rows.only(&Name::Given(names_b[of_b]), false, || Ok(tensor(b, of_b)))?;
            }
            (None, None) => {}
        }
    }
    for (path, text) in &a.values {
        values.differ(path.clone(), Some(text.clone()), None);
    }
    for (path, text) in &b.values {
        values.differ(path.clone(), None, Some(text.clone()));
    }
    for name in a.unread.iter().chain(&b.unread) {
        values.cannot_tell(name.clone());
    }
    Ok(())
}

fn compare_metadata(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
    values: &mut ValuesDiff,
) {
    let only = b.keys().filter(|key| !a.contains_key(*key));
    for key in a.keys().chain(only) {
        values.compared += 1;
        let (of_a, of_b) = (a.get(key), b.get(key));
        if of_a != of_b {
            let path = path::shortened(format!("__metadata__[{key:?}]"));
            let text = |value: Option<&String>| Some(path::shortened(format!("{:?}", value?)));
            values.differ(path, text(of_a), text(of_b));
        }
    }
}
