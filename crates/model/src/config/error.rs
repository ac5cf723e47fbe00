//! What can be wrong with a configuration.

use std::path::PathBuf;

use thiserror::Error;

/// Why a configuration could not be read, or cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{file} is not valid JSON: {source}")]
    Json {
        file: String,
        /// The parser's message, with line and column.
        source: serde_json::Error,
    },
    /// The file is JSON, but not an object.
    #[error("{file} should hold a JSON object, found {found}")]
    NotAnObject {
        file: String,
        /// The kind of value found.
        found: &'static str,
    },
    /// A key that is needed and is not there.
    #[error("{file} lacks the key {key:?}")]
    MissingKey { file: String, key: &'static str },
    /// A key whose value has the wrong type or lies outside what it may be.
    #[error("{file}: {key:?} should be {expected}, found {found}")]
    Value {
        file: String,
        key: &'static str,
        expected: &'static str,
        /// The value found, as JSON.
        found: String,
    },
    #[error("{file}: the model type is {found:?}; Concord runs encoders of the type \"bert\" only")]
    Architecture { file: String, found: String },
    /// A BERT with a feature that is not implemented.
    #[error("{file}: {key:?} is {found}; supported: {supported}")]
    Unsupported {
        file: String,
        key: &'static str,
        /// The value found, as JSON.
        found: String,
        supported: &'static str,
    },
    /// A hidden size that cannot be divided among the attention heads.
    #[error("{file}: a hidden size of {hidden} cannot be divided among {heads} attention heads")]
    Heads {
        file: String,
        /// `hidden_size`.
        hidden: usize,
        /// `num_attention_heads`.
        heads: usize,
    },
    /// A folder that holds neither of an index's two descriptions.
    #[error("{path} is no ColBERT index: it has neither metadata.json nor plan.json", path = path.display())]
    NotAnIndex { path: PathBuf },
    /// A token limit beyond the positions that the encoder knows.
    #[error(
        "{key} is {value}, but the checkpoint's encoder has {positions} positions (max_position_embeddings); choose at most that"
    )]
    TooLong {
        /// `doc_maxlen` or `query_maxlen`.
        key: &'static str,
        /// Its value, in tokens.
        value: usize,
        /// The encoder's `max_position_embeddings`.
        positions: usize,
    },
    /// A token limit that leaves no room for `[CLS]`, the marker and `[SEP]`.
    #[error("{key} is {value}, but [CLS], the marker and [SEP] alone take 3 tokens")]
    TooShort {
        /// `doc_maxlen` or `query_maxlen`.
        key: &'static str,
        /// Its value, in tokens.
        value: usize,
    },
    /// An embedding dimension other than the checkpoint's.
    #[error(
        "dim is {configured}, but linear.weight of the checkpoint has {rows} rows; set dim to {rows}"
    )]
    Dim {
        /// `dim` as configured.
        configured: usize,
        /// The rows of `linear.weight`.
        rows: usize,
    },
}
