//! The fields of passages' metadata: what they are called, and what kinds of values they have.

use std::fmt;

use serde_json::Value as Json;

/// What kind a value is of. Values are compared with values of their kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Boolean,
    Number,
    String,
    /// A list or an object, which is there or not and has no comparisons.
    Structure,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Boolean, Kind::Number, Kind::String, Kind::Structure];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Structure => "list or object",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparable {
    /// 0 or 1 where it is a boolean.
    Integer(i64),
    /// A number that is no integer of 64 bits.
    Real(f64),
    /// Compared by its bytes.
    Text(String),
}

/// A field that some passages have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Of each kind that values are of, ascending, how many passages have such a value.
    pub kinds: Vec<(Kind, u64)>,
}

impl Field {
    /// Whether some passage has a value of that kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.kinds.iter().any(|(own, _)| *own == kind)
    }

    /// The kinds in words.
    pub fn kinds_in_words(&self) -> String {
        let names: Vec<&str> = self.kinds.iter().map(|(kind, _)| kind.name()).collect();
        names.join(" and ")
    }
}

/// The values in a passage's object: of each field its name, and the value with its kind. A field that is null has none.
///
/// # Errors
/// When the text is no JSON object.
pub(super) fn values_of(object: &str) -> Result<Vec<(String, Kind, Comparable)>, String> {
    let object: serde_json::Map<String, Json> =
        serde_json::from_str(object).map_err(|error| error.to_string())?;
    let value = |(name, value): (String, Json)| {
        let (kind, value) = match value {
            Json::Null => return None,
            Json::Bool(value) => (Kind::Boolean, Comparable::Integer(value.into())),
            Json::Number(number) => (Kind::Number, number_of(&number)),
            Json::String(text) => (Kind::String, Comparable::Text(text)),
            Json::Array(_) | Json::Object(_) => (Kind::Structure, Comparable::Integer(0)),
        };
        Some((name, kind, value))
    };
    Ok(object.into_iter().filter_map(value).collect())
}

fn number_of(number: &serde_json::Number) -> Comparable {
    match number.as_i64() {
        Some(integer) => Comparable::Integer(integer),
        // No number of JSON is out of range here: it would not have been read.
        None => Comparable::Real(number.as_f64().unwrap_or(f64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_kinds_of_json_and_null_is_none() {
        let object =
            r#"{"a":true,"b":null,"c":-3,"d":0.5,"e":18446744073709551615,"f":"x","g":[1]}"#;
        let values = values_of(object).unwrap();
        let expected = [
            ("a", Kind::Boolean, Comparable::Integer(1)),
            ("c", Kind::Number, Comparable::Integer(-3)),
            ("d", Kind::Number, Comparable::Real(0.5)),
            ("e", Kind::Number, Comparable::Real(18446744073709551615.0)),
            ("f", Kind::String, Comparable::Text("x".to_owned())),
            ("g", Kind::Structure, Comparable::Integer(0)),
        ];
        let expected = expected.map(|(name, kind, value)| (name.to_owned(), kind, value));
        assert_eq!(values, expected);
        assert!(values_of("[]").is_err());
    }
}
