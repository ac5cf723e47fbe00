//! What can be wrong with a tokenizer, or with what it is asked for.

use std::path::PathBuf;

use thiserror::Error;

/// Why a tokenizer could not be made, or a text not be encoded.
#[derive(Debug, Error)]
pub enum TokenizerError {
    #[error("{folder} has neither tokenizer.json nor vocab.txt", folder = folder.display())]
    NoFiles { folder: PathBuf },
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{file} is not UTF-8 (byte {byte})")]
    NotUtf8 {
        file: &'static str,
        /// Offset of the first offending byte.
        byte: usize,
    },
    /// A file that is not JSON, or not a JSON object.
    #[error("{file} is not a JSON object: {problem}")]
    Json { file: &'static str, problem: String },
    /// A key of a JSON file with a value of the wrong type.
    #[error("{file}: {key:?} should be {expected}, found {found}")]
    Value {
        file: &'static str,
        key: String,
        expected: &'static str,
        /// The value found, as JSON.
        found: String,
    },
    /// A `tokenizer.json` that does not describe a tokenizer.
    #[error("tokenizer.json does not describe a tokenizer: {problem}")]
    Malformed {
        /// What the `tokenizers` library says.
        problem: String,
    },
    /// A setting that would change the layout of ids and is not implemented.
    #[error("tokenizer_config.json: {key:?} is {found}; supported: {supported}")]
    Unsupported {
        key: &'static str,
        found: String,
        supported: &'static str,
    },
    /// Tokens added beside the vocabulary in the oldest of the file layouts.
    #[error(
        "added_tokens.json without tokenizer.json is not supported; load the tokenizer with transformers and save it again, which writes tokenizer.json"
    )]
    AddedTokens,
    /// A special token that the vocabulary does not have.
    #[error("the vocabulary lacks {token:?}, the {role} token")]
    NoSpecialToken {
        token: String,
        /// What it is for: "cls", "sep", "pad", "mask", "unk".
        role: &'static str,
    },
    /// A tokenizer that does not put a token before the text, after which the marker could stand.
    #[error(
        "the tokenizer puts no special token before a text, so there is no place for ColBERT's marker"
    )]
    NoLeadingToken,
    /// A token limit below the number of special tokens.
    #[error("{limit} tokens are too few: the special tokens alone are {special}")]
    TooShort {
        /// The limit, marker included.
        limit: usize,
        /// The number of special tokens, marker included.
        special: usize,
    },
    /// A query that is longer than the encoder's positions.
    #[error(
        "the query takes {tokens} tokens, but the encoder has {positions} positions; shorten the query or its context"
    )]
    TooLong {
        /// Tokens of the query, with its context.
        tokens: usize,
        /// The encoder's `max_position_embeddings`.
        positions: usize,
    },
    /// A vocabulary with more ids than the encoder's word table has rows.
    #[error(
        "the tokenizer has ids up to {highest}, but the encoder's word table has {rows} rows (vocab_size): the files do not belong together"
    )]
    Vocabulary {
        highest: u32,
        /// The rows of the word table.
        rows: usize,
    },
    /// Something that a tokenizer may have so much of and no more.
    #[error("the tokenizer goes beyond a bound: {what}: {found}, and at most {most} are allowed")]
    Bound {
        what: &'static str,
        found: usize,
        /// The bound.
        most: usize,
    },
    /// A template for one text that does not hold it once.
    #[error(
        "tokenizer.json: the template for one text should hold the text (A) once and no other, found it {times} times \
         and {others} others"
    )]
    Template { times: usize, others: usize },
    /// A token with an id beyond the vocabulary.
    #[error(
        "tokenizer.json gives the token {token:?} the id {id}, but the highest id of the vocabulary is {highest}"
    )]
    UnknownId {
        id: u32,
        /// Empty where the library does not say.
        token: String,
        highest: u32,
    },
    /// A text of which more would have to be read than is read of any.
    #[error(
        "the text has {bytes} bytes, and its first {read} came to only {tokens} tokens, where {needed} are wanted; \
         split it, or leave out what is no text"
    )]
    TooSparse {
        /// Bytes of the text.
        bytes: usize,
        /// How many of them were read, repetitions left out.
        read: usize,
        tokens: usize,
        needed: usize,
    },
    /// A text that has to be tokenized whole, as with a tokenizer that is not BERT's, whose texts cannot be cut first.
    #[error(
        "the text has {bytes} bytes, and at most {most} can be tokenized whole; split the text"
    )]
    TooManyBytes { bytes: usize, most: usize },
    /// The `tokenizers` library panicked.
    #[error(
        "the `tokenizers` library does not get along with the files of the tokenizer (it stopped with {problem:?}): \
         they describe one that does not work"
    )]
    Crashed {
        /// The panic's text.
        problem: String,
    },
    /// The `tokenizers` library failed on a text.
    #[error("tokenizing failed: {problem}")]
    Encode { problem: String },
}
