//! Checkpoints from folders, `.dnn` files and memory.

#![allow(clippy::unwrap_used)]

mod tiny_checkpoint;

use std::path::{Path, PathBuf};

use concord_model::checkpoint::{Checkpoint, CheckpointError};
use concord_model::config::{ConfigError, ConfigLayer};
use concord_model::tokenizer::TokenizerError;
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{Tensor, safetensors};
use tiny_checkpoint::{
    CONFIG, Folder, METADATA, VOCABULARY, bert, load, state_dict, tensors, without,
};

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

#[test]
fn a_file_that_is_empty_or_stands_for_another_is_told_as_that() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 466062\n";
    for file in [
        "config.json",
        "vocab.txt",
        "tokenizer.json",
        "artifact.metadata",
        "special_tokens_map.json",
    ] {
        for (text, said) in [("", "it is empty"), (pointer, "Git LFS pointer")] {
            let folder = Folder::new();
            folder.write(file, text);
            let error = folder.load().unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(said), "{error}");
        }
    }
}

#[test]
fn a_file_that_is_larger_than_any_of_its_kind_is_not_read() {
    for file in [
        "config.json",
        "vocab.txt",
        "tokenizer.json",
        "tokenizer_config.json",
        "artifact.metadata",
    ] {
        let folder = Folder::new();
        // Nothing of it lies on the disk.
        let large = std::fs::File::create(folder.path(file)).unwrap();
        large.set_len(64 << 30).unwrap();
        let error = folder.load().unwrap_err().to_string();
        assert!(
            error.contains(file) && error.contains("more than"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    for file in [
        "config.json",
        "vocab.txt",
        "tokenizer.json",
        "artifact.metadata",
        "model.safetensors",
    ] {
        for made in ["mkfifo", "mkdir"] {
            let folder = Folder::new();
            let _ = std::fs::remove_file(folder.path(file));
            let status = std::process::Command::new(made)
                .arg(folder.path(file))
                .status();
            assert!(status.unwrap().success());
            let error = folder.load().unwrap_err().to_string();
            assert!(
                error.contains(file) && error.contains("not a regular file"),
                "{error}"
            );
        }
    }
}

#[test]
fn sizes_beyond_all_reason_are_refused_without_making_room_for_them() {
    for (key, value) in [
        ("num_hidden_layers", "1000000000000"),
        ("num_hidden_layers", "2147483647"),
        ("hidden_size", "1000000000000"),
        ("hidden_size", "2147483646"),
        ("vocab_size", "2147483647"),
        ("max_position_embeddings", "2147483647"),
        ("num_attention_heads", "0"),
        ("num_attention_heads", "-1"),
        ("intermediate_size", "1e300"),
        ("type_vocab_size", "0"),
    ] {
        let folder = Folder::new();
        let mut config: serde_json::Value = serde_json::from_str(CONFIG).unwrap();
        config[key] = serde_json::from_str(value).unwrap();
        folder.write("config.json", &config.to_string());
        folder.load().unwrap_err();
    }
    for (key, value) in [
        ("doc_maxlen", "18446744073709551615"),
        ("query_maxlen", "1000000000000"),
        ("doc_maxlen", "0"),
    ] {
        let folder = Folder::new();
        folder.write(
            "artifact.metadata",
            &format!("{{\"dim\": 3, \"doc_maxlen\": 12, \"query_maxlen\": 8, \"{key}\": {value}}}"),
        );
        let checkpoint = folder.load().unwrap();
        let error = checkpoint.colbert_config([]).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}
