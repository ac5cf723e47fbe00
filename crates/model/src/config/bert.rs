//! The encoder's sizes, from `config.json`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::layer::parse_object;

/// The activation between the two linear layers of a BERT layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · Φ(x)` with the error function (`gelu`).
    GeluErf,
    /// Its approximation with the hyperbolic tangent (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)` (`relu`).
    Relu,
}

/// The sizes and switches of a BERT encoder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BertConfig {
    /// Numbers per token between layers.
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    /// Attention heads per layer; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Numbers per token between the two linear layers of a layer.
    pub intermediate_size: usize,
    /// What layer normalisation adds to the variance.
    pub layer_norm_eps: f64,
    /// The activation of the feed-forward part.
    pub hidden_act: Activation,
    /// The most tokens of a sequence.
    pub max_position_embeddings: usize,
    /// Rows of the token type table, of which ColBERT uses row 0.
    pub type_vocab_size: usize,
    /// Rows of the word table.
    pub vocab_size: usize,
}

impl BertConfig {
    /// Reads the text of a `config.json`; `file` stands for it in messages.
    ///
    /// The sizes must be there. The keys that older files lack have the defaults of
    /// `transformers.BertConfig`: `layer_norm_eps` 1e-12, `hidden_act` gelu,
    /// `max_position_embeddings` 512, `type_vocab_size` 2.
    ///
    /// # Errors
    /// The text is not a JSON object; a key is missing or has a value it may not have; the model
    /// is not a BERT encoder with absolute positions.
    pub fn parse(file: &str, text: &str) -> Result<BertConfig, ConfigError> {
        let map = parse_object(file, text)?;
        let keys = Keys { file, map: &map };
        keys.check_architecture()?;
        let config = BertConfig {
            hidden_size: keys.size("hidden_size", None)?,
            num_hidden_layers: keys.layers()?,
            num_attention_heads: keys.size("num_attention_heads", None)?,
            intermediate_size: keys.size("intermediate_size", None)?,
            layer_norm_eps: keys.layer_norm_eps()?,
            hidden_act: keys.activation()?,
            max_position_embeddings: keys.size("max_position_embeddings", Some(512))?,
            type_vocab_size: keys.size("type_vocab_size", Some(2))?,
            vocab_size: keys.size("vocab_size", None)?,
        };
        if !config
            .hidden_size
            .is_multiple_of(config.num_attention_heads)
        {
            return Err(ConfigError::Heads {
                file: file.to_owned(),
                hidden: config.hidden_size,
                heads: config.num_attention_heads,
            });
        }
        Ok(config)
    }

    /// Numbers per token and attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

/// The keys of a `config.json`.
struct Keys<'a> {
    file: &'a str,
    map: &'a Map<String, Value>,
}

impl Keys<'_> {
    fn check_architecture(&self) -> Result<(), ConfigError> {
        match self.map.get("model_type") {
            Some(Value::String(kind)) if kind == "bert" => {}
            Some(Value::String(kind)) => {
                return Err(ConfigError::Architecture {
                    file: self.file.to_owned(),
                    found: kind.clone(),
                });
            }
            Some(other) => return Err(self.wrong("model_type", "a string", other)),
            None => return Err(self.missing("model_type")),
        }
        match self.map.get("position_embedding_type") {
            None => {}
            Some(Value::String(kind)) if kind == "absolute" => {}
            Some(other) => {
                return Err(self.unsupported("position_embedding_type", other, "\"absolute\""));
            }
        }
        for key in ["is_decoder", "add_cross_attention"] {
            match self.map.get(key) {
                None | Some(Value::Bool(false)) => {}
                Some(other) => return Err(self.unsupported(key, other, "false (an encoder)")),
            }
        }
        Ok(())
    }

    /// The number of layers. Its bound keeps a broken file from filling the memory with names.
    fn layers(&self) -> Result<usize, ConfigError> {
        let key = "num_hidden_layers";
        match self.size(key, None)? {
            layers @ 1..=1000 => Ok(layers),
            layers => Err(self.wrong(key, "a whole number from 1 to 1000", &layers.into())),
        }
    }

    /// A size from 1 to `i32::MAX`, or `default` if the key is missing.
    fn size(&self, key: &'static str, default: Option<usize>) -> Result<usize, ConfigError> {
        let Some(value) = self.map.get(key) else {
            return default.ok_or_else(|| self.missing(key));
        };
        // The product of two sizes then fits 64 bits: no table's size can overflow.
        let size = value.as_u64().and_then(|size| i32::try_from(size).ok());
        match size {
            Some(size) if size >= 1 => Ok(size as usize),
            _ => Err(self.wrong(key, "a whole number from 1 to 2147483647", value)),
        }
    }

    fn layer_norm_eps(&self) -> Result<f64, ConfigError> {
        let key = "layer_norm_eps";
        match self.map.get(key) {
            None => Ok(1e-12),
            Some(value) => match value.as_f64() {
                Some(eps) if eps > 0.0 && eps < 1.0 => Ok(eps),
                _ => Err(self.wrong(key, "a number between 0 and 1", value)),
            },
        }
    }

    fn activation(&self) -> Result<Activation, ConfigError> {
        let key = "hidden_act";
        let Some(value) = self.map.get(key) else {
            return Ok(Activation::GeluErf);
        };
        match value.as_str() {
            Some("gelu") => Ok(Activation::GeluErf),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            _ => Err(self.unsupported(
                key,
                value,
                "\"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\", \"relu\"",
            )),
        }
    }

    fn missing(&self, key: &'static str) -> ConfigError {
        ConfigError::MissingKey {
            file: self.file.to_owned(),
            key,
        }
    }

    fn wrong(&self, key: &'static str, expected: &'static str, found: &Value) -> ConfigError {
        ConfigError::Value {
            file: self.file.to_owned(),
            key,
            expected,
            found: found.to_string(),
        }
    }

    fn unsupported(
        &self,
        key: &'static str,
        found: &Value,
        supported: &'static str,
    ) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file.to_owned(),
            key,
            found: found.to_string(),
            supported,
        }
    }
}
