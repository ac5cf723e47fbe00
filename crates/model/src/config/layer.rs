//! Reading a configuration layer: `artifact.metadata`, `metadata.json`, `plan.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::colbert::{ColbertConfig, ConfigLayer};
use super::error::ConfigError;

impl ConfigLayer {
    /// Reads a JSON file in the shape of `artifact.metadata`: a flat object of settings. If it
    /// has a top-level `config`, that object is used instead, as in an index's `metadata.json`.
    /// Unknown keys, `meta` among them, are ignored as the reference ignores them.
    ///
    /// # Errors
    /// The file cannot be read, is not a JSON object, or a known key has a value of another type.
    pub fn read(path: &Path) -> Result<ConfigLayer, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        ConfigLayer::parse(&path.display().to_string(), &text)
    }

    /// [`ConfigLayer::read`] of a text; `file` stands for it in messages.
    ///
    /// # Errors
    /// The text is not a JSON object, or a known key has a value of another type.
    pub fn parse(file: &str, text: &str) -> Result<ConfigLayer, ConfigError> {
        let map = parse_object(file, text)?;
        match map.get("config") {
            None => ConfigLayer::from_map(file, &map),
            Some(Value::Object(inner)) => ConfigLayer::from_map(file, inner),
            Some(other) => Err(ConfigError::NotAnObject {
                file: format!("\"config\" of {file}"),
                found: kind(other),
            }),
        }
    }

    /// Reads the configuration that the ColBERT index in the folder `index` was built with:
    /// from `metadata.json`, or from `plan.json` if the former does not exist, as in an index
    /// whose build has not finished.
    ///
    /// Unlike the reference, a `metadata.json` that exists and is broken is an error.
    ///
    /// # Errors
    /// As [`ConfigLayer::read`]; neither file exists; the file has no `config`.
    pub fn read_index(index: &Path) -> Result<ConfigLayer, ConfigError> {
        let files = ["metadata.json", "plan.json"].map(|name| index.join(name));
        let Some(path) = files.iter().find(|path| path.exists()) else {
            return Err(ConfigError::NotAnIndex {
                path: index.to_owned(),
            });
        };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        if !parse_object(&file, &text)?.contains_key("config") {
            return Err(ConfigError::MissingKey {
                file,
                key: "config",
            });
        }
        ConfigLayer::parse(&file, &text)
    }
}

impl ColbertConfig {
    /// The class defaults, overridden by each layer's assigned settings in turn: of two layers
    /// that assign a setting the later one wins.
    pub fn resolve<'a>(layers: impl IntoIterator<Item = &'a ConfigLayer>) -> ColbertConfig {
        let mut config = ColbertConfig::default();
        for layer in layers {
            layer.apply(&mut config);
        }
        config
    }

    /// Checks the settings against the encoder they are to be used with: `dim` against the rows
    /// of its projection, the token limits against its positions and against the three special
    /// tokens.
    ///
    /// # Errors
    /// [`ConfigError::Dim`], [`ConfigError::TooLong`], [`ConfigError::TooShort`].
    pub fn check(&self, dim: usize, positions: usize) -> Result<(), ConfigError> {
        if self.dim != dim {
            return Err(ConfigError::Dim {
                configured: self.dim,
                rows: dim,
            });
        }
        let limits = [
            ("doc_maxlen", self.doc_maxlen),
            ("query_maxlen", self.query_maxlen),
        ];
        for (key, value) in limits {
            if value > positions {
                return Err(ConfigError::TooLong {
                    key,
                    value,
                    positions,
                });
            }
            if value < 3 {
                return Err(ConfigError::TooShort { key, value });
            }
        }
        Ok(())
    }
}

/// The JSON object in `text`.
pub(super) fn parse_object(file: &str, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let value: Value = serde_json::from_str(text).map_err(|source| ConfigError::Json {
        file: file.to_owned(),
        source,
    })?;
    match value {
        Value::Object(map) => Ok(map),
        other => Err(ConfigError::NotAnObject {
            file: file.to_owned(),
            found: kind(&other),
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
