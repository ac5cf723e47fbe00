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
    precision: Precision,
    tokenizer: QueryTokenizer,
}

/// Why queries cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A query without words, of which ColBERT searches the `[MASK]`s alone.
    #[error("the query is empty: what would be found for it means nothing")]
    Empty,
    /// An embedding that is NaN or infinite.
    #[error(
        "the embedding of token {token} of the query is not finite ({value}): the numbers of the checkpoint go \
         beyond the range of precision={precision}; another precision may do"
    )]
    NotFinite {
        /// Its place among the tokens of the query, from 0.
        token: usize,
        value: f32,
        precision: Precision,
    },
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
            precision,
            tokenizer: checkpoint.query_tokenizer(config)?,
        })
    }

    /// The embeddings `(query_maxlen, dim)` of a query: one for each token and each `[MASK]` that
    /// fills it up.
    ///
    /// # Errors
    /// When it cannot be tokenized, or an embedding comes out as something else than finite numbers.
    pub fn encode(&self, query: &str) -> Result<Vec<f32>, QueryError> {
        let tokens = self.tokenizer.encode(query)?;
        let keep = self.tokenizer.keep_mask(&tokens.ids);
        let rows = PackedRows {
            ids: &tokens.ids,
            lengths: &[tokens.ids.len()],
            attend: Some(&tokens.attention_mask),
            keep: Some(&keep),
        };
        let embeddings = self.encoder.encode(&rows, &mut TapsOfBatch::none());
        match embeddings.iter().position(|value| !value.is_finite()) {
            None => Ok(embeddings),
            Some(at) => Err(QueryError::NotFinite {
                token: at / self.encoder.dim().max(1),
                value: embeddings[at],
                precision: self.precision,
            }),
        }
    }

    /// How many tokens of `query` are not encoded, since `query_maxlen` has no room for them: at least so many of a long
    /// one, and 0 only if it fits.
    ///
    /// # Errors
    /// When it cannot be tokenized.
    pub fn lost_tokens(&self, query: &str) -> Result<usize, QueryError> {
        Ok(self.tokenizer.lost(query)?)
    }

    /// Notices for the user about the tokenizer.
    pub fn notices(&self) -> Vec<String> {
        self.tokenizer.notices()
    }
}
