//! Fields of a JSON object that stands on one line.
//!
//! Only the fields that are asked for are kept. What else an object holds is skipped, not built: a list of zeros
//! would take sixteen times its own size.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;

use crate::error::LineProblem;
use crate::ids::check_id;

/// A value of a field, as far as any field needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field<'a> {
    Text(Cow<'a, str>),
    /// A whole number from 0 on.
    Natural(u64),
    Negative(i64),
    Fraction(f64),
    Bool,
    Null,
    Array,
    Object,
}

/// The fields of an object that were asked for; of one that is repeated the last, as in Python.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    wanted: Vec<(&'static str, Field<'a>)>,
    /// Whether there are others.
    pub(crate) others: bool,
}

/// The fields `wanted` of the object on `line`.
pub(crate) fn object<'a>(
    line: &'a str,
    wanted: &[&'static str],
) -> Result<Fields<'a>, LineProblem> {
    parse(line, Object { wanted })?
}

/// What `seed` makes of `line`, which is one JSON value.
pub(crate) fn parse<'a, S: DeserializeSeed<'a>>(
    line: &'a str,
    seed: S,
) -> Result<S::Value, LineProblem> {
    let mut json = Deserializer::from_str(line);
    let value = seed.deserialize(&mut json).map_err(|e| malformed(&e))?;
    json.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

/// The problem that the parser has with a line.
pub(crate) fn malformed(error: &serde_json::Error) -> LineProblem {
    LineProblem::MalformedJson {
        column: error.column(),
        message: message_without_place(error),
    }
}

/// The parser's message less its " at line 1 column N": each line is parsed on its own, so that
/// line number would contradict the file's.
fn message_without_place(error: &serde_json::Error) -> String {
    let full = error.to_string();
    match full.rfind(" at line ") {
        Some(cut) => full[..cut].to_owned(),
        None => full,
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn has(&self, field: &str) -> bool {
        self.find(field).is_some()
    }

    fn find(&self, field: &str) -> Option<&Field<'a>> {
        let mut found = self.wanted.iter().rev();
        found
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value)
    }

    /// The value of `field`.
    pub(crate) fn get(&self, field: &'static str) -> Result<&Field<'a>, LineProblem> {
        self.find(field).ok_or(LineProblem::MissingField { field })
    }

    /// The string under `field`.
    pub(crate) fn text(&self, field: &'static str) -> Result<&str, LineProblem> {
        match self.get(field)? {
            Field::Text(text) => Ok(text),
            other => Err(other.should_be(field, "a string")),
        }
    }

    /// The id under `field`.
    pub(crate) fn id(&self, field: &'static str) -> Result<Cow<'_, str>, LineProblem> {
        self.get(field)?.id(field)
    }
}

impl Field<'_> {
    /// An id: a string that is not empty, or a whole number, written out.
    pub(crate) fn id(&self, field: &'static str) -> Result<Cow<'_, str>, LineProblem> {
        let id = match self {
            Field::Text(text) => Cow::Borrowed(text.as_ref()),
            Field::Natural(number) => Cow::Owned(number.to_string()),
            Field::Negative(number) => Cow::Owned(number.to_string()),
            other => return Err(other.should_be(field, "a string or a whole number")),
        };
        check_id(field, &id)?;
        Ok(id)
    }

    /// A whole number from 0 to `u32::MAX`.
    pub(crate) fn small_integer(&self, field: &'static str) -> Result<u32, LineProblem> {
        let small = match self {
            Field::Natural(number) => u32::try_from(*number).ok(),
            _ => None,
        };
        small.ok_or_else(|| self.should_be(field, "a whole number below 2^32"))
    }

    pub(crate) fn number(&self, field: &'static str) -> Result<f64, LineProblem> {
        match self {
            Field::Natural(number) => Ok(*number as f64),
            Field::Negative(number) => Ok(*number as f64),
            Field::Fraction(number) => Ok(*number),
            other => Err(other.should_be(field, "a number")),
        }
    }

    /// That `field` holds this and not what it should.
    pub(crate) fn should_be(&self, field: &'static str, expected: &'static str) -> LineProblem {
        LineProblem::FieldType {
            field,
            expected,
            found: self.kind(),
        }
    }

    /// The kind of value in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Field::Null => "null",
            Field::Bool => "a boolean",
            Field::Fraction(_) => "a fraction",
            Field::Natural(_) | Field::Negative(_) => "a whole number",
            Field::Text(_) => "a string",
            Field::Array => "an array",
            Field::Object => "an object",
        }
    }
}

/// Reads any value as a [`Field`].
pub(crate) struct Any;

impl<'a> DeserializeSeed<'a> for Any {
    type Value = Field<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(self, value: D) -> Result<Field<'a>, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Any {
    type Value = Field<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'a>, E> {
        Ok(Field::Natural(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'a>, E> {
        Ok(u64::try_from(number).map_or(Field::Negative(number), Field::Natural))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field<'a>, E> {
        Ok(Field::Fraction(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<'a>, E> {
        Ok(Field::Bool)
    }

    fn visit_unit<E>(self) -> Result<Field<'a>, E> {
        Ok(Field::Null)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Field<'a>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Array)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Field<'a>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Object)
    }
}

/// Reads the fields `wanted` of an object. What else there is is read as well, so that reading goes on behind it, and
/// is the problem that it is.
pub(crate) struct Object<'w> {
    pub(crate) wanted: &'w [&'static str],
}

type Found<'a> = Result<Fields<'a>, LineProblem>;

fn not_an_object<'a>(found: &Field<'_>) -> Found<'a> {
    Err(LineProblem::NotAnObject {
        found: found.kind(),
    })
}

impl<'a> DeserializeSeed<'a> for Object<'_> {
    type Value = Found<'a>;

    fn deserialize<D: serde::Deserializer<'a>>(self, value: D) -> Result<Found<'a>, D::Error> {
        value.deserialize_any(self)
    }
}

/// Passes what is no object on to [`Any`].
macro_rules! no_object {
    ($($visit:ident($type:ty)),+ $(,)?) => {
        $(fn $visit<E: serde::de::Error>(self, value: $type) -> Result<Found<'a>, E> {
            Any.$visit(value).map(|found| not_an_object(&found))
        })+
    };
}

impl<'a> Visitor<'a> for Object<'_> {
    type Value = Found<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    no_object!(
        visit_borrowed_str(&'a str),
        visit_str(&str),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64),
        visit_bool(bool),
    );

    fn visit_unit<E>(self) -> Result<Found<'a>, E> {
        Ok(not_an_object(&Field::Null))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, items: A) -> Result<Found<'a>, A::Error> {
        Any.visit_seq(items).map(|found| not_an_object(&found))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Found<'a>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Field::Text(name)) = entries.next_key_seed(Any)? {
            match self.wanted.iter().find(|wanted| **wanted == name) {
                Some(wanted) => {
                    let value = entries.next_value_seed(Any)?;
                    fields.wanted.retain(|(name, _)| name != wanted);
                    fields.wanted.push((wanted, value));
                }
                None => {
                    fields.others = true;
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Ok(fields))
    }
}
