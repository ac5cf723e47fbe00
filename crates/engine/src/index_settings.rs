//! The settings of an index that decide how it is read and searched.

use std::collections::BTreeMap;

use concord_index::format::{IndexError, IndexTensors};
use concord_model::config::{ColbertConfig, ConfigError, ConfigLayer};
use serde_json::{Map, Value as Json};

/// Those of ColBERT's configuration: how residuals are packed, how texts become embeddings, how much is searched.
/// What is not here says where something lay, how it was trained, or on how many machines.
const CONFIGURATION: [&str; 20] = [
    "attend_to_mask_tokens",
    "centroid_score_threshold",
    "clustering_mode",
    "dim",
    "doc_maxlen",
    "doc_token",
    "doc_token_id",
    "interaction",
    "kmeans_niters",
    "mask_punctuation",
    "model_name",
    "nbits",
    "ncells",
    "ndocs",
    "pool_factor",
    "protected_tokens",
    "query_maxlen",
    "query_token",
    "query_token_id",
    "similarity",
];

/// The sizes beside the configuration. Into how many chunks an index is cut changes nothing.
const SIZES: [&str; 3] = ["num_partitions", "num_embeddings", "avg_doclen"];

/// The sizes in `plan.json`.
const PLANNED: [&str; 3] = ["num_partitions", "num_embeddings_est", "avg_doclen_est"];

/// The options in a manifest that decide how queries are encoded.
const OPTIONS: [&str; 2] = ["precision", "numerics"];

/// What is added to the name of a setting of `plan.json`.
const OF_PLAN: &str = " of plan.json";

/// Whether a setting is a size that follows from what the index holds, so that where that differs, it does too.
pub fn is_size(name: &str) -> bool {
    match name.strip_suffix(OF_PLAN) {
        Some(name) => PLANNED.contains(&name),
        None => SIZES.contains(&name),
    }
}

/// The name in `metadata.json` of a setting that `plan.json` says again.
pub fn said_again(name: &str) -> Option<&str> {
    name.strip_suffix(OF_PLAN)
}

/// Why the settings of an index are not known.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The settings of an index that decide how it is read and searched, by name, as JSON: of `metadata.json`, of
/// `plan.json` under names that say so, of the manifest. What a file does not set is ColBERT's default.
///
/// # Errors
/// When a file cannot be read, or a setting is not what it should be.
pub fn settings(index: &IndexTensors) -> Result<BTreeMap<String, String>, SettingsError> {
    let config = index.setting("config").cloned().unwrap_or_default();
    let mut settings = configuration("metadata.json", &config)?;
    for name in SIZES {
        if let Some(value) = index.setting(name) {
            settings.insert(name.to_owned(), value.to_string());
        }
    }
    if let Some(plan) = index.plan()? {
        let config = plan.get("config").cloned().unwrap_or_default();
        let mut planned = configuration("plan.json", &config)?;
        for name in PLANNED {
            if let Some(value) = plan.get(name) {
                planned.insert(name.to_owned(), value.to_string());
            }
        }
        for (name, value) in planned {
            settings.insert(format!("{name}{OF_PLAN}"), value);
        }
    }
    let manifest = index.files().manifest();
    for name in OPTIONS {
        let value = manifest.and_then(|manifest| manifest.options.get(name));
        if let Some(value) = value {
            settings.insert(name.to_owned(), value.to_string());
        }
    }
    Ok(settings)
}

fn configuration(file: &str, config: &Json) -> Result<BTreeMap<String, String>, ConfigError> {
    let none = Map::new();
    let config = config.as_object().unwrap_or(&none);
    let config = ColbertConfig::resolve([&ConfigLayer::from_map(file, config)?]);
    let resolved = serde_json::to_value(config).unwrap_or_default();
    let value = |name: &str| {
        let value = resolved.get(name).unwrap_or(&Json::Null);
        (name.to_owned(), value.to_string())
    };
    Ok(CONFIGURATION.into_iter().map(value).collect())
}
