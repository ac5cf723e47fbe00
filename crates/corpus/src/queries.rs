//! Queries, in the order of their file.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use crate::error::{CorpusError, LineProblem};
use crate::json_fields;
use crate::lines::{Lines, open_file};
use crate::notices::Notices;
use crate::whitespace::strip;

const COLUMNS: &str = "qid TAB text";
const MORE_COLUMNS: &str = "columns after the second are ignored, as ColBERT does";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The id as the file writes it; a number in a JSON file, written out.
    pub qid: String,
    pub text: String,
}

/// Queries with distinct ids, in the order of their file.
#[derive(Debug, Clone, Default)]
pub struct Queries {
    queries: Vec<Query>,
    by_qid: HashMap<String, usize>,
    notices: Vec<String>,
}

impl Queries {
    /// Reads the queries in `path`: `.tsv` and `.txt` as [`Queries::parse_tsv`], `.json` and
    /// `.jsonl` as [`Queries::parse_json_lines`].
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, has another extension, or a line is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Queries, CorpusError> {
        let path = path.as_ref();
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
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
        let mut builder = Builder::default();
        let mut notices = Notices::default();
        let mut lines = Lines::new(name, reader);
        while let Some(line) = lines.next()? {
            let mut fields = strip(line).split('\t');
            let qid = strip(fields.next().unwrap_or_default());
            let pushed = match fields.next() {
                // The strip has taken the tab along with what is missing beside it.
                None if line.trim_start().contains('\t') => Err(LineProblem::EmptyQuery),
                None if line.contains('\t') => Err(LineProblem::EmptyId {
                    field: "the query id",
                }),
                None => Err(LineProblem::NoTab { expected: COLUMNS }),
                Some(_) if qid.is_empty() => Err(LineProblem::EmptyId {
                    field: "the query id",
                }),
                Some(text) => Ok((qid.to_owned(), text.to_owned())),
            };
            let more_columns = fields.next().is_some();
            builder.push(&lines, pushed)?;
            if more_columns {
                notices.note(MORE_COLUMNS, lines.number());
            }
        }
        let mut queries = builder.finish();
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
        let mut builder = Builder::default();
        let mut lines = Lines::new(name, reader);
        while let Some(line) = lines.next()? {
            let pushed = json_query(line);
            builder.push(&lines, pushed)?;
        }
        Ok(builder.finish())
    }

    /// Queries given as pairs of id and text. `None` if an id is repeated.
    pub fn from_pairs<Q: Into<String>, T: Into<String>>(
        pairs: impl IntoIterator<Item = (Q, T)>,
    ) -> Option<Queries> {
        let mut queries = Queries::default();
        for (qid, text) in pairs {
            let (qid, text) = (qid.into(), text.into());
            let place = queries.queries.len();
            if queries.by_qid.insert(qid.clone(), place).is_some() {
                return None;
            }
            queries.queries.push(Query { qid, text });
        }
        Some(queries)
    }

    pub fn len(&self) -> usize {
        self.queries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The queries, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Query> {
        self.queries.iter()
    }

    /// The text of the query `qid`.
    pub fn text(&self, qid: &str) -> Option<&str> {
        let place = *self.by_qid.get(qid)?;
        Some(&self.queries[place].text)
    }

    /// The first `count` queries.
    pub fn take(mut self, count: usize) -> Queries {
        for query in self.queries.drain(count.min(self.queries.len())..) {
            self.by_qid.remove(&query.qid);
        }
        self
    }

    /// Notices for the user about what was read.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }
}

fn json_query(line: &str) -> Result<(String, String), LineProblem> {
    let map = json_fields::object(line)?;
    let (id, text) = match (map.contains_key("qid"), map.contains_key("_id")) {
        (true, _) => ("qid", "question"),
        (false, true) => ("_id", "text"),
        (false, false) => {
            return Err(LineProblem::MissingField {
                field: "qid (with question) or _id (with text)",
            });
        }
    };
    let text = json_fields::text(&map, text)?;
    Ok((json_fields::id(&map, id)?, text.to_owned()))
}

/// Queries while they are read. Every line is one query, so the line that used an id first is
/// the query's place plus one.
#[derive(Default)]
struct Builder {
    queries: Queries,
}

impl Builder {
    fn push<R: BufRead>(
        &mut self,
        lines: &Lines<R>,
        query: Result<(String, String), LineProblem>,
    ) -> Result<(), CorpusError> {
        let (qid, text) = query.map_err(|problem| lines.error(problem))?;
        if strip(&text).is_empty() {
            return Err(lines.error(LineProblem::EmptyQuery));
        }
        let Queries {
            queries, by_qid, ..
        } = &mut self.queries;
        if let Some(&first) = by_qid.get(&qid) {
            return Err(lines.error(LineProblem::DuplicateId {
                field: "the query id",
                id: qid,
                first_line: first as u64 + 1,
            }));
        }
        by_qid.insert(qid.clone(), queries.len());
        queries.push(Query { qid, text });
        Ok(())
    }

    fn finish(self) -> Queries {
        self.queries
    }
}

impl<'a> IntoIterator for &'a Queries {
    type Item = &'a Query;
    type IntoIter = std::slice::Iter<'a, Query>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
