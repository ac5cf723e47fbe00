//! ColBERT's oldest checkpoint format: one pickled dictionary in a `.dnn` file.

use std::path::Path;

use concord_tensor::TensorSource;
use concord_tensor::pt::{self, PtValue};
use serde_json::{Map, Value};

use super::error::CheckpointError;
use super::files::Files;
use super::parts::{Base, Parts};
use super::weights::Weights;
use crate::config::ConfigLayer;
use crate::hub::{self, HubOptions, RepoId};

/// The base model of a file that does not name one.
const DEFAULT_BASE: &str = "bert-base-uncased";

type Stored = PtValue<TensorSource>;

/// Reads the `.dnn` file `spec`: weights from `model_state_dict`, settings from `arguments`, and
/// from the base model (`arguments.model`, a folder or a hub id) the encoder's sizes and the
/// tokenizer.
pub(super) fn load(spec: &str, hub: &HubOptions) -> Result<Parts, CheckpointError> {
    let entries = match pt::open(spec)? {
        Stored::Dict(entries) => entries,
        other => return Err(wrong(spec, "its content", "a dict", other.kind())),
    };
    let mut state = None;
    let mut arguments = Map::new();
    for (key, value) in entries {
        match key {
            Stored::Str(key) if key == "model_state_dict" => state = Some(value),
            Stored::Str(key) if key == "arguments" => arguments = settings(spec, value)?,
            _ => {}
        }
    }
    let state = match state {
        Some(state @ Stored::Dict(_)) => state.tensors(),
        Some(other) => return Err(wrong(spec, "model_state_dict", "a dict", other.kind())),
        None => return Err(wrong(spec, "model_state_dict", "a dict", "nothing")),
    };
    let base_name = match arguments.get("model") {
        None | Some(Value::Null) => DEFAULT_BASE,
        Some(Value::String(name)) => name,
        Some(_) => return Err(wrong(spec, "arguments.model", "a string", "another type")),
    };
    let base = load_base(base_name, hub).map_err(|source| CheckpointError::DnnBase {
        file: spec.to_owned(),
        base: base_name.to_owned(),
        source: Box::new(source),
    })?;
    let layer = ConfigLayer::from_map(&format!("arguments of {spec}"), &arguments)?;
    let weights = Weights::read(&base.architecture(), state);
    let weights = weights.map_err(|source| CheckpointError::Weights {
        file: spec.to_owned(),
        source: Box::new(source),
    })?;
    let notices = weights.notices();
    Ok(Parts {
        base,
        layer,
        weights,
        notices,
    })
}

fn load_base(name: &str, hub: &HubOptions) -> Result<Base, CheckpointError> {
    let folder = Path::new(name);
    if folder.is_dir() {
        return Base::read(&Files::Folder(folder));
    }
    let repo = RepoId::parse(name).ok_or_else(|| CheckpointError::NotFound {
        spec: name.to_owned(),
    })?;
    let snapshot = hub::fetch_without_weights(&repo, hub)?;
    Base::read(&Files::Folder(&snapshot))
}

/// The plain values of the dict `arguments`; tensors, containers and objects, which no setting is, are
/// left out.
fn settings(spec: &str, arguments: Stored) -> Result<Map<String, Value>, CheckpointError> {
    let entries = match arguments {
        Stored::Dict(entries) => entries,
        other => return Err(wrong(spec, "arguments", "a dict", other.kind())),
    };
    let plain = entries.into_iter().filter_map(|(key, value)| match key {
        Stored::Str(key) => Some((key, plain(value)?)),
        _ => None,
    });
    Ok(plain.collect())
}

fn plain(value: Stored) -> Option<Value> {
    match value {
        Stored::Int(number) => Some(number.into()),
        Stored::Float(number) => Some(number.into()),
        Stored::Str(text) => Some(text.into()),
        Stored::Bool(switch) => Some(switch.into()),
        Stored::None => Some(Value::Null),
        Stored::Tensor(_)
        | Stored::Tuple(_)
        | Stored::List(_)
        | Stored::Dict(_)
        | Stored::Other(_) => None,
    }
}

fn wrong(
    file: &str,
    what: &'static str,
    expected: &'static str,
    found: &'static str,
) -> CheckpointError {
    CheckpointError::Dnn {
        file: file.to_owned(),
        what,
        expected,
        found,
    }
}
