//! ColBERT's collection TSV.

use std::io::BufRead;

use super::passages::{Collection, TITLE_SEPARATOR};
use crate::error::{CorpusError, LineProblem};
use crate::ids::quoted;
use crate::lines::Lines;
use crate::notices::Notices;

const COLUMNS: &str = "pid TAB text, or pid TAB text TAB title";
const HEADER: &str = "the pid is the word \"id\", as in a header; the line is a passage all the same, \
                      as it is to ColBERT";
const MORE_COLUMNS: &str = "columns after the third are ignored, as ColBERT does";

pub(super) fn parse(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
    let mut collection = Collection::default();
    let mut notices = Notices::default();
    let mut lines = Lines::new(name, reader);
    let mut has_header = false;
    while let Some(line) = lines.next()? {
        let seen = push_line(&mut collection, line);
        let number = lines.number();
        let seen = seen.map_err(|problem| match problem {
            // The lines after a header that counts from 0 are right, and the header is in the way.
            LineProblem::PidOutOfOrder {
                expected: 1,
                found: 0,
            } if has_header => LineProblem::Header.at(name, 1),
            problem => lines.error(problem),
        })?;
        if seen.header {
            has_header |= number == 1;
            notices.note(HEADER, number);
        }
        if seen.more_columns {
            notices.note(MORE_COLUMNS, number);
        }
    }
    collection.notices = notices.into_texts(name);
    Ok(collection)
}

/// What a line had that deserves a notice.
struct Seen {
    header: bool,
    more_columns: bool,
}

fn push_line(collection: &mut Collection, line: &str) -> Result<Seen, LineProblem> {
    collection.check_room()?;
    // The reference strips spaces here and leaves tabs, so that a text may be empty.
    let mut fields = line.trim_matches(' ').split('\t');
    let pid = fields.next().unwrap_or_default();
    let text = fields
        .next()
        .ok_or(LineProblem::NoTab { expected: COLUMNS })?;
    let header = pid == "id";
    if !header {
        check_pid(pid, collection.len() as u64)?;
    }
    match fields.next() {
        Some(title) => collection.texts.push(&[title, TITLE_SEPARATOR, text]),
        None => collection.texts.push(&[text]),
    }
    Ok(Seen {
        header,
        more_columns: fields.next().is_some(),
    })
}

fn check_pid(field: &str, expected: u64) -> Result<(), LineProblem> {
    let not_a_number = || LineProblem::NotAnInteger {
        field: "the pid",
        found: quoted(field),
    };
    let found: u64 = field.trim().parse().map_err(|_| not_a_number())?;
    if found != expected {
        return Err(LineProblem::PidOutOfOrder { expected, found });
    }
    Ok(())
}
