//! Checkpoints that cannot be used.

use std::fs;
use std::path::Path;

use concord_tensor::{Tensor, npy, safetensors};
use serde_json::{Value, json};

use crate::folder;
use crate::golden;
use crate::program::Workplace;

/// Indexing with the golden checkpoint, changed by `change`, is refused with one line that says all of
/// `said`, and leaves nothing behind.
#[track_caller]
fn refused(change: impl FnOnce(&Path), said: &[&str]) {
    let place = Workplace::new();
    let checkpoint = place.path("checkpoint");
    folder::copy(&golden::checkpoint(), &checkpoint);
    change(&checkpoint);
    place
        .run("index COLLECTION --checkpoint checkpoint --out index")
        .refused(said);
    assert_eq!(place.names(), ["checkpoint"]);
}

/// Changes the tensors of a checkpoint.
fn with_tensors(change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> impl FnOnce(&Path) {
    |checkpoint| {
        let path = checkpoint.join("model.safetensors");
        let mut tensors = safetensors::read(&path).unwrap();
        change(&mut tensors);
        safetensors::write(&path, &tensors).unwrap();
    }
}

/// Changes the text of a file of a checkpoint.
fn with_text(file: &str, from: &str, to: &str) -> impl FnOnce(&Path) {
    move |checkpoint| {
        let path = checkpoint.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} holds {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }
}

#[test]
fn an_encoder_without_the_projection_is_no_colbert() {
    let without = with_tensors(|tensors| tensors.retain(|(name, _)| name != "linear.weight"));
    refused(without, &["model.safetensors", "no linear.weight"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let gone = "bert.encoder.layer.1.attention.output.dense.bias";
    let without = with_tensors(move |tensors| tensors.retain(|(name, _)| name != gone));
    refused(without, &["model.safetensors", gone]);
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let name = "bert.encoder.layer.0.intermediate.dense.bias";
    let cut = with_tensors(move |tensors| {
        for (_, tensor) in tensors.iter_mut().filter(|(n, _)| n == name) {
            *tensor = tensor.slice_rows(0..7).unwrap();
        }
    });
    refused(cut, &["model.safetensors", name, "[7]", "[256]"]);
}

#[test]
fn another_architecture_is_named() {
    refused(
        with_text("config.json", "\"bert\"", "\"roberta\""),
        &["config.json", "roberta", "bert"],
    );
}

#[test]
fn truncated_weights_are_named_with_the_sizes() {
    let cut = |checkpoint: &Path| {
        let path = checkpoint.join("model.safetensors");
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(100_000).unwrap();
    };
    refused(cut, &["model.safetensors", "bytes"]);
}

#[test]
fn weights_that_are_no_safetensors_are_named() {
    let text = |checkpoint: &Path| {
        let path = checkpoint.join("model.safetensors");
        fs::write(path, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    };
    refused(text, &["model.safetensors"]);
}

#[test]
fn missing_files_are_named() {
    let without = |file: &'static str| move |at: &Path| fs::remove_file(at.join(file)).unwrap();
    refused(without("config.json"), &["checkpoint", "config.json"]);
    refused(
        without("model.safetensors"),
        &["checkpoint", "model.safetensors", "pytorch_model.bin"],
    );
}

#[test]
fn a_configuration_that_is_no_json_is_named() {
    refused(with_text("config.json", "{", "["), &["config.json"]);
}

#[test]
fn what_is_neither_a_folder_nor_in_the_cache_is_named_with_where_it_was_looked_for() {
    let place = Workplace::new();
    for (spec, said) in [
        ("./no/such/folder", "no such folder"),
        ("owner/name", "no-hub-cache"),
        ("nowhere", "no-hub-cache"),
    ] {
        place
            .run(&format!("index COLLECTION --checkpoint {spec} --out index"))
            .refused(&[spec, said]);
    }
    assert!(place.names().is_empty());
}

/// Changes the JSON of a file of a checkpoint.
fn with_json(file: &str, change: impl FnOnce(&mut Value)) -> impl FnOnce(&Path) {
    move |checkpoint| {
        let path = checkpoint.join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
    }
}

#[test]
fn a_weight_that_is_no_finite_number_is_named_with_its_place() {
    for (name, value, said) in [
        ("linear.weight", f32::NAN, "NaN at [0, 1]"),
        (
            "bert.embeddings.word_embeddings.weight",
            f32::INFINITY,
            "inf at [0, 1]",
        ),
        (
            "bert.encoder.layer.1.output.dense.bias",
            f32::NEG_INFINITY,
            "-inf at [1]",
        ),
    ] {
        let spoiled = with_tensors(move |tensors| {
            let (_, tensor) = tensors.iter_mut().find(|(n, _)| n == name).unwrap();
            let mut values = tensor.as_slice::<f32>().unwrap().to_vec();
            values[1] = value;
            *tensor = Tensor::new(tensor.shape(), values).unwrap();
        });
        refused(spoiled, &["model.safetensors", name, said]);
    }
}

#[test]
fn a_tokenizer_that_does_not_work_is_the_file_s_fault_and_nothing_else_is_printed() {
    let tokenizer =
        |key: &'static str, part: Value| with_json("tokenizer.json", move |all| all[key] = part);
    let growing = json!({"type": "Replace", "pattern": {"String": "e"}, "content": "e".repeat(40)});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let absent = json!({"SpecialToken": {"id": "[absent]", "type_id": 0}});
    let template = |single: Value| {
        json!({"type": "TemplateProcessing", "single": single, "special_tokens": {},
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})
    };
    let far =
        json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 4_000_000_000u32]});
    for (key, part, said) in [
        (
            "pre_tokenizer",
            json!({"type": "FixedLength", "length": 0}),
            "does not work",
        ),
        (
            "post_processor",
            template(json!([absent, text])),
            "does not work",
        ),
        (
            "post_processor",
            template(json!([{"Sequence": {"id": "B", "type_id": 0}}])),
            "template",
        ),
        ("post_processor", far, "\"[CLS]\" the id 4000000000"),
        (
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "////fwAA"}),
            "precompiled_charsmap",
        ),
        (
            "normalizer",
            json!({"type": "Sequence", "normalizers": vec![growing; 6]}),
            "bound",
        ),
    ] {
        refused(tokenizer(key, part), &["tokenizer", said]);
    }
}

