//! A whole checkpoint of the smallest size, to be spoiled by tests.

#![allow(dead_code)] // Each test binary uses some of it.

use std::path::{Path, PathBuf};

use concord_model::architecture::{self, Architecture, Parameter};
use concord_model::checkpoint::{Checkpoint, CheckpointError, WeightsError};
use concord_model::config::BertConfig;
use concord_model::hub::HubOptions;
use concord_tensor::pt::PtValue;
use concord_tensor::{Tensor, safetensors};

pub const CONFIG: &str = r#"{"model_type": "bert", "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 12,
    "max_position_embeddings": 16}"#;
pub const VOCABULARY: &str =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused0]\n[unused1]\none\ntwo\n.";
pub const METADATA: &str = r#"{"dim": 3, "doc_maxlen": 12, "query_maxlen": 8, "checkpoint": "elsewhere", "meta": {"hostname": "h"}}"#;

pub type Named = Vec<(String, Tensor)>;

pub fn bert() -> BertConfig {
    BertConfig::parse("config.json", CONFIG).unwrap()
}

pub fn architecture() -> Architecture {
    architecture::bert::architecture(&bert())
}

/// All tensors that a tiny encoder needs, with a pooler, filled with halves: exact in `f16`.
pub fn tensors() -> Named {
    let size = |size: &Option<usize>| size.unwrap_or(3);
    let shape = |parameter: &Parameter| {
        let shape = parameter.shape.iter().map(size).collect::<Vec<_>>();
        (parameter.name.clone(), shape)
    };
    let mut shapes: Vec<_> = architecture().parameters().map(shape).collect();
    shapes.push(("bert.pooler.dense.weight".into(), vec![4, 4]));
    shapes.push(("bert.pooler.dense.bias".into(), vec![4]));
    let fill = |(place, (name, shape)): (usize, (String, Vec<usize>))| {
        let len: usize = shape.iter().product();
        let data: Vec<f32> = (0..len).map(|i| (i + place) as f32 * 0.5).collect();
        (name, Tensor::new(shape, data).unwrap())
    };
    shapes.into_iter().enumerate().map(fill).collect()
}

pub fn without(tensors: Named, name: &str) -> Named {
    tensors.into_iter().filter(|(n, _)| n != name).collect()
}

/// A folder with a whole checkpoint, to be spoiled by the test.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("config.json", CONFIG);
        folder.write("vocab.txt", VOCABULARY);
        folder.write("artifact.metadata", METADATA);
        folder.save(&tensors());
        folder
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    pub fn save(&self, tensors: &Named) {
        safetensors::write(self.path("model.safetensors"), tensors).unwrap();
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    pub fn load(&self) -> Result<Checkpoint, CheckpointError> {
        load(self.0.path())
    }

    pub fn weights_error(&self) -> WeightsError {
        match self.load().unwrap_err() {
            CheckpointError::Weights { source, .. } => *source,
            other => panic!("expected an error of the weights, found {other}"),
        }
    }
}

pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let mut options = HubOptions::new("no-cache");
    options.offline = true;
    Checkpoint::load(path.to_str().unwrap(), &options)
}

pub fn state_dict(tensors: Named) -> PtValue<Tensor> {
    let entry = |(name, tensor)| (PtValue::Str(name), PtValue::Tensor(tensor));
    PtValue::Dict(tensors.into_iter().map(entry).collect())
}
