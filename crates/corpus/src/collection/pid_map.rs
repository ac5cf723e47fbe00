//! RAGatouille's map from pids to document ids.

use std::fmt;
use std::io::BufRead;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};

use super::passages::{Collection, ExternalIds, RepeatedId};
use crate::error::{CorpusError, PidMapProblem};
use crate::ids::{check_id, quoted};
use crate::packed_strings::PackedStrings;
use crate::source::{Source, read_error};

/// Gives the passages of `collection` the ids of a map, which is one JSON object: `{"0": "first", "1": "second"}`.
pub(super) fn read(
    collection: &mut Collection,
    name: &str,
    reader: impl BufRead,
) -> Result<(), CorpusError> {
    let source = Source::of(reader).map_err(|error| read_error(name, 1, error))?;
    let mut json = serde_json::Deserializer::from_reader(source);
    let mut ids = vec![None; collection.len()];
    let read = json.deserialize_map(Ids(&mut ids));
    let problem = |problem| CorpusError::PidMap {
        file: name.to_owned(),
        problem,
    };
    read.and_then(|()| json.end()).map_err(|error| {
        let line = error.line() as u64;
        match error.is_io() {
            true => read_error(name, line, error.into()),
            false => problem(PidMapProblem::Json(error.to_string())),
        }
    })?;
    let mut by_pid = PackedStrings::default();
    for (pid, id) in ids.into_iter().enumerate() {
        let id = id.ok_or_else(|| problem(PidMapProblem::Missing { pid }))?;
        by_pid.push(&[&id]);
    }
    let ids = ExternalIds::new(by_pid);
    let ids = ids.map_err(|RepeatedId { id, first, second }| {
        problem(PidMapProblem::Repeated { id, first, second })
    })?;
    collection.external_ids = Some(ids);
    Ok(())
}

/// Reads the ids into their places.
struct Ids<'c>(&'c mut Vec<Option<Box<str>>>);

impl<'de> Visitor<'de> for Ids<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of pids and document ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some((pid, id)) = entries.next_entry::<Box<str>, Id>()? {
            let place = pid.parse().ok().and_then(|pid: usize| self.0.get_mut(pid));
            let Some(place) = place else {
                let pid = quoted(&pid);
                return Err(A::Error::custom(format!("{pid:?} is no pid of the index")));
            };
            if place.replace(id.0).is_some() {
                return Err(A::Error::custom(format!("pid {pid} is there twice")));
            }
        }
        Ok(())
    }
}

/// An id: a text, or a whole number, written out.
struct Id(Box<str>);

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Id, D::Error> {
        value.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document id")
    }

    fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<Id, E> {
        check_id("the document id", id).map_err(E::custom)?;
        Ok(Id(id.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Id, E> {
        Ok(Id(id.to_string().into()))
    }

    fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<Id, E> {
        Ok(Id(id.to_string().into()))
    }
}
