//! What can be wrong with a file, and where.

use std::path::PathBuf;

use thiserror::Error;

/// The most bytes of a passage's metadata, as JSON in its compact form.
pub const MAX_METADATA: usize = 64 << 10;

/// How many lists and objects may lie inside each other in the metadata of a passage, its own object not counted.
pub const MAX_METADATA_DEPTH: usize = 16;

/// Why a file could not be read, or a ranking not be written.
#[derive(Debug, Error)]
pub enum CorpusError {
    /// The file does not exist, is a folder, or may not be read.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// The path as it was given.
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file's name says that it is in a format this reader does not know.
    #[error(
        "{path} has {found}; {what} are read from {supported}",
        path = path.display(),
        found = match extension { Some(e) => format!("the extension .{e}"), None => "no extension".into() }
    )]
    UnknownExtension {
        /// The path as it was given.
        path: PathBuf,
        /// The extension without its dot, if there is one.
        extension: Option<String>,
        /// What was to be read: "collections", "queries".
        what: &'static str,
        /// The extensions that are read.
        supported: &'static str,
    },
    #[error("{file}:{line}: reading failed: {source}")]
    Read {
        file: String,
        /// The line being read, counted from 1.
        line: u64,
        source: std::io::Error,
    },
    /// The file is something else than text; by its first bytes, whatever it is called.
    #[error("{file} is {what}")]
    NotText { file: String, what: NotText },
    /// A file that is packed by gzip cannot be unpacked.
    #[error("{file}:{line}: {problem}")]
    Gzip {
        file: String,
        /// The line being unpacked, counted from 1.
        line: u64,
        problem: GzipProblem,
    },
    /// The file holds no lines at all.
    #[error("{file} is empty: at least one line is needed")]
    Empty { file: String },
    /// One line is not what the format asks for.
    #[error("{file}:{line}: {problem}")]
    Line {
        file: String,
        /// The line, counted from 1.
        line: u64,
        problem: LineProblem,
    },
    /// A map of pids to document ids is not that of a collection.
    #[error("{file}: {problem}")]
    PidMap {
        file: String,
        problem: PidMapProblem,
    },
    /// A file with the metadata of passages has no line for some.
    #[error(
        "{file} has no line for {missing} of {passages} passages, the first of them {id:?}: a line with nothing but its \
         _id says that there is nothing to say of it"
    )]
    NoMetadata {
        file: String,
        id: String,
        missing: usize,
        passages: usize,
    },
    #[error("writing the ranking failed: {0}")]
    Write(#[source] std::io::Error),
    /// JSON has no way to write an infinite score or one that is not a number.
    #[error(
        "query {qid}: pid {pid} has the score {score}, which JSON cannot hold; write a TSV or TREC file instead"
    )]
    ScoreNotInJson { qid: String, pid: u32, score: f64 },
    /// A query id, a document id or a tag cannot be a field of the file that is to be written.
    #[error("{id:?} cannot be a field of a {format} file, whose fields end at white space")]
    IdNotInFormat { id: String, format: &'static str },
}

/// What a file is that is not text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotText {
    /// In what gzip packed: gzip again.
    #[error("a gzip file")]
    Gzip,
    #[error("a ZIP archive: unpack it and give the file inside")]
    Zip,
    #[error("compressed with Zstandard: unpack it with zstd -d")]
    Zstandard,
    #[error("compressed with xz: unpack it with xz -d")]
    Xz,
    #[error("compressed with bzip2: unpack it with bzip2 -d")]
    Bzip2,
    #[error("a tar archive: unpack it and give the file inside")]
    Tar,
    #[error("encoded in UTF-16: convert it to UTF-8, as by iconv -f UTF-16 -t UTF-8")]
    Utf16,
    #[error("encoded in UTF-32: convert it to UTF-8, as by iconv -f UTF-32 -t UTF-8")]
    Utf32,
    #[error("a Parquet file: write its columns as lines of text first")]
    Parquet,
    #[error("an Arrow file: write its columns as lines of text first")]
    Arrow,
    #[error("an SQLite database: write its rows as lines of text first")]
    Sqlite,
    /// What a clone without `git lfs` has in the place of a file.
    #[error("a Git LFS pointer and not the file itself: fetch it with git lfs pull")]
    LfsPointer,
    #[error("a web page, as a download is that needed a login: fetch the file again")]
    WebPage,
    /// What gzip unpacks to is not text either.
    #[error("packed by gzip, and inside is {0}")]
    Packed(Box<NotText>),
}

/// What is wrong with a map of pids to document ids.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PidMapProblem {
    /// It is no JSON object of pids and ids; with the place.
    #[error("{0}")]
    Json(String),
    #[error("pid {pid} has no document id")]
    Missing { pid: usize },
    #[error("passages {first} and {second} have the same document id {id:?}")]
    Repeated { id: String, first: u32, second: u32 },
}

/// Why gzip cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GzipProblem {
    #[error("the gzip data ends too early: the file is truncated")]
    Truncated,
    #[error("the gzip data is damaged ({0}): fetch or pack the file again")]
    Corrupt(String),
    /// It unpacks to so many times its own size that it was made to fill memory, or holds no text.
    #[error(
        "{packed} bytes of gzip data unpack to more than {unpacked} bytes, as no text does: unpack the file with \
         gunzip if it is to be read all the same"
    )]
    Expands {
        /// Bytes read so far.
        packed: u64,
        unpacked: u64,
    },
}

