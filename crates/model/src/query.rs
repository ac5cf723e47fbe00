//! Encoding queries.

use concord_kernels::compute::Compute;

use crate::checkpoint::Checkpoint;
use crate::config::ColbertConfig;
use crate::document::AnyEncoder;
use crate::encoder::{BuildError, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use crate::precision::Precision;
use crate::tokenizer::{QueryTokenizer, TokenizerError};

/// Turns queries into the embeddings that passages are scored against.
pub struct QueryEncoder {
    encoder: AnyEncoder,
    tokenizer: QueryTokenizer,
}

/// Why queries cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl QueryEncoder {
    /// An encoder of queries for `checkpoint` under `config`, in `precision`, computing as `numerics` says.
    ///
    /// # Errors
    /// When the checkpoint does not make an encoder or a tokenizer.
    pub fn new(
        checkpoint: &Checkpoint,
        config: &ColbertConfig,
        numerics: &Numerics,
        precision: Precision,
        compute: &Compute,
    ) -> Result<QueryEncoder, QueryError> {
        let encoder = AnyEncoder::build(checkpoint, numerics, precision, compute)?;
        Ok(QueryEncoder {
            encoder,
            tokenizer: checkpoint.query_tokenizer(config)?,
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
        Ok(self.encoder.encode(&rows, &mut TapsOfBatch::none()))
    }
}
