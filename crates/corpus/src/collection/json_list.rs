//! A JSON list of texts, as RAGatouille keeps the passages of an index.

use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::passages::Collection;
use crate::error::{CorpusError, LineProblem};
use crate::json_fields::malformed;
use crate::source::{Source, read_error};

pub(super) fn parse(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
    let mut source = Source::of(reader).map_err(|error| read_error(name, 1, error))?;
    let first = source.fill_buf();
    if first
        .map_err(|error| read_error(name, 1, error))?
        .is_empty()
    {
        return Err(CorpusError::Empty {
            file: name.to_owned(),
        });
    }
    let mut json = serde_json::Deserializer::from_reader(source);
    let mut collection = Collection::default();
    let read = json.deserialize_seq(Texts(&mut collection));
    let read = read.and_then(|()| json.end());
    read.map_err(|error| {
        let line = error.line() as u64;
        match error.is_io() {
            true => read_error(name, line, error.into()),
            false => malformed(&error).at(name, line),
        }
    })?;
    match collection.is_empty() {
        true => Err(CorpusError::Empty {
            file: name.to_owned(),
        }),
        false => Ok(collection),
    }
}

/// Reads a list of strings into a collection, one after the other.
struct Texts<'c>(&'c mut Collection);

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Text(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Text<'c>(&'c mut Collection);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let room = self.0.check_room();
        room.map_err(|problem: LineProblem| E::custom(problem))?;
        self.0.texts.push(&[text]);
        Ok(())
    }
}
