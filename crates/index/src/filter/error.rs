//! Why a filter cannot be applied.

use crate::passages::{Field, Kind, PassageDbError};

use super::expression::{MAX_DEPTH, MAX_EXPRESSION, MAX_LIST};

/// How many fields are named where one is not found.
const NAMED: usize = 12;

/// The most characters of a name that are shown.
const SHOWN: usize = 60;

/// What is wrong with the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    #[error("it is empty")]
    Empty,
    #[error("it has {0} bytes, and at most {MAX_EXPRESSION} are read")]
    Long(usize),
    #[error("unexpected {0:?}")]
    Character(char),
    #[error("the quote is not closed")]
    Quote,
    #[error("{0:?} is no number")]
    Number(String),
    #[error("{expected} is expected, and there is {found}")]
    Expected {
        expected: &'static str,
        found: String,
    },
    #[error("parentheses and NOTs lie more than {MAX_DEPTH} deep inside each other")]
    Deep,
    #[error("a list has more than {MAX_LIST} values")]
    List,
    #[error("the values of a list or a range are of one kind, and these are a {0} and a {1}")]
    Kinds(Kind, Kind),
    #[error("nothing equals NULL: write IS NULL or IS NOT NULL")]
    Null,
}

/// That an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter cannot be read at character {at}: {what}")]
pub struct ParseError {
    /// The character, from 1.
    pub at: usize,
    pub what: Misread,
}

/// Why passages cannot be chosen by an expression.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The index has no such field. Its fields are named, as far as there is room.
    #[error("no field `{name}`; {known}{}", meant.as_ref().map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default())]
    UnknownField {
        name: String,
        meant: Option<String>,
        known: String,
    },
    #[error("the field `{field}` is a {kinds}, and {value} is a {kind}: they cannot be compared")]
    Kind {
        field: String,
        kinds: String,
        value: String,
        kind: Kind,
    },
    #[error(
        "the field `{0}` is a list or object, which can only be asked for by IS NULL and IS NOT NULL"
    )]
    Structure(String),
    /// An order of booleans.
    #[error(
        "TRUE and FALSE are compared by =, != and IN alone, and the field `{0}` is compared otherwise"
    )]
    Boolean(String),
    #[error(transparent)]
    Passages(#[from] PassageDbError),
}

impl FilterError {
    /// That there is no field of that name, but these.
    pub fn unknown(name: &str, fields: &[Field]) -> FilterError {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let shown: Vec<String> = names.iter().take(NAMED).map(|name| cut(name)).collect();
        let known = match names.len() {
            0 => "the index has no metadata".to_owned(),
            n if n <= NAMED => format!("this index has {}", shown.join(", ")),
            n => format!("this index has {} and {} more", shown.join(", "), n - NAMED),
        };
        let mut near = names.iter().map(|other| (distance(name, other), *other));
        let nearest = near.by_ref().min_by_key(|(distance, _)| *distance);
        let enough = 1 + name.chars().count() / 4;
        FilterError::UnknownField {
            name: cut(name),
            meant: nearest
                .filter(|(distance, _)| *distance <= enough)
                .map(|(_, other)| cut(other)),
            known,
        }
    }
}

/// As much of a name as a message shows, in one line.
pub(super) fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!(
        "{}{more}",
        shown.escape_debug().to_string().replace("\\'", "'")
    )
}

/// How many characters have to be put in, left out or exchanged, whatever their case; long names are far apart.
fn distance(a: &str, b: &str) -> usize {
    let characters = |text: &str| -> Vec<char> {
        text.chars()
            .take(SHOWN + 1)
            .flat_map(char::to_lowercase)
            .collect()
    };
    let (a, b) = (characters(a), characters(b));
    if a.len().max(b.len()) > SHOWN {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, own) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let exchanged = corner + usize::from(own != other);
            corner = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
