//! Encoding queries.

use concord_kernels::isa::Isa;

use crate::checkpoint::Checkpoint;
use crate::config::ColbertConfig;
use crate::encoder::{BuildError, Encoder, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use crate::tokenizer::{QueryTokenizer, TokenizerError};

/// Turns queries into the embeddings that passages are scored against.
pub struct QueryEncoder {
    encoder: Encoder,
    tokenizer: QueryTokenizer,
    isa: Isa,
}

/// Why queries cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The encoder cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A query cannot be tokenized.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl QueryEncoder {
    /// An encoder of queries for `checkpoint` under `config`.
    ///
    /// # Errors
    /// When the checkpoint does not make an encoder or a tokenizer.
    pub fn new(
        checkpoint: &Checkpoint,
        config: &ColbertConfig,
        isa: Isa,
    ) -> Result<QueryEncoder, QueryError> {
        let encoder = Encoder::build(checkpoint, &Numerics::default())?;
        Ok(QueryEncoder {
            encoder,
            tokenizer: checkpoint.query_tokenizer(config)?,
            isa,
        })
    }

    /// The embeddings `(query_maxlen, dim)` of a query: one for each token and each `[MASK]` that
    /// fills it up.
    ///
    /// # Errors
    /// When it cannot be tokenized.
    pub fn encode(&self, query: &str) -> Result<Vec<f32>, QueryError> {
        let tokens = self.tokenizer.encode(query)?;
        let keep = self.tokenizer.keep_mask(&tokens.ids);
        let rows = PackedRows {
            ids: &tokens.ids,
            lengths: &[tokens.ids.len()],
            attend: Some(&tokens.attention_mask),
            keep: Some(&keep),
        };
        Ok(self
            .encoder
            .encode(self.isa, &rows, &mut TapsOfBatch::none()))
    }
}
