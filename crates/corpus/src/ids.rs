//! What an id may be.

use crate::error::LineProblem;

/// The most bytes of an id. Ids are copied into every result and every message.
const MAX_ID: usize = 4096;

/// The most characters of a field that a message quotes.
const MAX_QUOTED: usize = 60;

/// Refuses an id that is empty, of absurd length, or not text; `field` stands for it in the message.
pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), LineProblem> {
    match id.len() {
        0 => Err(LineProblem::EmptyId { field }),
        bytes if bytes > MAX_ID => Err(LineProblem::LongId {
            field,
            bytes,
            limit: MAX_ID,
        }),
        _ if id.contains('\0') => Err(LineProblem::NulInId {
            field,
            id: quoted(id),
        }),
        _ => Ok(()),
    }
}

/// As much of `text` as a message quotes.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
