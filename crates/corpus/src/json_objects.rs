//! JSON objects that are kept, as text of one form.
//!
//! The form is compact, with the keys of every object in the order of their bytes, so that the same object is the same
//! text however it was written. What is kept has a limit, and no more than that is held while it is read: a list of
//! zeros on a line of 64 MB is skipped where it becomes too long.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{LeftOut, LineProblem, MAX_METADATA, MAX_METADATA_DEPTH};
use crate::ids::quoted;
use crate::json_fields;

/// The field whose object is part of the object that it stands in, as in BEIR's files.
const LIFTED: &str = "metadata";

/// What is kept of an object.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The object as text; empty where it has no entries.
    pub(crate) text: String,
    /// The first field that could not be kept, and why.
    pub(crate) left_out: Option<(String, LeftOut)>,
}

/// The object on `line` without the fields `except`. The entries of an object named `metadata` become its own.
///
/// # Errors
/// When the line is no JSON object, or has a number or a text that no JSON value has.
pub(crate) fn kept(line: &str, except: &[&str]) -> Result<Kept, LineProblem> {
    json_fields::parse(line, Whole { except })
}

/// An object, entry by entry.
struct Whole<'w> {
    except: &'w [&'w str],
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Kept;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Kept, D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kept, A::Error> {
        let (mut own, mut lifted) = (BTreeMap::new(), BTreeMap::new());
        // Of the two braces; each entry has a colon and a comma, the last of which there is not.
        let mut room = MAX_METADATA - 1;
        let mut left_out = None;
        while let Some(name) = entries.next_key::<String>()? {
            if self.except.contains(&name.as_str()) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let before = room;
            let read = entries.next_value_seed(Value {
                room: &mut room,
                depth: 0,
            })?;
            let kept = match read {
                // Of a repeated field the last counts.
                Read::Object(entries) if name == LIFTED => {
                    own.remove(LIFTED);
                    lifted = entries;
                    Ok(())
                }
                Read::LeftOut(why) => Err(why),
                Read::Text(_) if name == LIFTED => {
                    lifted.clear();
                    entry(&mut own, name.clone(), read.into_text(), &mut room)
                }
                value => entry(&mut own, name.clone(), value.into_text(), &mut room),
            };
            if let Err(why) = kept {
                room = before;
                left_out.get_or_insert((quoted(&name), why));
            }
        }
        for (name, value) in lifted {
            match own.entry(name) {
                Entry::Vacant(place) => _ = place.insert(value),
                Entry::Occupied(place) => {
                    left_out.get_or_insert((quoted(place.key()), LeftOut::Twice));
                }
            }
        }
        let text = if own.is_empty() {
            String::new()
        } else {
            text_of(&own)
        };
        Ok(Kept { text, left_out })
    }
}

/// A value, or what there is in the place of one that is not kept.
enum Read {
    Text(String),
    Object(BTreeMap<String, String>),
    LeftOut(LeftOut),
}

impl Read {
    fn into_text(self) -> String {
        match self {
            Read::Text(text) => text,
            Read::Object(entries) => text_of(&entries),
            Read::LeftOut(_) => String::new(),
        }
    }
}

/// Reads a value as text, as long as there is room for it.
struct Value<'r> {
    room: &'r mut usize,
    depth: usize,
}

impl Value<'_> {
    fn text<E: serde::de::Error>(
        self,
        length: usize,
        text: impl FnOnce() -> serde_json::Result<String>,
    ) -> Result<Read, E> {
        // Not written where it is too long unescaped.
        if length > *self.room {
            return Ok(Read::LeftOut(LeftOut::Large));
        }
        let text = text().map_err(E::custom)?;
        Ok(match take(self.room, text.len()) {
            Ok(()) => Read::Text(text),
            Err(why) => Read::LeftOut(why),
        })
    }
}

fn take(room: &mut usize, bytes: usize) -> Result<(), LeftOut> {
    *room = room.checked_sub(bytes).ok_or(LeftOut::Large)?;
    Ok(())
}

/// Puts an entry into an object, behind whose value there is room for its name.
fn entry(
    entries: &mut BTreeMap<String, String>,
    name: String,
    value: String,
    room: &mut usize,
) -> Result<(), LeftOut> {
    take(room, escaped(&name).len() + 2)?;
    entries.insert(name, value);
    Ok(())
}

