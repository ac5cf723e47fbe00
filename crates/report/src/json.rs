//! Any result as JSON.

use serde::Serialize;

/// `result` as indented JSON with a newline at the end, its fields named as in the Rust type.
///
/// # Errors
/// When the result cannot be written as JSON; those of this project all can.
pub fn json(result: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    Ok(text)
}
