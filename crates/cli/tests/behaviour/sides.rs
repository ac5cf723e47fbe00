//! Settings and checkpoints of one side alone: `native,checkpoint=./other,nbits=4`.

use std::fs;
use std::path::Path;

use concord_tensor::{Tensor, safetensors};
use serde_json::Value;

use crate::folder;
use crate::golden;
use crate::program::{Ended, Workplace};
use crate::record::events;

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

/// Copies the golden checkpoint to `name`.
pub fn copied(place: &Workplace, name: &str) -> std::path::PathBuf {
    let copy = place.path(name);
    folder::copy(&golden::checkpoint(), &copy);
    copy
}

/// Adds a quarter to an element of a tensor of a checkpoint.
fn alter(checkpoint: &Path, tensor: &str, element: usize) {
    let path = checkpoint.join("model.safetensors");
    let mut tensors = safetensors::read(&path).unwrap();
    let (_, found) = tensors.iter_mut().find(|(name, _)| name == tensor).unwrap();
    let mut values = found.as_slice::<f32>().unwrap().to_vec();
    values[element] += 0.25;
    *found = Tensor::new(found.shape().to_vec(), values).unwrap();
    safetensors::write(&path, &tensors).unwrap();
}

fn set(checkpoint: &Path, file: &str, from: &str, to: &str) {
    let path = checkpoint.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

fn json(ended: Ended) -> Value {
    serde_json::from_str(&ended.with_code(1).out).unwrap()
}

/// What an explanation says of the inputs: kind and words.
fn inputs(explanation: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let inputs = explanation["inputs"].as_array().unwrap().iter();
    inputs
        .map(|input| (text(&input["kind"]), text(&input["what"])))
        .collect()
}

#[test]
fn a_run_with_settings_of_its_own_is_the_one_with_the_options() {
    let place = Workplace::new();
    for (own, option) in [
        ("nbits=4", "--nbits 4"),
        ("doc_maxlen=12", "--doc-maxlen 12"),
        ("kmeans_niters=2", "--kmeans-niters 2"),
        ("seed=7", "--seed 7"),
        ("nbits=1,seed=3", "--seed 3 --nbits 1"),
    ] {
        place.done(&format!("record native,{own} {ON} --keep hashes --out own"));
        place.done(&format!(
            "record native {ON} {option} --keep hashes --out all"
        ));
        assert_eq!(
            events(&place.path("own")),
            events(&place.path("all")),
            "{own}"
        );
        let manifest = |name: &str| -> Value {
            let bytes = fs::read(place.path(name).join("manifest.json")).unwrap();
            serde_json::from_slice(&bytes).unwrap()
        };
        let (own_manifest, all) = (manifest("own"), manifest("all"));
        assert_eq!(own_manifest["subject"], format!("native,{own}"));
        for part in ["inputs", "options"] {
            assert_eq!(own_manifest[part], all[part], "{own}");
        }
        for name in ["own", "all"] {
            fs::remove_dir_all(place.path(name)).unwrap();
        }
    }
}

#[test]
fn a_checkpoint_of_its_own_is_the_one_with_the_option() {
    let place = Workplace::new();
    alter(&copied(&place, "other"), "linear.weight", 5);
    place.done("record native,checkpoint=./other --collection COLLECTION --out own");
    place.done("record native --checkpoint other --collection COLLECTION --out all");
    place.done("diff own all");
    // The option is for the side that names none.
    let report = json(place.run(&format!(
        "diff native native,checkpoint=./other {ON} --json"
    )));
    let remarks = report["remarks"].as_array().unwrap();
    let names: Vec<&str> = remarks
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["checkpoint"]);
    place.done("diff native,checkpoint=other all --collection COLLECTION");
}

#[test]
fn explain_names_the_setting_that_one_side_has_and_blames_no_stage() {
    let place = Workplace::new();
    for (own, what) in [
        ("nbits=4", "nbits is 2 and 4"),
        ("doc_maxlen=12", "doc_maxlen is "),
        ("kmeans_niters=2", "kmeans_niters is "),
        ("seed=7", "seed is 12345 and 7"),
    ] {
        let found = json(place.run(&format!("explain native native,{own} {ON} --once --json")));
        let said = inputs(&found);
        assert_eq!(said[0].0, "option", "{own}: {said:?}");
        assert!(said[0].1.starts_with(what), "{own}: {said:?}");
        let parts = found["parts"].as_array().unwrap();
        assert!(parts.iter().all(|part| part["role"] != "culprit"), "{own}");
        // The other way round, and with the option for the side that says nothing.
        let value = own.split_once('=').unwrap();
        let option = format!("--{} {}", value.0.replace('_', "-"), value.1);
        place
            .run(&format!("explain native,{own} native {ON} --once {option}"))
            .with_code(0);
    }
}

