//! The hash of a checkpoint's content.

use std::fmt::Write;

use concord_tensor::BitHash;
use serde::Serialize;

use super::weights::Weights;
use crate::config::{BertConfig, ConfigLayer};
use crate::tokenizer::TokenizerFiles;

/// The hash whose preimage `Checkpoint::hash` describes.
pub(super) fn of(
    bert: &BertConfig,
    layer: &ConfigLayer,
    tokenizer_files: &TokenizerFiles,
    weights: &Weights,
) -> BitHash {
    let mut settings = layer.clone();
    settings.checkpoint = None;
    let mut preimage = String::from("concord checkpoint 1\n");
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(preimage, "{words}");
    };
    line(format_args!("encoder {}", json(bert)));
    line(format_args!("settings {}", json(&settings)));
    line(format_args!("pooler {}", weights.has_pooler()));
    for (name, hash) in tokenizer_files.hashes() {
        line(format_args!("file {name} {hash}"));
    }
    for (name, tensor) in weights.iter() {
        line(format_args!("tensor {name} {}", tensor.hash()));
    }
    BitHash::of_bytes(preimage.as_bytes())
}

/// The JSON of a configuration: a struct of plain values, whose keys are strings.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values always have a JSON form")
}
