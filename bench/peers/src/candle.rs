//! candle's BERT with ColBERT's head, in `f32`. Its threads are those of `RAYON_NUM_THREADS`.

use std::fs;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear_no_bias};
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::{Value, json};

use crate::rounds;
use crate::tokens::{Tokens, write_embeddings};

/// The version in `Cargo.toml`.
pub const VERSION: &str = "0.11.1";

/// The encoder of a checkpoint with what it encodes.
pub struct Candle {
    bert: BertModel,
    head: Linear,
    dim: usize,
    tokens: Tokens,
    passages: Vec<Padded>,
    query: Padded,
}

/// Sequences filled up to the longest: ids and attention mask, `(sequences, width)`.
struct Padded {
    ids: Tensor,
    mask: Tensor,
}

impl Candle {
    /// The encoder of the checkpoint in a folder.
    ///
    /// # Errors
    /// When there is none, or candle cannot run it.
    pub fn new(folder: &Path, tokens: Tokens) -> Result<Candle, String> {
        let config = folder.join("config.json");
        let config =
            fs::read_to_string(&config).map_err(|e| format!("{}: {e}", config.display()))?;
        let config: Config = serde_json::from_str(&config).map_err(|e| e.to_string())?;
        let weights = folder.join("model.safetensors");
        let weights = fs::read(&weights).map_err(|e| format!("{}: {e}", weights.display()))?;
        Candle::of_weights(&config, weights, tokens).map_err(|e| e.to_string())
    }

    fn of_weights(
        config: &Config,
        weights: Vec<u8>,
        tokens: Tokens,
    ) -> candle_core::Result<Candle> {
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let dim = weights.get_unchecked("linear.weight")?.dim(0)?;
        let batches = tokens.batches();
        let padded = |batch: &Vec<usize>| {
            let passages = batch
                .iter()
                .map(|&passage| tokens.passages[passage].as_slice());
            Padded::new(&passages.collect::<Vec<_>>())
        };
        Ok(Candle {
            bert: BertModel::load(weights.pp("bert"), config)?,
            head: linear_no_bias(config.hidden_size, dim, weights.pp("linear"))?,
            dim,
            passages: batches.iter().map(padded).collect::<Result<_, _>>()?,
            query: Padded::new(&[&tokens.query])?,
            tokens,
        })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn answer(&self, request: &str, rest: &str) -> Result<Value, String> {
        match request {
            "encode" => rounds::seconds(|| self.encode_all()).map(Value::from),
            "query" => {
                let encode = || self.encode(&self.query).map_err(|e| e.to_string());
                rounds::seconds_of_short(encode).map(Value::from)
            }
            "embeddings" => {
                let embeddings = self.without_padding().map_err(|e| e.to_string())?;
                write_embeddings(&self.tokens, &embeddings, self.dim, Path::new(rest))?;
                Ok(json!({ "dim": self.dim }))
            }
            unknown => rounds::unknown(unknown),
        }
    }

    fn encode_all(&self) -> Result<Vec<Tensor>, String> {
        let encoded = self.passages.iter().map(|batch| self.encode(batch));
        encoded.collect::<Result<_, _>>().map_err(|e| e.to_string())
    }

    /// The embeddings of a batch, `(sequences, width, dim)`.
    fn encode(&self, batch: &Padded) -> candle_core::Result<Tensor> {
        let token_types = batch.ids.zeros_like()?;
        let states = self
            .bert
            .forward(&batch.ids, &token_types, Some(&batch.mask))?;
        let embeddings = self.head.forward(&states)?;
        let norms = embeddings.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        embeddings.broadcast_div(&norms)
    }

    /// For each batch the embeddings of its tokens, one row each.
    fn without_padding(&self) -> candle_core::Result<Vec<Vec<f32>>> {
        let batches = self.tokens.batches();
        let rows = batches.iter().zip(&self.passages).map(|(batch, padded)| {
            let embeddings = self.encode(padded)?;
            let mut rows = Vec::new();
            for (place, &passage) in batch.iter().enumerate() {
                let tokens = self.tokens.passages[passage].len();
                let own = embeddings.get(place)?.narrow(0, 0, tokens)?;
                rows.extend(own.flatten_all()?.to_vec1::<f32>()?);
            }
            Ok(rows)
        });
        rows.collect()
    }
}

impl Padded {
    fn new(sequences: &[&[u32]]) -> candle_core::Result<Padded> {
        let width = sequences.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(sequences.len() * width);
        let mut mask = Vec::with_capacity(sequences.len() * width);
        for sequence in sequences {
            let padding = width - sequence.len();
            ids.extend_from_slice(sequence);
            ids.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1u32, sequence.len()));
            mask.extend(std::iter::repeat_n(0, padding));
        }
        let shape = (sequences.len(), width);
        Ok(Padded {
            ids: Tensor::from_vec(ids, shape, &Device::Cpu)?,
            mask: Tensor::from_vec(mask, shape, &Device::Cpu)?,
        })
    }
}