#[test]
fn explain_names_the_weights_and_the_fields_in_which_two_checkpoints_differ() {
    let place = Workplace::new();
    let weight = "bert.encoder.layer.1.output.dense.weight";
    alter(&copied(&place, "one"), weight, 3 * 256 + 7);
    let two = copied(&place, "two");
    alter(&two, "linear.weight", 0);
    alter(&two, "bert.encoder.layer.0.attention.self.key.bias", 63);
    alter(&two, "bert.encoder.layer.0.attention.self.key.bias", 1);
    set(&copied(&place, "eps"), "config.json", "1e-12", "1e-5");
    set(
        &copied(&place, "act"),
        "config.json",
        "\"gelu\"",
        "\"relu\"",
    );
    set(
        &copied(&place, "bits"),
        "artifact.metadata",
        "\"nbits\": 2",
        "\"nbits\": 1",
    );
    for (other, said) in [
        (
            "one",
            &[
                "1 tensor: `bert.encoder.layer.1.output.dense.weight` at [3, 7]: ",
                "(1 of 16,384 elements)",
            ][..],
        ),
        (
            "two",
            &[
                "2 tensors, first `bert.encoder.layer.0.attention.self.key.bias` at [1]: ",
                "(2 of 64 elements)",
            ],
        ),
        (
            "eps",
            &["the checkpoints differ in layer_norm_eps of config.json (1e-12 and 1e-5)"],
        ),
        (
            "act",
            &["the checkpoints differ in hidden_act of config.json (gelu_erf and relu)"],
        ),
        (
            "bits",
            &["the checkpoints differ in nbits of artifact.metadata (2 and 1)"],
        ),
    ] {
        let line = format!("explain native native,checkpoint=./{other} {ON} --once --json");
        let found = json(place.run(&line));
        let (kind, what) = &inputs(&found)[0];
        assert_eq!(kind, "checkpoint", "{other}: {what}");
        for said in said {
            assert!(what.contains(said), "{other}: {what}");
        }
        assert!(!what.contains("sha256:"), "{what}");
    }
    // Values of both, and as the file has them.
    let original = safetensors::read(golden::checkpoint().join("model.safetensors")).unwrap();
    let (_, tensor) = original.iter().find(|(name, _)| name == weight).unwrap();
    let value = tensor.as_slice::<f32>().unwrap()[3 * 256 + 7];
    let found = json(place.run(&format!(
        "explain native native,checkpoint=./one {ON} --once --json"
    )));
    let expected = format!("[3, 7]: {value:?} and {:?} (", value + 0.25);
    assert!(inputs(&found)[0].1.contains(&expected), "{expected}");
    // Recorded runs whose subjects name their folders have both checkpoints at hand as well.
    place.done("record native,checkpoint=one --collection COLLECTION --taps * --out a");
    place.done("record native,checkpoint=eps --collection COLLECTION --taps * --out b");
    let found = json(place.run("explain a b --json"));
    assert!(
        inputs(&found)[0]
            .1
            .contains("1 tensor: `bert.encoder.layer.1")
    );
    assert!(
        inputs(&found)[0]
            .1
            .contains("; layer_norm_eps of config.json (1e-12 and 1e-5)")
    );
    // And none where a folder is not any more what the run was made with.
    alter(&place.path("one"), weight, 0);
    let found = json(place.run("explain a b --json"));
    assert!(
        inputs(&found)[0]
            .1
            .starts_with("the checkpoints differ (sha256:")
    );
}

#[test]
fn two_names_of_one_checkpoint_are_no_difference() {
    let place = Workplace::new();
    copied(&place, "same");
    place
        .run(&format!(
            "explain native native,checkpoint=./same {ON} --once"
        ))
        .with_code(0);
    // The referee is on what both have.
    let line = "explain native,checkpoint=./same native,checkpoint=same,gelu=tanh --collection COLLECTION \
                --once --json";
    let found = json(place.run(line));
    assert!(inputs(&found).is_empty(), "{found}");
    let culprits = found["encoder"]["forced"]["culprits"].as_array().unwrap();
    assert!(
        culprits[0]["errors"]["mean_a"].as_f64() > Some(0.0),
        "{culprits:?}"
    );
}

#[test]
fn an_option_that_every_subject_overrules_is_refused() {
    let place = Workplace::new();
    copied(&place, "other");
    for line in [
        "record native,nbits=4 --nbits 2 --out run",
        "record native,doc_maxlen=12 --doc-maxlen 13 --out run",
        "record native,kmeans_niters=4 --kmeans-niters 2 --out run",
        "record native,seed=4 --seed 2 --out run",
        "record native,checkpoint=./other --checkpoint CHECKPOINT --out run",
        "diff native,nbits=4 native,nbits=1 --nbits 2",
        "explain native,seed=4 native,seed=1 --seed 2",
        "explain native,checkpoint=./other native,checkpoint=./other,gelu=tanh --checkpoint CHECKPOINT",
        "matrix native,nbits=4 native,nbits=1 --nbits 2 --out run",
        "sweep native,checkpoint=./other --module linear --checkpoint CHECKPOINT",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let at = words
            .iter()
            .position(|word| word.starts_with("--") && *word != "--module" && *word != "--out");
        place.run(line).refused(&[
            words[at.unwrap()],
            "no effect",
            "every subject that is run has its own",
        ]);
    }
    assert_eq!(place.names(), ["other"]);
}

