//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use concord_tensor::FileError;
use thiserror::Error;

use super::weights::WeightsError;
use crate::config::ConfigError;
use crate::hub::HubError;
use crate::tokenizer::TokenizerError;

/// Why a checkpoint could not be loaded.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Neither a folder nor something that could be a hub id.
    #[error(
        "no checkpoint {spec:?}: there is no such folder, and it is not the id of a hub repository (owner/name)"
    )]
    NotFound {
        /// What the user asked for.
        spec: String,
    },
    /// The hub repository could not be had.
    #[error("no checkpoint folder of that name, and from the hub: {0}")]
    Hub(#[from] HubError),
    /// A folder without a file that is needed.
    #[error("the checkpoint {folder} has no {file}")]
    MissingFile { folder: String, file: &'static str },
    #[error("the checkpoint {folder} has neither model.safetensors nor pytorch_model.bin")]
    NoWeights { folder: String },
    /// Weights that are spread over several files.
    #[error(
        "the weights of {folder} are spread over several files ({index}); save the model again in one file"
    )]
    Sharded {
        folder: String,
        /// The file that lists the parts.
        index: &'static str,
    },
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A text file that is not UTF-8.
    #[error("{file} is not UTF-8 (byte {byte})")]
    NotUtf8 {
        file: String,
        /// Offset of the first offending byte.
        byte: usize,
    },
    /// The configuration is missing something, wrong, or not supported.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer is missing, wrong, or does not fit the encoder.
    #[error("the checkpoint's tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// The file of weights could not be opened: truncated, damaged, not a file of tensors.
    #[error(transparent)]
    Container(#[from] FileError),
    /// The weights are not those of the configured encoder.
    #[error("{file}: {source}")]
    Weights {
        file: String,
        source: Box<WeightsError>,
    },
    /// A `.dnn` file that is not the dictionary that ColBERT used to save.
    #[error("{file} is not a ColBERT checkpoint: {what} should be {expected}, found {found}")]
    Dnn {
        file: String,
        what: &'static str,
        expected: &'static str,
        found: &'static str,
    },
    /// The base model of a `.dnn` file could not be had.
    #[error("{file} was trained from {base:?}, which is needed for its tokenizer: {source}")]
    DnnBase {
        file: String,
        base: String,
        /// Why it could not be had.
        source: Box<CheckpointError>,
    },
}
