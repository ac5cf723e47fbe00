//! Rankings: for each query the passages found, best first.

mod builder;
mod json;
mod trec;
mod tsv;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;

use crate::document_ids::DocumentIds;
use crate::error::CorpusError;
use crate::lines::{Lines, open_file};
use builder::Builder;

/// One passage in the ranking of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The passage.
    pub pid: u32,
    /// Its rank, from 1.
    pub rank: u32,
    /// Its score: the `f32` of a search, widened, or what a file says.
    pub score: f64,
}

/// The rankings of a set of queries.
///
/// Queries stand in the order in which they were added or first appear in a file, passages in
/// the order of their lines, which is not changed to fit their ranks or scores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    queries: Vec<(String, Vec<Ranked>)>,
    by_qid: HashMap<String, usize>,
}

impl Ranking {
    /// A ranking of no queries.
    pub fn new() -> Ranking {
        Ranking::default()
    }

    /// Appends the passages found for `qid`, best first, with the ranks 1, 2, … The passages
    /// replace those of an earlier call for the same query.
    pub fn push(&mut self, qid: &str, found: impl IntoIterator<Item = (u32, f32)>) {
        let ranked = found
            .into_iter()
            .zip(1..)
            .map(|((pid, score), rank)| Ranked {
                pid,
                rank,
                score: score.into(),
            });
        let ranked = ranked.collect();
        let place = self.place(qid);
        self.queries[place].1 = ranked;
    }

    /// The number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The passages found for the query `qid`.
    pub fn get(&self, qid: &str) -> Option<&[Ranked]> {
        let place = *self.by_qid.get(qid)?;
        Some(&self.queries[place].1)
    }

    /// The queries and the passages found for each, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[Ranked])> {
        let queries = self.queries.iter();
        queries.map(|(qid, found)| (qid.as_str(), found.as_slice()))
    }

    /// Reads the ranking in `path`: `.tsv` as [`Ranking::parse_tsv`], `.trec`, `.run` and `.txt`
    /// as [`Ranking::parse_trec`], `.json` and `.jsonl` as [`Ranking::parse_json_lines`].
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, has another extension, or a line is wrong.
    pub fn open(
        path: impl AsRef<Path>,
        documents: &(impl DocumentIds + ?Sized),
    ) -> Result<Ranking, CorpusError> {
        let path = path.as_ref();
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
        let extension = match extension.as_deref() {
            Some(known @ ("tsv" | "trec" | "run" | "txt" | "json" | "jsonl")) => known,
            _ => {
                return Err(CorpusError::UnknownExtension {
                    path: path.to_owned(),
                    extension,
                    what: "rankings",
                    supported: ".tsv (ColBERT), .trec, .run and .txt (TREC), .json and .jsonl",
                });
            }
        };
        let (name, reader) = open_file(path)?;
        match extension {
            "tsv" => Ranking::parse_tsv(&name, reader),
            "json" | "jsonl" => Ranking::parse_json_lines(&name, reader),
            _ => Ranking::parse_trec(&name, reader, documents),
        }
    }

    /// Reads ColBERT's ranking format from `reader`; `name` stands for it in messages: lines of
    /// `qid TAB pid TAB rank TAB score`. Further columns (labels) are ignored.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line; a passage ranked twice for one query names both lines.
    pub fn parse_tsv(name: &str, reader: impl BufRead) -> Result<Ranking, CorpusError> {
        Builder::read(Lines::new(name, reader), tsv::parse_line)
    }

    /// Reads a TREC run from `reader`; `name` stands for it in messages: lines of
    /// `qid Q0 document rank score tag`. Many writers count ranks from 0, so here a rank may be 0;
    /// it is kept as it is.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line, also for a document that `documents` does not have.
    pub fn parse_trec(
        name: &str,
        reader: impl BufRead,
        documents: &(impl DocumentIds + ?Sized),
    ) -> Result<Ranking, CorpusError> {
        let parse_line =
            |line: &str, builder: &mut Builder| trec::parse_line(line, documents, builder);
        Builder::read(Lines::new(name, reader), parse_line)
    }

    /// Reads what [`Ranking::write_json_lines`] writes from `reader`; `name` stands for it in
    /// messages.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line.
    pub fn parse_json_lines(name: &str, reader: impl BufRead) -> Result<Ranking, CorpusError> {
        Builder::read(Lines::new(name, reader), json::parse_line)
    }

    /// Writes ColBERT's ranking format: `qid TAB pid TAB rank TAB score` and a line feed each,
    /// the score as Python prints it.
    ///
    /// # Errors
    /// [`CorpusError::Write`]; [`CorpusError::IdNotInFormat`] for a qid with a tab or line end.
    pub fn write_tsv(&self, mut out: impl Write) -> Result<(), CorpusError> {
        tsv::write(self, &mut out)
    }

    /// Writes a TREC run: `qid Q0 document rank score tag`, the document under the id that
    /// `documents` gives it.
    ///
    /// # Errors
    /// [`CorpusError::Write`]; [`CorpusError::IdNotInFormat`] for an id with white space in it.
    pub fn write_trec(
        &self,
        mut out: impl Write,
        documents: &(impl DocumentIds + ?Sized),
        tag: &str,
    ) -> Result<(), CorpusError> {
        trec::write(self, &mut out, documents, tag)
    }

    /// Writes one JSON object per query and line:
    /// `{"qid":"7","results":[{"pid":3,"id":"d3","rank":1,"score":12.5}]}`.
    ///
    /// # Errors
    /// [`CorpusError::Write`]; [`CorpusError::ScoreNotInJson`] for a score that is not finite.
    pub fn write_json_lines(
        &self,
        mut out: impl Write,
        documents: &(impl DocumentIds + ?Sized),
    ) -> Result<(), CorpusError> {
        json::write(self, &mut out, documents)
    }

    /// The place of `qid`, which is added if it is new.
    fn place(&mut self, qid: &str) -> usize {
        if let Some(&place) = self.by_qid.get(qid) {
            return place;
        }
        let place = self.queries.len();
        self.by_qid.insert(qid.to_owned(), place);
        self.queries.push((qid.to_owned(), Vec::new()));
        place
    }
}
