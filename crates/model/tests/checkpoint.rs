//! Checkpoints from folders, `.dnn` files and memory.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use concord_model::checkpoint::{Checkpoint, CheckpointError, Weights, WeightsError};
use concord_model::config::{BertConfig, ConfigError, ConfigLayer};
use concord_model::hub::HubOptions;
use concord_model::tokenizer::TokenizerError;
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{DType, Tensor, safetensors};
use proptest::prelude::*;

const CONFIG: &str = r#"{"model_type": "bert", "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 12,
    "max_position_embeddings": 16}"#;
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused0]\n[unused1]\none\ntwo\n.";
const METADATA: &str = r#"{"dim": 3, "doc_maxlen": 12, "query_maxlen": 8, "checkpoint": "elsewhere", "meta": {"hostname": "h"}}"#;

type Named = Vec<(String, Tensor)>;

fn bert() -> BertConfig {
    BertConfig::parse("config.json", CONFIG).unwrap()
}

/// All tensors that a tiny encoder needs, with a pooler, filled with halves: exact in `f16`.
fn tensors() -> Named {
    let mut shapes = bert().tensor_shapes();
    shapes.push(("bert.pooler.dense.weight".into(), vec![4, 4]));
    shapes.push(("bert.pooler.dense.bias".into(), vec![4]));
    shapes.push(("linear.weight".into(), vec![3, 4]));
    let fill = |(place, (name, shape)): (usize, (String, Vec<usize>))| {
        let len: usize = shape.iter().product();
        let data: Vec<f32> = (0..len).map(|i| (i + place) as f32 * 0.5).collect();
        (name, Tensor::new(shape, data).unwrap())
    };
    shapes.into_iter().enumerate().map(fill).collect()
}

fn without(tensors: Named, name: &str) -> Named {
    tensors.into_iter().filter(|(n, _)| n != name).collect()
}

/// A folder with a whole checkpoint, to be spoiled by the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("config.json", CONFIG);
        folder.write("vocab.txt", VOCABULARY);
        folder.write("artifact.metadata", METADATA);
        folder.save(&tensors());
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    fn save(&self, tensors: &Named) {
        safetensors::write(self.path("model.safetensors"), tensors).unwrap();
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    fn load(&self) -> Result<Checkpoint, CheckpointError> {
        load(self.0.path())
    }

    fn weights_error(&self) -> WeightsError {
        match self.load().unwrap_err() {
            CheckpointError::Weights { source, .. } => *source,
            other => panic!("expected an error of the weights, found {other}"),
        }
    }
}

fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let mut options = HubOptions::new("no-cache");
    options.offline = true;
    Checkpoint::load(path.to_str().unwrap(), &options)
}

fn state_dict(tensors: Named) -> PtValue<Tensor> {
    let entry = |(name, tensor)| (PtValue::Str(name), PtValue::Tensor(tensor));
    PtValue::Dict(tensors.into_iter().map(entry).collect())
}

#[test]
fn a_whole_checkpoint_is_loaded() {
    let folder = Folder::new();
    let checkpoint = folder.load().unwrap();
    assert_eq!(checkpoint.bert_config(), &bert());
    assert_eq!(checkpoint.weights().dim(), 3);
    assert_eq!(checkpoint.weights().iter().len(), 3 + 2 + 16 + 1);
    assert!(checkpoint.has_pooler());
    assert!(
        checkpoint
            .weights()
            .get("bert.pooler.dense.weight")
            .is_none()
    );
    assert!(
        checkpoint.notices().is_empty(),
        "{:?}",
        checkpoint.notices()
    );

    let config = checkpoint.colbert_config([]).unwrap();
    assert_eq!((config.dim, config.doc_maxlen, config.nbits), (3, 12, 1));
    assert_eq!(config.checkpoint.as_deref(), folder.0.path().to_str());
    let documents = checkpoint.doc_tokenizer(&config).unwrap();
    assert_eq!(
        documents.encode_one("one two.").unwrap(),
        [2, 6, 7, 8, 9, 3]
    );
    let queries = checkpoint.query_tokenizer(&config).unwrap();
    assert_eq!(queries.encode("two").unwrap().ids, [2, 5, 8, 3, 4, 4, 4, 4]);
}

