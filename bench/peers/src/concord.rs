//! Concord's encoder, called as an index build calls it: batches side by side on so many threads.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use concord_kernels::compute::{Compute, ComputeOptions};
use concord_model::checkpoint::Checkpoint;
use concord_model::document::{AnyEncoder, Batch, DocEncoder};
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use serde_json::{Value, json};

use crate::rounds;
use crate::tokens::{Tokens, in_order, write_embeddings};

/// The encoder of a checkpoint with what it encodes.
pub struct Concord {
    encoder: DocEncoder,
    tokens: Tokens,
    passages: Vec<Batch>,
    query: Vec<Batch>,
    compute: Compute,
}

impl Concord {
    /// The encoder in a precision, on so many threads.
    ///
    /// # Errors
    /// When the checkpoint has no such encoder.
    pub fn new(
        checkpoint: &Checkpoint,
        precision: Precision,
        threads: usize,
        tokens: Tokens,
    ) -> Result<Concord, String> {
        let config = checkpoint.colbert_config([]).map_err(|e| e.to_string())?;
        let tokenizer = checkpoint.doc_tokenizer(&config);
        let options = ComputeOptions::default().with_threads(NonZeroUsize::new(threads));
        let compute = Compute::new(&options).map_err(|e| e.to_string())?;
        let encoder = AnyEncoder::build(checkpoint, &Numerics::default(), precision, &compute)
            .map_err(|e| e.to_string())?;
        let batch = |(number, passages): (usize, &Vec<usize>)| Batch {
            number,
            pids: passages.clone(),
            ids: passages
                .iter()
                .flat_map(|&passage| &tokens.passages[passage])
                .copied()
                .collect(),
            lengths: passages
                .iter()
                .map(|&passage| tokens.passages[passage].len())
                .collect(),
        };
        Ok(Concord {
            encoder: DocEncoder {
                encoder: Arc::new(encoder),
                tokenizer: Arc::new(tokenizer.map_err(|e| e.to_string())?),
            },
            passages: tokens.batches().iter().enumerate().map(batch).collect(),
            query: vec![Batch {
                number: 0,
                pids: vec![0],
                ids: tokens.query.clone(),
                lengths: vec![tokens.query.len()],
            }],
            tokens,
            compute,
        })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn answer(&self, request: &str, rest: &str) -> Result<Value, String> {
        match request {
            "encode" => rounds::seconds(|| self.encode(&self.passages)).map(Value::from),
            "query" => rounds::seconds_of_short(|| self.encode(&self.query)).map(Value::from),
            "embeddings" => {
                let embeddings = self.encode(&self.passages)?;
                let dim = self.dim();
                write_embeddings(&self.tokens, &embeddings, dim, Path::new(rest))?;
                Ok(json!({ "dim": dim }))
            }
            unknown => rounds::unknown(unknown),
        }
    }

    /// How many numbers an embedding has.
    pub fn dim(&self) -> usize {
        self.encoder.encoder.dim()
    }

    /// How many embeddings each passage keeps, and these, in the order of the passages.
    ///
    /// # Errors
    /// When they cannot be computed.
    pub fn kept(&self) -> Result<(Vec<i64>, Vec<f32>), String> {
        let encoded = self.encode(&self.passages)?;
        let dim = self.dim();
        let mut lengths = Vec::with_capacity(self.tokens.passages.len());
        let mut embeddings = Vec::new();
        let all = in_order(&self.tokens, &encoded, dim);
        let mut rows = all.chunks_exact(dim);
        for ids in &self.tokens.passages {
            let keep = self.encoder.tokenizer.keep_mask(ids);
            lengths.push(keep.iter().filter(|keep| **keep).count() as i64);
            for (keep, row) in keep.into_iter().zip(&mut rows) {
                if keep {
                    embeddings.extend_from_slice(row);
                }
            }
        }
        Ok((lengths, embeddings))
    }

    fn encode(&self, batches: &[Batch]) -> Result<Vec<Vec<f32>>, String> {
        let mut encoded = Vec::with_capacity(batches.len());
        let take = |_: &Batch, embeddings| encoded.push(embeddings);
        let done = self
            .compute
            .install(|| self.encoder.encode(batches, None, None, |_| {}, take));
        done.map_err(|e| e.to_string())?;
        Ok(encoded)
    }
}
