//! Encoder and ColBERT configurations, through the public interface.

#![allow(clippy::unwrap_used)]

use concord_model::architecture::bert;
use concord_model::config::{Activation, BertConfig, ColbertConfig, ConfigError, ConfigLayer};
use serde_json::{Map, Value, json};

fn bert_json() -> Value {
    json!({
        "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 10,
    })
}

fn bert_with(key: &str, value: Value) -> Result<BertConfig, ConfigError> {
    let mut config = bert_json();
    config[key] = value;
    BertConfig::parse("config.json", &config.to_string())
}

fn layer(value: Value) -> ConfigLayer {
    ConfigLayer::parse("layer", &value.to_string()).unwrap()
}

#[test]
fn keys_that_old_files_lack_have_the_defaults_of_transformers() {
    let config = BertConfig::parse("config.json", &bert_json().to_string()).unwrap();
    assert_eq!(config.layer_norm_eps, 1e-12);
    assert_eq!(config.hidden_act, Activation::GeluErf);
    assert_eq!(config.max_position_embeddings, 512);
    assert_eq!(config.type_vocab_size, 2);
    assert_eq!(config.head_size(), 4);
}

#[test]
fn every_tensor_of_the_encoder_has_a_shape() {
    let config = BertConfig::parse("config.json", &bert_json().to_string()).unwrap();
    let architecture = bert::architecture(&config);
    // Three tables, a layer norm of two, sixteen tensors per layer, and the projection.
    assert_eq!(architecture.parameters().count(), 3 + 2 + 16 + 1);
    let shape = |name: &str| {
        let mut parameters = architecture.parameters();
        let found = parameters.find(|parameter| parameter.name == name);
        found.unwrap().shape.clone()
    };
    let words = shape("bert.embeddings.word_embeddings.weight");
    assert_eq!(words, [Some(10), Some(8)]);
    let output = shape("bert.encoder.layer.0.output.dense.weight");
    assert_eq!(output, [Some(8), Some(16)]);
    let bias = shape("bert.encoder.layer.0.intermediate.dense.bias");
    assert_eq!(bias, [Some(16)]);
    assert_eq!(shape("linear.weight"), [None, Some(8)]);
}

