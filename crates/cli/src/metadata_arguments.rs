//! Passages with what is known of them beside their texts.

use std::path::{Path, PathBuf};

use clap::Args;
use concord_corpus::{Collection, Metadata};
use concord_engine::embeddings::{EmbeddingFiles, GivenPassages};

use crate::output::Failure;

/// What is known of passages beside their texts.
#[derive(Args, Clone, Debug)]
pub struct MetadataArguments {
    /// What is known of the passages, for `concord search --where`: JSON lines, one for each passage, with its id as _id (a
    /// number from 0 where passages have none) and any other fields. Instead of the fields that stand beside the text
    /// in BEIR's corpus.jsonl
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
}

impl MetadataArguments {
    /// A collection with its metadata.
    pub fn collection(&self, path: &Path) -> Result<Collection, Failure> {
        let collection = Collection::open(path)?;
        Ok(match &self.metadata {
            Some(file) => {
                let metadata = Metadata::open(file, &collection, collection.len())?;
                collection.with_metadata(metadata)
            }
            None => collection,
        })
    }

    /// Embeddings with their metadata.
    pub fn embeddings(&self, files: &EmbeddingFiles) -> Result<GivenPassages, Failure> {
        let passages = GivenPassages::open(files)?;
        Ok(match &self.metadata {
            Some(file) => passages.with_metadata(file)?,
            None => passages,
        })
    }
}
