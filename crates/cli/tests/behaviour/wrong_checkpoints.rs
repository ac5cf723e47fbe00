//! Checkpoints that cannot be used.

use std::fs;
use std::path::Path;

use concord_tensor::{Tensor, safetensors};

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
