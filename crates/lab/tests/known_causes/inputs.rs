//! Sides that did not start from the same: the input is named, and no stage is called a culprit.

use std::fs;
use std::path::{Path, PathBuf};

use concord_engine::settings::IndexSettings;
use concord_lab::explain::{Explanation, InputKind, Operation};

use crate::ask::{Made, Sides, explained, golden};

fn kinds(explanation: &Explanation) -> Vec<InputKind> {
    explanation.inputs.iter().map(|input| input.kind).collect()
}

#[test]
fn a_collection_in_another_order_is_named() {
    let mut reversed = Made::by("native");
    reversed.texts.reverse();
    for sides in [Sides::Runner, Sides::Recorded] {
        let explanation = explained(&Made::by("native"), &reversed, sides);
        assert_eq!(kinds(&explanation), [InputKind::Order]);
        assert!(explanation.culprits().is_empty());
        assert!(explanation.encoder.is_none());
    }
}

#[test]
fn a_passage_that_was_changed_is_named() {
    let mut changed = Made::by("native");
    changed.texts[17].push_str(" and the heron");
    let explanation = explained(&Made::by("native"), &changed, Sides::Runner);
    assert_eq!(kinds(&explanation), [InputKind::Collection]);
    assert!(explanation.inputs[0].what.contains("pid 17"));
    assert!(explanation.culprits().is_empty());
    assert!(explanation.encoder.is_none());
}

#[test]
fn other_tokens_of_the_same_texts_are_named_with_the_option_that_makes_them() {
    let mut shorter = Made::by("native");
    shorter.settings.doc_maxlen = Some(9);
    let explanation = explained(&Made::by("native"), &shorter, Sides::Runner);
    assert_eq!(kinds(&explanation), [InputKind::Option, InputKind::Tokens]);
    assert!(explanation.inputs[0].what.starts_with("doc_maxlen is"));
    assert!(explanation.culprits().is_empty());
    assert!(explanation.encoder.is_none());
}

#[test]
fn settings_are_named_and_their_stages_are_not_blamed() {
    for (name, settings) in [
        (
            "seed",
            IndexSettings {
                seed: 7,
                ..IndexSettings::default()
            },
        ),
        (
            "nbits",
            IndexSettings {
                nbits: Some(4),
                ..IndexSettings::default()
            },
        ),
        (
            "kmeans_niters",
            IndexSettings {
                kmeans_niters: Some(2),
                ..IndexSettings::default()
            },
        ),
    ] {
        let plain = Made::by("native");
        let other = Made {
            settings: settings.clone(),
            ..Made::by("native")
        };
        let explanation = explained(&plain, &other, Sides::Runner);
        assert_eq!(kinds(&explanation), [InputKind::Option], "{name}");
        assert!(explanation.inputs[0].what.starts_with(name));
        assert!(explanation.culprits().is_empty(), "{name}: {explanation:?}");

        let both = Made {
            settings,
            ..Made::by("native,bert.encoder.layer.1:gelu=tanh")
        };
        let explanation = explained(&plain, &both, Sides::Runner);
        assert_eq!(explanation.culprits(), ["batches"], "{name}");
        let encoder = explanation.encoder.unwrap();
        let culprits = encoder.forced.unwrap().culprits;
        assert_eq!(culprits.len(), 1, "{name}");
        assert_eq!(culprits[0].operation, Operation::Gelu, "{name}");
    }
}

/// A copy of the golden checkpoint.
fn copied(folder: &Path) -> PathBuf {
    let copy = folder.join("altered");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(golden("checkpoint")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    copy
}

/// A copy of the golden checkpoint with one number of one tensor changed.
fn altered(folder: &Path, weight: &str) -> Made {
    let copy = copied(folder);
    let file = copy.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let header_length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_length]).unwrap();
    let start = header[weight]["data_offsets"][0].as_u64().unwrap() as usize;
    // The last byte but one of the first number holds the low bits of its exponent in every dtype there.
    bytes[8 + header_length + start + 2] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    Made {
        checkpoint: copy,
        ..Made::by("native")
    }
}

#[test]
fn fields_of_the_configuration_are_named() {
    for (file, from, to, named) in [
        (
            "config.json",
            "1e-12",
            "1e-6",
            "layer_norm_eps of config.json (1e-12 and 1e-6)",
        ),
        (
            "config.json",
            "\"gelu\"",
            "\"gelu_new\"",
            "hidden_act of config.json (gelu_erf and gelu_tanh)",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let other = copied(folder.path());
        let path = other.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(from, to)).unwrap();
        let other = Made {
            checkpoint: other,
            ..Made::by("native")
        };
        let explanation = explained(&Made::by("native"), &other, Sides::Runner);
        assert_eq!(kinds(&explanation), [InputKind::Checkpoint], "{named}");
        let expected = format!("the checkpoints differ in {named}");
        assert_eq!(explanation.inputs[0].what, expected);
        assert!(explanation.culprits().is_empty(), "{named}");
    }
}

#[test]
fn one_altered_weight_is_named_as_another_checkpoint_with_its_module() {
    for (weight, module) in [
        (
            "bert.encoder.layer.1.output.dense.weight",
            "bert.encoder.layer.1.output.dense",
        ),
        (
            "bert.encoder.layer.0.attention.self.key.bias",
            "bert.encoder.layer.0.attention.self.key",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let other = altered(folder.path(), weight);
        let explanation = explained(&Made::by("native"), &other, Sides::Recorded);
        assert_eq!(kinds(&explanation), [InputKind::Checkpoint], "{weight}");
        assert!(explanation.culprits().is_empty(), "{weight}");
        let departures = explanation.encoder.unwrap().departures.unwrap();
        assert_eq!(departures[0].module, module);
        assert_eq!(departures.len(), 1, "{departures:?}");
        // Where both can be run, their checkpoints are at hand, and the number itself is named.
        let explanation = explained(&Made::by("native"), &other, Sides::Runner);
        assert_eq!(kinds(&explanation), [InputKind::Checkpoint], "{weight}");
        let what = &explanation.inputs[0].what;
        let named = format!("the checkpoints differ in 1 tensor: `{weight}` at [0");
        assert!(what.starts_with(&named), "{what}");
        assert!(what.contains("(1 of "), "{what}");
    }
}