#[test]
fn the_activations_of_transformers_are_known_by_name() {
    for (name, activation) in [
        ("gelu", Activation::GeluErf),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
    ] {
        assert_eq!(
            bert_with("hidden_act", json!(name)).unwrap().hidden_act,
            activation
        );
    }
    let error = bert_with("hidden_act", json!("silu")).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::Unsupported {
                key: "hidden_act",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn another_architecture_is_refused_with_its_name() {
    let error = bert_with("model_type", json!("roberta")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "config.json: the model type is \"roberta\"; Concord runs encoders of the type \"bert\" only"
    );
    let relative = bert_with("position_embedding_type", json!("relative_key"));
    assert!(matches!(relative, Err(ConfigError::Unsupported { .. })));
    let decoder = bert_with("is_decoder", json!(true));
    assert!(matches!(decoder, Err(ConfigError::Unsupported { .. })));
}

#[test]
fn sizes_must_be_there_and_make_sense() {
    let mut config = bert_json();
    config.as_object_mut().unwrap().remove("hidden_size");
    let missing = BertConfig::parse("config.json", &config.to_string());
    assert!(matches!(
        missing,
        Err(ConfigError::MissingKey {
            key: "hidden_size",
            ..
        })
    ));
    for wrong in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("8"),
        json!(1u64 << 40),
    ] {
        let error = bert_with("hidden_size", wrong).unwrap_err();
        assert!(
            matches!(
                error,
                ConfigError::Value {
                    key: "hidden_size",
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(matches!(
        bert_with("num_hidden_layers", json!(1_000_000)),
        Err(ConfigError::Value { .. })
    ));
    assert!(matches!(
        bert_with("num_attention_heads", json!(3)),
        Err(ConfigError::Heads {
            hidden: 8,
            heads: 3,
            ..
        })
    ));
    assert!(matches!(
        BertConfig::parse("c", "{"),
        Err(ConfigError::Json { .. })
    ));
    assert!(matches!(
        BertConfig::parse("c", "[]"),
        Err(ConfigError::NotAnObject { .. })
    ));
}

#[test]
fn only_assigned_settings_override() {
    let checkpoint = layer(json!({"dim": 96, "doc_maxlen": 180, "nbits": 2, "meta": {"x": 1}}));
    let user = layer(json!({"nbits": 4}));
    let config = ColbertConfig::resolve([&checkpoint, &user]);
    assert_eq!((config.dim, config.doc_maxlen, config.nbits), (96, 180, 4));
    assert_eq!(config.query_maxlen, 32);
}

#[test]
fn a_null_assigns_the_class_default() {
    let checkpoint = layer(json!({"nbits": 2, "ncells": 4, "index_path": "x"}));
    let user = layer(json!({"nbits": null, "ncells": null, "index_path": null}));
    let config = ColbertConfig::resolve([&checkpoint, &user]);
    assert_eq!(
        (config.nbits, config.ncells, config.index_path),
        (1, None, None)
    );
}

#[test]
fn the_settings_stand_under_config_in_the_files_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ConfigLayer::read_index(folder.path());
    assert!(matches!(missing, Err(ConfigError::NotAnIndex { .. })));

    let plan = folder.path().join("plan.json");
    std::fs::write(&plan, r#"{"config": {"nbits": 2}, "num_chunks": 1}"#).unwrap();
    assert_eq!(
        ConfigLayer::read_index(folder.path()).unwrap().nbits,
        Some(2)
    );

    let metadata = folder.path().join("metadata.json");
    std::fs::write(
        &metadata,
        r#"{"config": {"nbits": 4, "collection": ["list with 2 elements"]}}"#,
    )
    .unwrap();
    let layer = ConfigLayer::read_index(folder.path()).unwrap();
    assert_eq!(layer.nbits, Some(4));
    assert_eq!(layer.collection, Some(json!(["list with 2 elements"])));

    // A broken description is not passed over for the older one.
    std::fs::write(&metadata, r#"{"config": "#).unwrap();
    assert!(matches!(
        ConfigLayer::read_index(folder.path()),
        Err(ConfigError::Json { .. })
    ));
    std::fs::write(&metadata, r#"{"nbits": 4}"#).unwrap();
    assert!(matches!(
        ConfigLayer::read_index(folder.path()),
        Err(ConfigError::MissingKey { key: "config", .. })
    ));
}

#[test]
fn a_setting_of_the_wrong_type_is_refused_by_name() {
    let error = ConfigLayer::parse("artifact.metadata", r#"{"doc_maxlen": "long"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "artifact.metadata: \"doc_maxlen\" should be a whole number that is not negative, found \"long\""
    );
}

#[test]
fn settings_are_checked_against_the_encoder() {
    let config = ColbertConfig {
        dim: 32,
        doc_maxlen: 512,
        ..ColbertConfig::default()
    };
    assert!(config.check(32, 512).is_ok());
    let error = config.check(96, 512).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::Dim {
                configured: 32,
                rows: 96
            }
        ),
        "{error}"
    );
    let error = config.check(32, 128).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::TooLong {
                key: "doc_maxlen",
                ..
            }
        ),
        "{error}"
    );
    let config = ColbertConfig {
        dim: 32,
        query_maxlen: 2,
        ..config
    };
    let error = config.check(32, 512).unwrap_err();
    assert!(
        matches!(
            error,
            ConfigError::TooShort {
                key: "query_maxlen",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn serialised_settings_stand_in_the_order_of_an_index() {
    let text = serde_json::to_string(&ColbertConfig::default()).unwrap();
    let keys = [
        "query_token_id",
        "doc_token_id",
        "query_token",
        "doc_token",
        "ncells",
        "centroid_score_threshold",
        "ndocs",
        "load_index_with_mmap",
        "index_path",
        "index_bsize",
        "nbits",
        "kmeans_niters",
        "resume",
        "pool_factor",
        "clustering_mode",
        "protected_tokens",
        "similarity",
        "bsize",
        "accumsteps",
        "lr",
        "maxsteps",
        "save_every",
        "warmup",
        "warmup_bert",
        "relu",
        "nway",
        "use_ib_negatives",
        "reranker",
        "distillation_alpha",
        "ignore_scores",
        "model_name",
        "query_maxlen",
        "attend_to_mask_tokens",
        "interaction",
        "dim",
        "doc_maxlen",
        "mask_punctuation",
        "checkpoint",
        "triples",
        "collection",
        "queries",
        "index_name",
        "overwrite",
        "root",
        "experiment",
        "index_root",
        "name",
        "rank",
        "nranks",
        "amp",
        "gpus",
        "avoid_fork_if_possible",
    ];
    let places: Vec<usize> = keys
        .iter()
        .map(|key| {
            text.find(&format!("\"{key}\":"))
                .unwrap_or_else(|| panic!("{key} is missing"))
        })
        .collect();
    assert!(places.is_sorted(), "{text}");
    let map: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(map.len(), keys.len());
}

#[test]
fn a_layer_is_serialised_with_its_assigned_settings_only() {
    let user = layer(json!({"nbits": 4, "ncells": null}));
    assert_eq!(
        serde_json::to_string(&user).unwrap(),
        r#"{"ncells":null,"nbits":4}"#
    );
    let all = ConfigLayer::from(&ColbertConfig::default());
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(ConfigLayer::parse("all", &text).unwrap(), all);
}
