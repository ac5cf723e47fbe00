//! Queries, in the order of their file.

use std::io::BufRead;
use std::path::Path;

use crate::error::{CorpusError, LineProblem};
use crate::ids::check_id;
use crate::json_fields;
use crate::lines::Lines;
use crate::names::{Names, TooManyNames};
use crate::notices::Notices;
use crate::packed_strings::PackedStrings;
use crate::source::{format_extension, open_file};
use crate::whitespace::{strip, strip_end};

const COLUMNS: &str = "qid TAB text";
const MORE_COLUMNS: &str = "columns after the second are ignored, as ColBERT does";
const QUERY_ID: &str = "the query id";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The id as the file writes it; a number in a JSON file, written out.
    pub qid: &'a str,
    pub text: &'a str,
}

/// Queries with distinct ids, in the order of their file.
#[derive(Debug, Clone, Default)]
pub struct Queries {
    qids: Names,
    /// The text of each, in the order of `qids`.
    texts: PackedStrings,
    notices: Vec<String>,
}

impl Queries {
    /// Reads the queries in `path`: `.tsv` and `.txt` as [`Queries::parse_tsv`], `.json` and
    /// `.jsonl` as [`Queries::parse_json_lines`]; each also with `.gz` behind it.
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, has another extension, or a line is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Queries, CorpusError> {
        let path = path.as_ref();
        let extension = format_extension(path);
        let parse = match extension.as_deref() {
            Some("tsv" | "txt") => Queries::parse_tsv,
            Some("json" | "jsonl") => Queries::parse_json_lines,
            _ => {
                return Err(CorpusError::UnknownExtension {
                    path: path.to_owned(),
                    extension,
                    what: "queries",
                    supported: ".tsv and .txt (qid TAB text), .json and .jsonl (one object per line)",
                });
            }
        };
        let (name, reader) = open_file(path)?;
        parse(&name, reader)
    }

    /// Reads lines of `qid TAB text` from `reader`; `name` stands for it in messages.
    ///
    /// White space at both ends of a line is dropped; columns after the second are ignored with
    /// a notice, as the reference does. Unlike there, the qid may be any text.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line; a qid used twice names both.
    pub fn parse_tsv(name: &str, reader: impl BufRead) -> Result<Queries, CorpusError> {
        let mut queries = Queries::default();
        let mut notices = Notices::default();
        let mut lines = Lines::new(name, reader);
        while let Some(line) = lines.next()? {
            let stripped = strip(line);
            let mut fields = stripped.split('\t');
            let qid = strip(fields.next().unwrap_or_default());
            let pushed = match fields.next() {
                // The reference strips the tab of an empty query and then finds one column.
                None if ends_in_tab(line) => queries.push(qid, ""),
                // Here it was that of the id.
                None if line.contains('\t') => Err(LineProblem::EmptyId { field: QUERY_ID }),
                None => Err(LineProblem::NoTab { expected: COLUMNS }),
                Some(text) => queries.push(qid, text),
            };
            let more_columns = fields.next().is_some();
            pushed.map_err(|problem| lines.error(problem))?;
            if more_columns {
                notices.note(MORE_COLUMNS, lines.number());
            }
        }
        queries.notices = notices.into_texts(name);
        Ok(queries)
    }

    /// Reads one JSON object per line from `reader`; `name` stands for it in messages.
    ///
    /// The objects have `qid` and `question` (ColBERT) or `_id` and `text` (BEIR); other fields
    /// are ignored.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line; an id used twice names both.
    pub fn parse_json_lines(name: &str, reader: impl BufRead) -> Result<Queries, CorpusError> {
        let mut queries = Queries::default();
        let mut lines = Lines::new(name, reader);
        while let Some(line) = lines.next()? {
            let pushed = queries.push_json(line);
            pushed.map_err(|problem| lines.error(problem))?;
        }
        Ok(queries)
    }

    /// Queries given as pairs of id and text. `None` if an id is repeated.
    pub fn from_pairs<Q: AsRef<str>, T: AsRef<str>>(
        pairs: impl IntoIterator<Item = (Q, T)>,
    ) -> Option<Queries> {
        let mut queries = Queries::default();
        for (qid, text) in pairs {
            match queries.qids.number(qid.as_ref()) {
                Ok((_, true)) => queries.texts.push(&[text.as_ref()]),
                _ => return None,
            }
        }
        Some(queries)
    }

    pub fn len(&self) -> usize {
        self.qids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queries, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Query<'_>> {
        self.qids.iter().enumerate().map(|(number, qid)| Query {
            qid,
            text: self.texts.get(number).unwrap_or_default(),
        })
    }

    /// The text of the query `qid`.
    pub fn text(&self, qid: &str) -> Option<&str> {
        self.texts.get(self.qids.find(qid)?)
    }

    /// The first `count` queries.
    pub fn take(self, count: usize) -> Queries {
        let first = self.iter().take(count);
        let taken = Queries::from_pairs(first.map(|query| (query.qid, query.text)));
        Queries {
            notices: self.notices.clone(),
            ..taken.unwrap_or_default()
        }
    }

    /// Notices for the user about what was read.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    fn push_json(&mut self, line: &str) -> Result<(), LineProblem> {
        let fields = json_fields::object(line, &["qid", "question", "_id", "text"])?;
        let (id, text) = match (fields.has("qid"), fields.has("_id")) {
            (true, _) => ("qid", "question"),
            (false, true) => ("_id", "text"),
            (false, false) => {
                return Err(LineProblem::MissingField {
                    field: "qid (with question) or _id (with text)",
                });
            }
        };
        let text = fields.text(text)?;
        self.push(&fields.id(id)?, text)
    }

    /// Appends a query. Every line is one, so the line that used an id first is that id's number plus one.
    fn push(&mut self, qid: &str, text: &str) -> Result<(), LineProblem> {
        check_id(QUERY_ID, qid)?;
        if strip(text).is_empty() {
            return Err(LineProblem::EmptyQuery {
                qid: qid.to_owned(),
            });
        }
        match self.qids.number(qid) {
            Ok((_, true)) => {
                self.texts.push(&[text]);
                Ok(())
            }
            Ok((first, false)) => Err(LineProblem::DuplicateId {
                field: QUERY_ID,
                id: qid.to_owned(),
                first_line: first as u64 + 1,
            }),
            Err(TooManyNames { limit }) => Err(LineProblem::TooManyLines { limit }),
        }
    }
}

/// Whether there is a tab among the white space at the end of `line`.
fn ends_in_tab(line: &str) -> bool {
    line[strip_end(line).len()..].contains('\t')
}
