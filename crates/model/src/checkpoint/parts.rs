//! The parts of a checkpoint, before they are checked against each other.

use super::error::CheckpointError;
use super::files::Files;
use super::weights::Weights;
use crate::config::{BertConfig, ConfigLayer};
use crate::tokenizer::{TokenizerError, TokenizerFiles, WordPieces};

/// Everything that is read of a checkpoint.
pub(super) struct Parts {
    pub(super) base: Base,
    pub(super) layer: ConfigLayer,
    pub(super) weights: Weights,
    pub(super) notices: Vec<String>,
}

/// What a checkpoint has beside its weights and ColBERT's settings.
pub(super) struct Base {
    pub(super) bert: BertConfig,
    pub(super) tokenizer_files: TokenizerFiles,
    pub(super) word_pieces: WordPieces,
}

impl Base {
    pub(super) fn read(files: &Files<'_>) -> Result<Base, CheckpointError> {
        let text = files.text("config.json")?;
        let text = text.ok_or_else(|| CheckpointError::MissingFile {
            folder: files.place(""),
            file: "config.json",
        })?;
        let bert = BertConfig::parse(&files.place("config.json"), &text)?;
        let tokenizer_files = files.tokenizer()?;
        let word_pieces = WordPieces::new(&tokenizer_files)?;
        let highest = word_pieces.highest_id();
        if highest as usize >= bert.vocab_size {
            return Err(CheckpointError::Tokenizer(TokenizerError::Vocabulary {
                highest,
                rows: bert.vocab_size,
            }));
        }
        Ok(Base {
            bert,
            tokenizer_files,
            word_pieces,
        })
    }
}