#[test]
fn a_setting_that_plays_no_part_is_refused_with_the_reason() {
    let place = Workplace::new();
    for (line, said) in [
        (
            "sweep native,nbits=4 --module linear",
            ["nbits=4", "a sweep makes its own passages"],
        ),
        (
            "sweep native,doc_maxlen=9 --module linear",
            ["doc_maxlen=9", "--seq"],
        ),
        (
            "reveal native,checkpoint=x --op gelu",
            ["checkpoint=x", "without a checkpoint"],
        ),
        (
            "reveal native native,seed=1 --op gelu",
            ["seed=1", "numbers made up for it"],
        ),
        (
            "index COLLECTION --checkpoint CHECKPOINT --out run --subject native,nbits=4",
            ["`nbits=`", "--nbits"],
        ),
        (
            "index COLLECTION --checkpoint CHECKPOINT --out run --subject native,checkpoint=x",
            ["`checkpoint=`", "--checkpoint"],
        ),
        (
            "record native,checkpoint=a,b --out run",
            ["`b` after `checkpoint=a`", "commas separate"],
        ),
        (
            "record native,nbits=x --out run",
            ["`nbits=x`", "whole number"],
        ),
        (
            "record native,nbits=3 --out run",
            ["nbits = 3", "1, 2, 4 or 8"],
        ),
    ] {
        place.run(line).refused(&said);
    }
    assert!(place.names().is_empty());
}

#[test]
fn a_checkpoint_that_is_not_there_is_said_before_anything_is_run() {
    let place = Workplace::new();
    for command in ["explain", "diff"] {
        place
            .run(&format!("{command} native native,checkpoint=./gone {ON}"))
            .refused(&["\"./gone\"", "no such folder"]);
    }
    place
        .run(&format!(
            "matrix native native,checkpoint=./gone {ON} --out out"
        ))
        .refused(&["\"./gone\""]);
    assert!(place.names().is_empty());
}

#[test]
fn a_sweep_runs_on_the_checkpoint_of_its_subject() {
    let place = Workplace::new();
    copied(&place, "other");
    // The embedded checkpoint has layers that this one has not.
    let line = "sweep native,checkpoint=./other --module bert.encoder.layer.1.output.dense --batch 1..2 --seq 12";
    place.done(line);
    let line = line.replace("layer.1", "layer.2");
    place
        .run(&line)
        .refused(&["bert.encoder.layer.2.output.dense"]);
}

#[test]
fn a_referee_of_two_checkpoints_or_settings_is_refused_and_of_one_is_right() {
    let place = Workplace::new();
    alter(&copied(&place, "other"), "linear.weight", 5);
    for (a, b, name) in [
        ("native", "native,checkpoint=./other", "checkpoint="),
        ("native,nbits=4", "native", "nbits="),
        ("native,seed=4", "native,seed=5", "seed="),
    ] {
        place
            .run(&format!("diff {a} {b} {ON} --referee"))
            .refused(&["--referee", name, "leave --referee out"]);
    }
    let own = "native,checkpoint=./other,nbits=4";
    let line = format!("diff {own} {own},gelu=tanh --collection COLLECTION --referee --json");
    let report = json(place.run(&line));
    let rows = report["rows"].as_array().unwrap();
    let d = rows.iter().find(|row| row["name"] == "D").unwrap();
    let judged = &d["fields"][0]["referee"];
    assert_eq!(judged["nearer"], "a", "{judged}");
    assert!(judged["a"]["max"].as_f64() < Some(1e-6), "{judged}");
    // A recorded side is held to the checkpoint of the subject beside it.
    place.done("record native,checkpoint=./other --collection COLLECTION --out run");
    place
        .run(&format!("diff run native,gelu=tanh {ON} --referee"))
        .refused(&["not the checkpoint that run was made with"]);
    place
        .run("diff run native,checkpoint=./other,gelu=tanh --collection COLLECTION --referee")
        .with_code(1);
}

#[test]
fn a_matrix_goes_on_only_with_the_checkpoints_that_it_began_with() {
    let place = Workplace::new();
    let other = copied(&place, "other");
    let line = format!("matrix native native,checkpoint=./other native,nbits=4 {ON} --out out");
    place.run(&line).with_code(1);
    let again = place.run(&line).with_code(1);
    assert!(!again.err.contains("recording"), "{}", again.err);
    alter(&other, "linear.weight", 5);
    place
        .run(&line)
        .refused(&["another checkpoint than ./other is now", "--out"]);
}
