//! Passages, numbered from 0.

mod beir;
mod json_list;
mod passages;
mod pid_map;
mod tsv;

use std::io::BufRead;
use std::path::Path;

use crate::error::CorpusError;
use crate::source::{format_extension, open_file};

pub use passages::{Collection, MAX_PASSAGES};

impl Collection {
    /// Reads the collection in `path`: `.tsv` as [`Collection::parse_tsv`], `.jsonl` as
    /// [`Collection::parse_beir`], `.json` as [`Collection::parse_json_list`]; each also with `.gz` behind it.
    ///
    /// # Errors
    /// [`CorpusError`]: the file cannot be opened, has another extension, or a line is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Collection, CorpusError> {
        let path = path.as_ref();
        let extension = format_extension(path);
        let parse = match extension.as_deref() {
            Some("tsv") => Collection::parse_tsv,
            Some("jsonl") => Collection::parse_beir,
            Some("json") => Collection::parse_json_list,
            _ => {
                return Err(CorpusError::UnknownExtension {
                    path: path.to_owned(),
                    extension,
                    what: "collections",
                    supported: ".tsv (pid TAB text), .jsonl (BEIR) and .json (a list of texts)",
                });
            }
        };
        let (name, reader) = open_file(path)?;
        parse(&name, reader)
    }

    /// Reads ColBERT's collection format from `reader`; `name` stands for it in messages.
    ///
    /// One passage per line: `pid TAB text` or `pid TAB text TAB title`. The pid is the line's
    /// number counted from 0. Spaces and line ends at both ends of a line are dropped, tabs are
    /// not, so a text may be empty. With a title, even an empty one, the passage is
    /// `title | text`. Further columns are ignored, and the literal `id` in place of a pid is
    /// accepted; both as the reference does, and both with a notice.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line.
    pub fn parse_tsv(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
        tsv::parse(name, reader)
    }

    /// Reads BEIR's `corpus.jsonl` from `reader`; `name` stands for it in messages.
    ///
    /// One JSON object per line with `_id`, `text` and optionally `title`; other fields are the
    /// passage's [metadata](Collection::metadata), those of an object named `metadata` as if they
    /// stood beside it. What is more of them than is kept is left out, with a notice. Passages are numbered in the order of the lines. With a title that is not empty
    /// the passage is `title | text`, otherwise `text`.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line; an `_id` used twice names both lines.
    pub fn parse_beir(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
        beir::parse(name, reader)
    }

    /// Reads a JSON list of texts from `reader`; `name` stands for it in messages. RAGatouille keeps the passages of
    /// its indexes so, as `collection.json`.
    ///
    /// # Errors
    /// [`CorpusError`] naming the line.
    pub fn parse_json_list(name: &str, reader: impl BufRead) -> Result<Collection, CorpusError> {
        json_list::parse(name, reader)
    }

    /// Gives the passages the ids of RAGatouille's `pid_docid_map.json`, read from `reader`: one JSON object of pids
    /// and document ids. `name` stands for it in messages.
    ///
    /// # Errors
    /// [`CorpusError`], and the passages have the ids that they had: the map is not one, does not have the pids of
    /// this collection, or gives one id to several passages, as it does where RAGatouille has divided documents.
    pub fn read_pid_map(&mut self, name: &str, reader: impl BufRead) -> Result<(), CorpusError> {
        pid_map::read(self, name, reader)
    }
}