fn escaped(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text_of(entries: &BTreeMap<String, String>) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in entries.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&escaped(name));
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Read, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Read, E> {
        self.text(text.len(), || Ok(escaped(text)))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Read, E> {
        self.text(0, || Ok(number.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Read, E> {
        self.text(0, || Ok(number.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Read, E> {
        self.text(0, || serde_json::to_string(&number))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Read, E> {
        self.text(0, || Ok(value.to_string()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Read, E> {
        self.text(0, || Ok("null".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Read, A::Error> {
        let mut text = String::from("[");
        let mut problem = inside(self.depth).and_then(|()| take(self.room, 2)).err();
        while problem.is_none() {
            let item = items.next_element_seed(Value {
                room: self.room,
                depth: self.depth + 1,
            })?;
            match item {
                None => {
                    text.push(']');
                    return Ok(Read::Text(text));
                }
                Some(Read::LeftOut(why)) => problem = Some(why),
                Some(item) => {
                    if text.len() > 1 {
                        text.push(',');
                        problem = take(self.room, 1).err();
                    }
                    text.push_str(&item.into_text());
                }
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Read::LeftOut(problem.unwrap_or(LeftOut::Large)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Read, A::Error> {
        let mut object = BTreeMap::new();
        let mut problem = inside(self.depth).and_then(|()| take(self.room, 1)).err();
        while problem.is_none() {
            let Some(name) = entries.next_key::<String>()? else {
                return Ok(Read::Object(object));
            };
            let value = entries.next_value_seed(Value {
                room: self.room,
                depth: self.depth + 1,
            })?;
            problem = match value {
                Read::LeftOut(why) => Some(why),
                value => entry(&mut object, name, value.into_text(), self.room).err(),
            };
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Read::LeftOut(problem.unwrap_or(LeftOut::Large)))
    }
}

/// Whether a list or an object may lie in so many others.
fn inside(depth: usize) -> Result<(), LeftOut> {
    match depth < MAX_METADATA_DEPTH {
        true => Ok(()),
        false => Err(LeftOut::Deep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Kept {
        kept(line, &["_id", "text"]).unwrap()
    }

    #[test]
    fn one_object_is_one_text_however_it_was_written() {
        let text = r#"{"a":{"x":1,"y":[true,null]},"b":"é\u0000","c":-2.5}"#;
        for line in [
            r#"{"_id": "q", "c": -2.5, "a": {"y": [true, null], "x": 1}, "b": "\u00e9\u0000"}"#,
            r#"{"c":-25e-1,"metadata":{"b":"é\u0000","a":{"x":1,"y":[true,null]}},"text":"t"}"#,
            r#"{"c":1,"b":"","a":0,"b":"é\u0000","a":{"y":[1],"x":1,"y":[true,null]},"c":-2.50}"#,
        ] {
            let kept = of(line);
            assert_eq!(kept.text, text);
            assert!(kept.left_out.is_none());
        }
        for line in ["{}", r#"{"_id":1,"metadata":{}}"#] {
            assert_eq!(of(line).text, "");
        }
        assert_eq!(of(r#"{"metadata":"m"}"#).text, r#"{"metadata":"m"}"#);
        assert!(kept("[1]", &[]).is_err() && kept("{\"a\":1e999}", &[]).is_err());
    }

    #[test]
    fn what_is_too_large_too_deep_or_there_twice_is_left_out_and_the_rest_kept() {
        // {"a":"…"} has eight bytes beside what is inside.
        let inside = MAX_METADATA - 8;
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(inside));
        let kept = of(&fits);
        assert!(kept.left_out.is_none());
        assert_eq!(kept.text.len(), MAX_METADATA);
        let large = format!("{{\"b\":1,\"a\":\"{}\"}}", "x".repeat(inside));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let zeros = format!("{{\"a\":[{}0],\"b\":1}}", "0,".repeat(MAX_METADATA));
        for (line, why) in [
            (large, LeftOut::Large),
            (zeros, LeftOut::Large),
            (format!("{{\"a\":{},\"b\":1}}", deep(17)), LeftOut::Deep),
            (
                format!("{{\"a\":{},\"b\":1}}", deep(100_000)),
                LeftOut::Deep,
            ),
            (
                "{\"a\":1,\"metadata\":{\"a\":2},\"b\":1}".to_owned(),
                LeftOut::Twice,
            ),
        ] {
            let kept = of(&line);
            assert_eq!(kept.left_out, Some(("a".to_owned(), why)));
            let rest = if why == LeftOut::Twice {
                "{\"a\":1,\"b\":1}"
            } else {
                "{\"b\":1}"
            };
            assert_eq!(kept.text, rest);
        }
        assert!(of(&format!("{{\"a\":{}}}", deep(16))).left_out.is_none());
    }
}