#[test]
fn every_storage_of_the_same_numbers_is_the_same_checkpoint() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    for dtype in [DType::F16, DType::BF16] {
        let cast = |(name, tensor): (String, Tensor)| (name, tensor.cast(dtype).unwrap());
        folder.save(&tensors().into_iter().map(cast).collect());
        let checkpoint = folder.load().unwrap();
        assert!(
            checkpoint
                .weights()
                .iter()
                .all(|(_, tensor)| tensor.dtype() == DType::F32)
        );
        assert_eq!(checkpoint.hash(), hash);
    }
    folder.remove("model.safetensors");
    pt::write(folder.path("pytorch_model.bin"), &state_dict(tensors())).unwrap();
    assert_eq!(folder.load().unwrap().hash(), hash);
}

#[test]
fn the_hash_follows_what_matters_and_nothing_else() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    assert_eq!(Folder::new().load().unwrap().hash(), hash, "another place");
    folder.write("artifact.metadata", &METADATA.replace("\"h\"", "\"i\""));
    assert_eq!(folder.load().unwrap().hash(), hash, "another host");

    folder.write("artifact.metadata", &METADATA.replace("12", "13"));
    assert_ne!(folder.load().unwrap().hash(), hash, "another doc_maxlen");
    folder.write("artifact.metadata", METADATA);
    folder.write("vocab.txt", &VOCABULARY.replace("two", "TWO"));
    assert_ne!(folder.load().unwrap().hash(), hash, "another vocabulary");
    folder.write("vocab.txt", VOCABULARY);
    folder.save(&without(tensors(), "bert.pooler.dense.bias"));
    assert_ne!(folder.load().unwrap().hash(), hash, "no pooler");
    let mut altered = tensors();
    altered[0].1 = altered[1].1.slice_rows(0..12).unwrap();
    folder.save(&altered);
    assert_ne!(folder.load().unwrap().hash(), hash, "other weights");
    folder.save(&tensors());
    folder.write(
        "config.json",
        &CONFIG.replace("\"vocab_size\"", "\"hidden_act\": \"relu\", \"vocab_size\""),
    );
    assert_ne!(folder.load().unwrap().hash(), hash, "another activation");
}

#[test]
fn a_missing_pooler_and_unused_tensors_are_mentioned() {
    let folder = Folder::new();
    let mut named = without(tensors(), "bert.pooler.dense.weight");
    named.push(("cls.predictions.bias".into(), Tensor::vector(vec![1f32])));
    named.push((
        "bert.embeddings.position_ids".into(),
        Tensor::vector(vec![0i64]),
    ));
    named.push(("extra.weight".into(), Tensor::vector(vec![1f32])));
    folder.save(&named);
    let checkpoint = folder.load().unwrap();
    assert!(!checkpoint.has_pooler());
    let [pooler, unused] = checkpoint.notices() else {
        panic!("two notices expected: {:?}", checkpoint.notices());
    };
    assert!(pooler.contains("no pooler"));
    assert!(
        unused.contains("1 tensors") && unused.contains("extra.weight"),
        "{unused}"
    );
}

#[test]
fn settings_of_the_user_override_those_of_the_checkpoint_and_are_checked() {
    let checkpoint = Folder::new().load().unwrap();
    let user = ConfigLayer {
        doc_maxlen: Some(16),
        ..ConfigLayer::default()
    };
    assert_eq!(checkpoint.colbert_config([&user]).unwrap().doc_maxlen, 16);
    let user = ConfigLayer {
        doc_maxlen: Some(17),
        ..ConfigLayer::default()
    };
    let error = checkpoint.colbert_config([&user]).unwrap_err();
    assert!(
        matches!(error, ConfigError::TooLong { positions: 16, .. }),
        "{error}"
    );
}

#[test]
fn without_metadata_the_class_defaults_apply_and_that_is_mentioned() {
    let folder = Folder::new();
    folder.remove("artifact.metadata");
    let checkpoint = folder.load().unwrap();
    assert!(checkpoint.notices()[0].contains("artifact.metadata"));
    let error = checkpoint.colbert_config([]).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::Dim {
                configured: 128,
                rows: 3
            }
        ),
        "{error}"
    );
    let user = ConfigLayer {
        dim: Some(3),
        doc_maxlen: Some(16),
        query_maxlen: Some(16),
        ..ConfigLayer::default()
    };
    assert_eq!(checkpoint.colbert_config([&user]).unwrap().dim, 3);
}

