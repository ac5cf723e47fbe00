//! Rankings: for each query the passages found, best first.

mod builder;
mod json;
mod ranked;
mod trec;
mod tsv;

use std::io::{BufRead, Write};
use std::path::Path;

use crate::document_ids::DocumentIds;
use crate::error::CorpusError;
use crate::lines::Lines;
use crate::source::{format_extension, open_file};
use builder::Builder;

pub use ranked::{Ranked, Ranking};

impl Ranking {
    /// Reads the ranking in `path`: `.tsv` as [`Ranking::parse_tsv`], `.trec`, `.run` and `.txt`
    /// as [`Ranking::parse_trec`], `.json` and `.jsonl` as [`Ranking::parse_json_lines`]; each also with `.gz` behind
    /// it.
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, has another extension, or a line is wrong.
    pub fn open(
        path: impl AsRef<Path>,
        documents: &(impl DocumentIds + ?Sized),
    ) -> Result<Ranking, CorpusError> {
        let path = path.as_ref();
        let extension = format_extension(path);
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
        json::write(self, &mut out, documents, |_| None)
    }

    /// [`Ranking::write_json_lines`] with the metadata of each passage behind its score, where it has such: the text of a
    /// JSON object.
    ///
    /// # Errors
    /// As [`Ranking::write_json_lines`].
    pub fn write_json_lines_with(
        &self,
        mut out: impl Write,
        documents: &(impl DocumentIds + ?Sized),
        metadata: impl Fn(u32) -> Option<String>,
    ) -> Result<(), CorpusError> {
        json::write(self, &mut out, documents, metadata)
    }
}
