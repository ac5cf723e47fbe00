//! Collections, queries, relevance judgements and rankings, read from the files people have.
//!
//! The key decision: **files are read strictly, one line at a time, and a line that the reference
//! would refuse or misread is an error that names the file and the line.** An index is only as
//! reproducible as its input, so nothing here guesses: no line is skipped, no encoding is
//! assumed, no identifier is renumbered. Where ColBERT's own readers accept something surprising
//! (a header line that becomes passage 0, columns that are dropped), the behaviour is kept,
//! because the index must be the same, and a *notice* says so. Notices are returned, never
//! printed.
//!
//! The alternative, a lenient reader that repairs what it can, was not taken: two programs that
//! repair differently build different indexes from one file, and that difference is found late.
//!
//! | type | files |
//! |---|---|
//! | [`Collection`] | ColBERT's `.tsv`, BEIR's `corpus.jsonl`, a JSON list of texts |
//! | [`Queries`] | `qid TAB text`, JSON lines of ColBERT and of BEIR |
//! | [`Qrels`] | four columns (ColBERT, TREC), three columns with a header (BEIR) |
//! | [`Metadata`] | JSON lines with an `_id` |
//! | [`Ranking`] | ColBERT's ranking TSV, TREC runs, JSON lines |
//!
//! Every reader has an `open(path)` and a `parse…(name, impl BufRead)`; the latter takes any
//! stream, `name` standing for the file in messages. All of them unpack what gzip packed, and say what it is that
//! they were given where it is no text.
//!
//! Of text a reader takes at most four times the memory of what it reads, and 100 MB: lines and ids have a limit,
//! of a JSON object the fields that are asked for are kept and of the others 64 KiB, and gzip may unpack to 24 MB and sixteen times its size.

pub mod collection;
pub mod document_ids;
pub mod error;
mod ids;
mod json_fields;
mod json_objects;
mod lines;
pub mod metadata;
mod names;
mod notices;
mod packed_strings;
pub mod python_float;
pub mod qrels;
pub mod queries;
pub mod ranking;
mod source;
mod whitespace;

pub use collection::Collection;
pub use document_ids::{DocumentIds, PlainPids};
pub use error::{
    CorpusError, GzipProblem, LeftOut, LineProblem, MAX_METADATA, MAX_METADATA_DEPTH, NotText,
    PidMapProblem,
};
pub use metadata::Metadata;
pub use qrels::{Grades, Judgement, Qrels};
pub use queries::{Queries, Query};
pub use ranking::{Ranked, Ranking};