#[test]
fn the_old_names_of_layer_norms_are_understood() {
    let folder = Folder::new();
    let hash = folder.load().unwrap().hash();
    let old = |(name, tensor): (String, Tensor)| match name.rsplit_once("LayerNorm.") {
        Some((module, "weight")) => (format!("{module}LayerNorm.gamma"), tensor),
        Some((module, _)) => (format!("{module}LayerNorm.beta"), tensor),
        None => (name, tensor),
    };
    let mut renamed: Named = tensors().into_iter().map(old).collect();
    folder.save(&renamed);
    assert_eq!(folder.load().unwrap().hash(), hash);
    renamed.push((
        "bert.embeddings.LayerNorm.weight".into(),
        Tensor::vector(vec![0f32; 4]),
    ));
    folder.save(&renamed);
    assert!(matches!(folder.weights_error(), WeightsError::Twice { .. }));
}

#[test]
fn missing_tensors_are_named_and_a_plain_bert_is_recognised() {
    let folder = Folder::new();
    let name = "bert.encoder.layer.0.output.dense.bias";
    folder.save(&without(tensors(), name));
    let error = folder.weights_error();
    assert_eq!(
        error.to_string(),
        format!("1 tensors are missing, the first is {name:?}")
    );

    folder.save(&without(tensors(), "linear.weight"));
    assert!(matches!(folder.weights_error(), WeightsError::NoProjection));

    for (prefix, hint) in [
        ("", "plain BertModel"),
        ("module.bert.", "parallel wrapper"),
    ] {
        let rename = |(name, tensor): (String, Tensor)| {
            let name = name
                .strip_prefix("bert.")
                .map(|rest| format!("{prefix}{rest}"));
            (name.unwrap_or("linear.weight".into()), tensor)
        };
        folder.save(&tensors().into_iter().map(rename).collect());
        let error = folder.weights_error();
        assert!(matches!(&error, WeightsError::Missing { missing, .. } if missing.len() == 21));
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn tensors_of_a_wrong_shape_or_type_are_named() {
    let folder = Folder::new();
    let replace = |name: &str, tensor: Tensor| {
        let mut named = without(tensors(), name);
        named.push((name.into(), tensor));
        folder.save(&named);
        folder.weights_error()
    };
    let name = "bert.embeddings.word_embeddings.weight";
    let error = replace(name, Tensor::new([5, 4], vec![0f32; 20]).unwrap());
    assert!(
        matches!(&error, WeightsError::Shape { expected, found, .. } if expected == &[12, 4] && found == &[5, 4]),
        "{error}"
    );
    let error = replace(name, Tensor::new([12, 4], vec![0i32; 48]).unwrap());
    assert!(
        matches!(
            error,
            WeightsError::ElementType {
                dtype: DType::I32,
                ..
            }
        ),
        "{error}"
    );
    let error = replace(
        "linear.weight",
        Tensor::new([3, 5], vec![0f32; 15]).unwrap(),
    );
    assert!(
        matches!(error, WeightsError::ProjectionShape { hidden: 4, .. }),
        "{error}"
    );
    let error = replace(
        "linear.weight",
        Tensor::new([0, 4], Vec::<f32>::new()).unwrap(),
    );
    assert!(
        matches!(error, WeightsError::ProjectionShape { .. }),
        "{error}"
    );
}

#[test]
fn a_dim_that_contradicts_the_projection_is_refused() {
    let folder = Folder::new();
    folder.write("artifact.metadata", r#"{"dim": 5}"#);
    let error = folder.load().unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::Config(ConfigError::Dim {
                configured: 5,
                rows: 3
            })
        ),
        "{error}"
    );
}

#[test]
fn files_that_are_missing_are_named() {
    let error = load(Path::new("no/such/folder/at/all")).unwrap_err();
    assert!(matches!(error, CheckpointError::NotFound { .. }), "{error}");

    let folder = Folder::new();
    folder.remove("model.safetensors");
    assert!(matches!(
        folder.load().unwrap_err(),
        CheckpointError::NoWeights { .. }
    ));
    folder.write("pytorch_model.bin.index.json", "{}");
    assert!(matches!(
        folder.load().unwrap_err(),
        CheckpointError::Sharded { .. }
    ));
    folder.remove("vocab.txt");
    let error = folder.load().unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::Tokenizer(TokenizerError::NoFiles { .. })
        ),
        "{error}"
    );
    folder.remove("config.json");
    let error = folder.load().unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::MissingFile {
                file: "config.json",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_vocabulary_larger_than_the_word_table_is_refused() {
    let folder = Folder::new();
    folder.write("vocab.txt", &format!("{VOCABULARY}\na\nb\nc"));
    let error = folder.load().unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::Tokenizer(TokenizerError::Vocabulary {
                highest: 12,
                rows: 12
            })
        ),
        "{error}"
    );
}

