//! `explain` of what only `diff` compares, and of runs that another program recorded.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::Workplace;

const ON: &str = "--checkpoint CHECKPOINT --collection COLLECTION";

#[test]
fn an_index_is_refused_at_once_with_the_command_that_compares_it() {
    let place = Workplace::new();
    for name in ["one", "the other"] {
        place.golden_index("index");
        fs::rename(place.path("index"), place.path(name)).unwrap();
    }
    // One that another program built is an index as well.
    fs::remove_file(place.path("the other/concord.json")).unwrap();
    fs::rename(place.path("the other"), place.path("another's")).unwrap();
    for (sides, command) in [
        ("one one", "`concord diff one one`"),
        ("one another's", r"`concord diff one 'another'\''s'`"),
        ("another's one", "another's is an index"),
        ("one native", "`concord diff one native`"),
        (
            "native,gelu=tanh one --passages 8",
            "`concord diff native,gelu=tanh one --passages 8`",
        ),
        (
            "torch==2.4.1 one --doc-maxlen 9",
            "`concord diff torch==2.4.1 one --doc-maxlen 9`",
        ),
    ] {
        place
            .run(&format!("explain {sides}"))
            .refused(&["is an index", "`concord diff ", command]);
    }
    // The command does what is said of it.
    place.done("diff one one");
    place.done(&format!("diff one native {ON}"));
}

#[test]
fn a_file_and_a_folder_of_something_else_are_refused_at_once() {
    let place = Workplace::new();
    place.file("x.txt", "mine");
    place.file("a.npy", "");
    fs::create_dir(place.path("folder")).unwrap();
    place
        .run("explain a.npy a.npy")
        .refused(&["a.npy is a file", "`concord diff a.npy a.npy`"]);
    place
        .run("explain native x.txt")
        .refused(&["x.txt is a file", "another file"]);
    place
        .run("explain native folder")
        .refused(&["folder is a folder, but no recorded run", "events.jsonl"]);
    place
        .run("explain native gone")
        .refused(&["gone is neither a recorded run nor a subject"]);
}

#[test]
fn what_keeps_reproducers_from_being_written_is_said() {
    let place = Workplace::new();
    place.done(&format!("record native {ON} --taps * --keep all --out run"));
    for (line, said) in [
        (
            format!("explain native native,gelu=tanh {ON} --once"),
            "no reproducers: native computes without PyTorch",
        ),
        (
            format!("explain run native,gelu=tanh {ON} --once"),
            "no reproducers: run is a recorded run",
        ),
        (
            format!("explain run native {ON} --once"),
            "no reproducers: nothing differs",
        ),
    ] {
        let ended = place.run(&format!("{line} --reproducers scripts"));
        assert!(ended.err.contains(said), "{}", ended.err);
        assert!(!place.path("scripts").exists());
    }
}

/// Makes a run that an agent might have recorded by itself: without the hash of the checkpoint's content, without
/// the stages after the encoder and without their options.
fn as_the_agents(run: &Path) {
    let path = run.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = manifest.as_object_mut().unwrap();
    fields.remove("contract");
    fields["subject"] = json!("torch==2.4.1,engine=bert,batch=32");
    fields["inputs"]
        .as_object_mut()
        .unwrap()
        .remove("checkpoint")
        .unwrap();
    let options = fields["options"].as_object_mut().unwrap();
    for name in ["nbits", "kmeans_niters", "contract"] {
        options.remove(name).unwrap();
    }
    options.insert("attention".to_owned(), json!("eager"));
    fs::write(&path, manifest.to_string()).unwrap();
    let encoded = [
        "passages",
        "num_passages",
        "tensorize_output",
        "batches",
        "D",
        "doclens",
        "embs",
    ];
    let kept: String = crate::record::events(run)
        .iter()
        .filter(|event| {
            event["artifact"]
                .as_str()
                .is_none_or(|name| encoded.contains(&name))
        })
        .map(|event| format!("{event}\n"))
        .collect();
    fs::write(run.join("events.jsonl"), kept).unwrap();
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
}

/// A whole run of another program.
fn as_anothers(run: &Path) {
    let path = run.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("contract");
    fs::write(&path, manifest.to_string()).unwrap();
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
}

#[test]
fn what_one_side_does_not_state_is_no_difference() {
    let place = Workplace::new();
    for (name, subject) in [
        ("whole", "native"),
        ("agents", "native"),
        ("other", "native,gelu=tanh"),
    ] {
        place.done(&format!(
            "record {subject} {ON} --taps * --keep all --out {name}"
        ));
    }
    as_anothers(&place.path("whole"));
    as_the_agents(&place.path("agents"));
    for line in [
        "diff whole agents",
        "diff agents whole",
        "explain whole agents",
        "explain agents whole",
    ] {
        place.run(line).with_code(0);
    }
    let told = place.run("diff whole agents").out;
    for line in [
        "note: option `nbits` is not stated by B (A: 2)",
        "note: option `attention` is not stated by A (B: \"eager\")",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(
        !told.contains("checkpoint"),
        "they are the same by the rule that both have: {told}"
    );
    // A live side is held against it as well.
    place
        .run(&format!("explain native agents {ON} --once"))
        .with_code(0);
    place.run(&format!("diff agents native {ON}")).with_code(0);
    // And where something differs, it is what differs that is named.
    let found = place
        .run(&format!(
            "explain agents native,gelu=tanh {ON} --once --json"
        ))
        .with_code(1);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(found["inputs"], json!([]));
    let departures = found["encoder"]["departures"].as_array().unwrap();
    assert!(
        departures[0]["module"]
            .as_str()
            .unwrap()
            .ends_with("intermediate_act_fn")
    );
}

#[test]
fn checkpoints_are_compared_by_one_rule_and_what_has_none_is_said_to_be_unknown() {
    let place = Workplace::new();
    let change = |checkpoint: &Path| {
        let path = checkpoint.join("config.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("1e-12", "1e-7")).unwrap();
    };
    change(&crate::sides::copied(&place, "eps"));
    for (name, checkpoint) in [("a", "CHECKPOINT"), ("b", "eps"), ("c", "eps")] {
        place.done(&format!(
            "record native --checkpoint {checkpoint} --collection COLLECTION --taps * --keep all --out {name}"
        ));
    }
    as_the_agents(&place.path("b"));
    as_anothers(&place.path("a"));
    let told = place.run("diff a b").with_code(1).out;
    assert!(
        told.contains("note: the files of the checkpoints differ (sha256:"),
        "{told}"
    );
    let found = place.run("explain a b --json").with_code(1);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(found["inputs"][0]["kind"], "checkpoint");
    assert_eq!(found["inputs"].as_array().unwrap().len(), 1);
    // The same files by the rule that both have.
    place.run("diff b c").with_code(0);
    // No rule in common: that is not known, and no input is said to differ.
    let path = place.path("b/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let inputs = manifest["inputs"].as_object_mut().unwrap();
    inputs.remove("checkpoint_files").unwrap();
    fs::write(&path, manifest.to_string()).unwrap();
    let told = place.run("diff a b").with_code(1).out;
    assert!(
        told.contains("note: the checkpoint is not stated by B (A: sha256:"),
        "{told}"
    );
    let found = place.run("explain a b --json").with_code(1);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(found["inputs"], json!([]));
    let open = found["not_tested"].to_string();
    assert!(
        open.contains("whether both had the same checkpoint"),
        "{open}"
    );
}
