//! The token ids that every engine encodes.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use concord_corpus::Collection;
use concord_model::checkpoint::Checkpoint;
use concord_model::tokenizer::BatchPlan;
use serde::{Deserialize, Serialize};

/// Passages that go through an encoder together, in every engine.
pub const BATCH: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// What is encoded: passages, and a query.
#[derive(Serialize, Deserialize)]
pub struct Tokens {
    /// The ids of each passage, without padding.
    pub passages: Vec<Vec<u32>>,
    /// The ids of the query, filled up with `[MASK]`s to the checkpoint's length.
    pub query: Vec<u32>,
}

impl Tokens {
    /// The tokens of as many passages of a collection, taken at even distances, and of a query.
    ///
    /// # Errors
    /// When the checkpoint has no tokenizer for them.
    pub fn of(
        checkpoint: &Checkpoint,
        collection: &Collection,
        passages: usize,
        query: &str,
    ) -> Result<Tokens, String> {
        let config = checkpoint.colbert_config([]).map_err(|e| e.to_string())?;
        let documents = checkpoint.doc_tokenizer(&config);
        let documents = documents.map_err(|e| e.to_string())?;
        let queries = checkpoint.query_tokenizer(&config);
        let queries = queries.map_err(|e| e.to_string())?;
        let texts: Vec<&str> = collection.iter().collect();
        let passages = passages.min(texts.len());
        let chosen: Vec<&str> = (0..passages)
            .map(|number| texts[number * texts.len() / passages])
            .collect();
        Ok(Tokens {
            passages: documents.encode(&chosen).map_err(|e| e.to_string())?,
            query: queries.encode(query).map_err(|e| e.to_string())?.ids,
        })
    }

    /// The tokens of passages, and no query.
    ///
    /// # Errors
    /// As [`Tokens::of`].
    pub fn of_passages(checkpoint: &Checkpoint, passages: &[&str]) -> Result<Tokens, String> {
        let config = checkpoint.colbert_config([]).map_err(|e| e.to_string())?;
        let documents = checkpoint.doc_tokenizer(&config);
        let documents = documents.map_err(|e| e.to_string())?;
        Ok(Tokens {
            passages: documents.encode(passages).map_err(|e| e.to_string())?,
            query: Vec::new(),
        })
    }

    /// Reads what [`Tokens::write`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(file: &Path) -> Result<Tokens, String> {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Writes them as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// The passages of each batch, by their number: passages of like length together.
    pub fn batches(&self) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.passages.iter().map(Vec::len).collect();
        let plan = BatchPlan::new(&lengths, BATCH);
        plan.slices().map(<[usize]>::to_vec).collect()
    }
}

/// Writes embeddings in the order of the passages, as bare little-endian `f32`. `of_batches` has for each
/// batch one row of `dim` numbers per token.
///
/// # Errors
/// When the file cannot be written.
pub fn write_embeddings(
    tokens: &Tokens,
    of_batches: &[Vec<f32>],
    dim: usize,
    file: &Path,
) -> Result<(), String> {
    let embeddings = in_order(tokens, of_batches, dim);
    fs::write(file, bytemuck::cast_slice(&embeddings))
        .map_err(|e| format!("{}: {e}", file.display()))
}

/// The embeddings of batches, `dim` numbers per token, in the order of the passages.
pub fn in_order(tokens: &Tokens, of_batches: &[Vec<f32>], dim: usize) -> Vec<f32> {
    let mut of_passage: Vec<&[f32]> = vec![&[]; tokens.passages.len()];
    for (batch, embeddings) in tokens.batches().iter().zip(of_batches) {
        let mut rows = embeddings.as_slice();
        for &passage in batch {
            let (own, rest) = rows.split_at(tokens.passages[passage].len() * dim);
            of_passage[passage] = own;
            rows = rest;
        }
    }
    of_passage.concat()
}
