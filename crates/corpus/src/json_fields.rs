//! Fields of a JSON object that stands on one line.

use serde_json::{Map, Value};

use crate::error::LineProblem;

/// The object on `line`.
pub(crate) fn object(line: &str) -> Result<Map<String, Value>, LineProblem> {
    let value: Value = serde_json::from_str(line).map_err(|error| LineProblem::MalformedJson {
        column: error.column(),
        message: message_without_place(&error),
    })?;
    match value {
        Value::Object(map) => Ok(map),
        other => Err(LineProblem::NotAnObject {
            found: kind(&other),
        }),
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

/// The string under `field`.
pub(crate) fn text<'a>(
    map: &'a Map<String, Value>,
    field: &'static str,
) -> Result<&'a str, LineProblem> {
    match map.get(field) {
        None => Err(LineProblem::MissingField { field }),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(LineProblem::FieldType {
            field,
            expected: "a string",
            found: kind(other),
        }),
    }
}

/// The id under `field`: a string that is not empty, or a whole number, written out.
pub(crate) fn id(map: &Map<String, Value>, field: &'static str) -> Result<String, LineProblem> {
    match map.get(field) {
        None => Err(LineProblem::MissingField { field }),
        Some(Value::String(text)) if text.is_empty() => Err(LineProblem::EmptyId { field }),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        Some(other) => Err(LineProblem::FieldType {
            field,
            expected: "a string or a whole number",
            found: kind(other),
        }),
    }
}

/// The whole number from 0 to `u32::MAX` under `field`.
pub(crate) fn small_integer(
    map: &Map<String, Value>,
    field: &'static str,
) -> Result<u32, LineProblem> {
    let value = map.get(field).ok_or(LineProblem::MissingField { field })?;
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| LineProblem::FieldType {
            field,
            expected: "a whole number below 2^32",
            found: kind(value),
        })
}

/// The number under `field`.
pub(crate) fn number(map: &Map<String, Value>, field: &'static str) -> Result<f64, LineProblem> {
    let value = map.get(field).ok_or(LineProblem::MissingField { field })?;
    value.as_f64().ok_or_else(|| LineProblem::FieldType {
        field,
        expected: "a number",
        found: kind(value),
    })
}

/// The array under `field`.
pub(crate) fn array<'a>(
    map: &'a Map<String, Value>,
    field: &'static str,
) -> Result<&'a [Value], LineProblem> {
    match map.get(field) {
        None => Err(LineProblem::MissingField { field }),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(LineProblem::FieldType {
            field,
            expected: "an array",
            found: kind(other),
        }),
    }
}

/// The kind of `value` in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