#[test]
fn truncated_weights_are_refused_by_the_reader() {
    let folder = Folder::new();
    let path = folder.path("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let error = folder.load().unwrap_err();
    assert!(matches!(error, CheckpointError::Container(_)), "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

/// A `.dnn` file beside `base`, with `arguments` that name it.
fn save_dnn(base: &Folder, state: PtValue<Tensor>) -> PathBuf {
    let text = |text: &str| PtValue::Str(text.into());
    let arguments = vec![
        (text("model"), text(base.0.path().to_str().unwrap())),
        (text("dim"), PtValue::Int(3)),
        (text("doc_maxlen"), PtValue::Int(12)),
        (text("query_maxlen"), PtValue::Int(8)),
        (text("mask_punctuation"), PtValue::Bool(true)),
        (text("something_else"), PtValue::List(vec![])),
        (text("checkpoint"), PtValue::None),
    ];
    let file = PtValue::Dict(vec![
        (text("epoch"), PtValue::Int(0)),
        (text("model_state_dict"), state),
        (text("arguments"), PtValue::Dict(arguments)),
    ]);
    let path = base.path("colbert.dnn");
    // The writer names the archive after the file, whatever its ending.
    pt::write(&path, &file).unwrap();
    path
}

#[test]
fn a_dnn_file_has_its_settings_inside_and_its_tokenizer_from_its_base() {
    let base = Folder::new();
    let path = save_dnn(&base, state_dict(tensors()));
    let checkpoint = load(&path).unwrap();
    let config = checkpoint.colbert_config([]).unwrap();
    assert_eq!(
        (config.dim, config.doc_maxlen, config.query_maxlen),
        (3, 12, 8)
    );
    assert_eq!(config.checkpoint.as_deref(), path.to_str());
    let folder = base.load().unwrap();
    for (name, tensor) in folder.weights().iter() {
        assert_eq!(
            checkpoint.weights().get(name).unwrap().hash(),
            tensor.hash()
        );
    }

    base.remove("config.json");
    let error = load(&path).unwrap_err();
    assert!(matches!(error, CheckpointError::DnnBase { .. }), "{error}");
    let path = save_dnn(&base, PtValue::Int(1));
    let error = load(&path).unwrap_err();
    assert!(
        matches!(
            error,
            CheckpointError::Dnn {
                what: "model_state_dict",
                found: "an integer",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_checkpoint_can_be_part_of_the_program() {
    let folder = Folder::new();
    let leak = |file: &str| &*std::fs::read(folder.path(file)).unwrap().leak();
    let names = [
        "config.json",
        "vocab.txt",
        "artifact.metadata",
        "model.safetensors",
    ];
    let files = names.map(|name| (name, leak(name)));
    let embedded = Checkpoint::embedded("tiny", &files).unwrap();
    assert_eq!(embedded.hash(), folder.load().unwrap().hash());
    assert_eq!(embedded.name(), "tiny");
    let error = Checkpoint::embedded("tiny", &files[..3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the checkpoint tiny has neither model.safetensors nor pytorch_model.bin"
    );
}

#[test]
fn weights_can_be_made_of_tensors_in_memory() {
    let weights = Weights::new(&bert(), tensors()).unwrap();
    assert_eq!(weights.get("linear.weight").unwrap().shape(), [3, 4]);
    assert!(weights.has_pooler());
}

#[test]
fn the_golden_checkpoint_is_loaded_as_it_was_saved() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    let checkpoint = load(&folder).unwrap();
    assert!(
        checkpoint.notices().is_empty(),
        "{:?}",
        checkpoint.notices()
    );
    let config = checkpoint.colbert_config([]).unwrap();
    assert_eq!(
        (config.dim, config.doc_maxlen, config.query_maxlen),
        (32, 40, 16)
    );
    let stored = safetensors::read(folder.join("model.safetensors")).unwrap();
    let mut compared = 0;
    for (name, tensor) in &stored {
        if let Some(loaded) = checkpoint.weights().get(name) {
            assert_eq!(loaded.hash(), tensor.hash(), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, checkpoint.weights().iter().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_weights_are_loaded_or_refused_without_a_panic(at in 0usize..3000, byte: u8) {
        let folder = Folder::new();
        let path = folder.path("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        std::fs::write(&path, bytes).unwrap();
        let _ = folder.load();
    }
}
