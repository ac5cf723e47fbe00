//! Encoding queries.

use concord_kernels::compute::Compute;

use crate::checkpoint::Checkpoint;
use crate::config::ColbertConfig;
use crate::document::AnyEncoder;
use crate::encoder::{BuildError, PackedRows, TapsOfBatch};
use crate::numerics::Numerics;
use crate::precision::Precision;
use crate::tokenizer::{QueryTokenizer, QueryTokens, TokenizerError};

/// Turns queries into the embeddings that passages are scored against.
pub struct QueryEncoder {
    encoder: AnyEncoder,
    /// Whether a query's embeddings are the same whatever else is encoded with it.
    batch_invariant: bool,
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
            batch_invariant: numerics.is_batch_invariant(),
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
        self.embeddings(&[self.tokenizer.encode(query)?]).remove(0)
    }

    /// [`QueryEncoder::encode`] of several queries: the same embeddings in less time, as the weights go by once.
    pub fn encode_all(&self, queries: &[&str]) -> Vec<Result<Vec<f32>, QueryError>> {
        if !self.batch_invariant {
            return queries.iter().map(|query| self.encode(query)).collect();
        }
        let tokens = queries.iter().map(|query| self.tokenizer.encode(query));
        let (mut whole, mut wrong) = (Vec::new(), Vec::new());
        for (at, tokens) in tokens.enumerate() {
            match tokens {
                Ok(tokens) => whole.push(tokens),
                Err(error) => wrong.push((at, Err(error.into()))),
            }
        }
        let mut encoded = self.embeddings(&whole);
        for (at, error) in wrong {
            encoded.insert(at, error);
        }
        encoded
    }

    /// The embeddings of each query, all of them encoded together.
    fn embeddings(&self, queries: &[QueryTokens]) -> Vec<Result<Vec<f32>, QueryError>> {
        let ids: Vec<u32> = queries.iter().flat_map(|query| query.ids.clone()).collect();
        let attend = queries
            .iter()
            .flat_map(|query| query.attention_mask.clone());
        let attend: Vec<bool> = attend.collect();
        let lengths: Vec<usize> = queries.iter().map(|query| query.ids.len()).collect();
        let keep = self.tokenizer.keep_mask(&ids);
        let rows = PackedRows {
            ids: &ids,
            lengths: &lengths,
            attend: Some(&attend),
            keep: Some(&keep),
        };
        let embeddings = self.encoder.encode(&rows, &mut TapsOfBatch::none());
        let (mut rest, dim) = (embeddings.as_slice(), self.encoder.dim());
        let each = lengths.iter().map(|tokens| {
            let own;
            (own, rest) = rest.split_at(tokens * dim);
            match own.iter().position(|value| !value.is_finite()) {
                None => Ok(own.to_vec()),
                Some(at) => Err(QueryError::NotFinite {
                    token: at / dim.max(1),
                    value: own[at],
                    precision: self.precision,
                }),
            }
        });
        each.collect()
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