/// Why a field of a passage's metadata is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LeftOut {
    #[error(
        "makes the metadata of the passage larger than {MAX_METADATA} bytes, which is all that is kept"
    )]
    Large,
    #[error("has more than {MAX_METADATA_DEPTH} lists and objects inside each other")]
    Deep,
    #[error("stands in \"metadata\" and beside it")]
    Twice,
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineProblem {
    /// Bytes that are not UTF-8.
    #[error("byte {byte} of the line is not valid UTF-8; convert the file to UTF-8")]
    InvalidUtf8 {
        /// Offset of the first offending byte within the line, counted from 0.
        byte: usize,
    },
    /// A UTF-8 byte order mark, which ColBERT would read as a part of the first id.
    #[error("the file starts with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// A carriage return that is not followed by a line feed. Python, and so ColBERT, ends the
    /// line there.
    #[error(
        "there is a carriage return inside the line (byte {byte}), where ColBERT would end it; replace it by a space"
    )]
    BareCarriageReturn {
        /// Offset within the line, counted from 0.
        byte: usize,
    },
    #[error("the line has more than {limit} bytes; is this a file of lines?")]
    TooLong { limit: usize },
    #[error("{field} has {bytes} bytes, and at most {limit} are read")]
    LongId {
        /// The kind of id: "the query id", "the document id".
        field: &'static str,
        bytes: usize,
        limit: usize,
    },
    /// An id with a NUL in it, where programs written in C would end it.
    #[error("{field} {id:?} has a NUL in it: is the file binary?")]
    NulInId {
        /// The kind of id: "the query id", "the document id".
        field: &'static str,
        id: String,
    },
    /// More lines than are counted.
    #[error("more than {limit} lines")]
    TooManyLines { limit: u64 },
    /// A header that counts as passage 0, so that the pids after it cannot be right.
    #[error(
        "the line begins with \"id\" like a header, which ColBERT takes for passage 0, and the next passage has the pid 0 \
         as well: remove the header"
    )]
    Header,
    /// A query without words. ColBERT fails on one in a TSV file, and elsewhere searches for `[MASK]`s alone.
    #[error("the query {qid:?} is empty: give it words, or leave the line out")]
    EmptyQuery { qid: String },
    /// A TSV line with a single column.
    #[error("the line has no tab: expected {expected}")]
    NoTab {
        /// The columns that were expected.
        expected: &'static str,
    },
    /// A line with too few or too many columns.
    #[error("the line has {found} columns: expected {expected}")]
    Columns {
        found: usize,
        /// The columns that were expected.
        expected: &'static str,
    },
    /// A field that should be a whole number and is not.
    #[error("{field} should be a whole number, found {found:?}")]
    NotAnInteger {
        /// The field: "the pid", "the rank".
        field: &'static str,
        found: String,
    },
    /// A field that should be a number and is not.
    #[error("{field} should be a number, found {found:?}")]
    NotANumber {
        /// The field: "the score".
        field: &'static str,
        found: String,
    },
    /// A passage whose pid is not its position.
    #[error(
        "the pid is {found}, but this is passage {expected}: pids must count from 0 without gaps, line by line"
    )]
    PidOutOfOrder {
        /// The position, which the pid must equal.
        expected: u64,
        found: u64,
    },
    /// More passages than a signed 32-bit pid can number, which is what an index stores.
    #[error("more than {limit} passages: an index stores pids as signed 32-bit numbers")]
    TooManyPassages {
        /// The largest number of passages.
        limit: u64,
    },
    /// A line that is not a JSON value.
    #[error("malformed JSON at column {column}: {message}")]
    MalformedJson {
        /// Column counted from 1, as the JSON parser reports it.
        column: usize,
        message: String,
    },
    /// A JSON value that is not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// An object without a field that is needed.
    #[error("the field {field:?} is missing")]
    MissingField {
        /// The field, or the alternatives.
        field: &'static str,
    },
    /// An object's field of the wrong type.
    #[error("the field {field:?} should be {expected}, found {found}")]
    FieldType {
        field: &'static str,
        expected: &'static str,
        /// The kind of value found.
        found: &'static str,
    },
    /// An id that is the empty string.
    #[error("{field} is empty")]
    EmptyId { field: &'static str },
    #[error("{field} {id:?} was already used on line {first_line}")]
    DuplicateId {
        /// The kind of id: "the query id", "the document id".
        field: &'static str,
        id: String,
        /// Where it was first used, counted from 1.
        first_line: u64,
    },
    /// A pair of query and document that is judged twice, with different grades.
    #[error(
        "query {qid:?} and document {document:?} are judged {grade} here and {first_grade} on line {first_line}"
    )]
    ContradictoryJudgement {
        qid: String,
        document: String,
        /// The grade on this line.
        grade: i64,
        first_grade: i64,
        /// The line of the first grade, counted from 1.
        first_line: u64,
    },
    /// A document that appears twice in the ranking of one query.
    #[error("pid {pid} was already ranked for query {qid:?} on line {first_line}")]
    RankedTwice {
        qid: String,
        pid: u32,
        /// Where it was first, counted from 1.
        first_line: u64,
    },
    /// A document id that the collection does not have.
    #[error("the document {id:?} is not in the collection")]
    UnknownDocument { id: String },
    /// A field of a passage's metadata that is more than is kept.
    #[error("the field {field:?} {why}")]
    Metadata { field: String, why: LeftOut },
    /// A rank of zero; ranks count from 1.
    #[error("the rank is 0: ranks count from 1")]
    RankZero,
}

impl LineProblem {
    /// The error that places this problem at `line` (counted from 1) of `file`.
    pub(crate) fn at(self, file: &str, line: u64) -> CorpusError {
        CorpusError::Line {
            file: file.to_owned(),
            line,
            problem: self,
        }
    }
}