#[test]
fn files_that_stand_for_others_are_told_apart() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for (file, text, said) in [
        ("tokenizer.json", pointer, "git lfs pull"),
        ("config.json", pointer, "git lfs pull"),
        ("tokenizer_config.json", "", "it is empty"),
    ] {
        refused(|at| fs::write(at.join(file), text).unwrap(), &[file, said]);
    }
    let shards = |checkpoint: &Path| {
        let at = |name: &str| checkpoint.join(name);
        fs::rename(
            at("model.safetensors"),
            at("model-00001-of-00002.safetensors"),
        )
        .unwrap();
        fs::write(at("model.safetensors.index.json"), "{}").unwrap();
    };
    refused(shards, &["checkpoint", "several files"]);
}

#[test]
fn the_names_of_a_model_in_its_wrapper_are_read_and_that_is_said() {
    let place = Workplace::new();
    let checkpoint = place.path("checkpoint");
    folder::copy(&golden::checkpoint(), &checkpoint);
    let wrap = |(name, _): &mut (String, Tensor)| name.insert_str(0, "module.");
    with_tensors(|tensors| tensors.iter_mut().for_each(wrap))(&checkpoint);
    let built = place.done("index COLLECTION --checkpoint checkpoint --out wrapped");
    assert!(
        built
            .err
            .contains("note: the names of the checkpoint's tensors begin with \"module.\""),
        "{}",
        built.err
    );
    let plain = place.golden_index("plain");
    let bytes = |folder: &Path| fs::read(folder.join("centroids.pt")).unwrap();
    assert_eq!(bytes(&place.path("wrapped")), bytes(&plain));
}

#[test]
fn what_is_swapped_in_has_to_be_finite() {
    let place = Workplace::new();
    for (artifact, shape, at) in [
        ("centroids", &[512, 32][..], "[3, 2]"),
        ("bucket_weights", &[4], "[2]"),
        ("embs", &[2099, 32], "[3, 2]"),
    ] {
        let count = shape.iter().product();
        let mut values = vec![0.5f32; count];
        values[if shape.len() == 1 { 2 } else { 3 * 32 + 2 }] = f32::NAN;
        npy::write(
            place.path("given.npy"),
            &Tensor::new(shape, values).unwrap(),
        )
        .unwrap();
        place
            .run(&format!(
                "index COLLECTION --checkpoint CHECKPOINT --swap {artifact}=given.npy --out index"
            ))
            .refused(&[&format!("`{artifact}` at {at} is not finite"), "--swap"]);
        assert_eq!(place.names(), ["given.npy"]);
    }
}
