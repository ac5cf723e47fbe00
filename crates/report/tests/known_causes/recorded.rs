//! Runs of which there are only files, as they were recorded or changed since.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::ask::Sides;
use crate::pairs::{Found, Pair, check, check_edited};

const fn pair(b: &'static str, found: &'static [Found], says: &'static [&'static str]) -> Pair {
    Pair {
        a: "native",
        b,
        found,
        says,
        never: &[
            "rounds",
            "other orders",
            "other formulas",
            "not known",
            "A's batches",
        ],
    }
}

#[test]
fn the_first_departure_on_equal_inputs_is_named() {
    const QKV_0: &[Found] = &[
        Found::Departs("bert.encoder.layer.0.attention.self.query"),
        Found::Departs("bert.encoder.layer.0.attention.self.key"),
        Found::Departs("bert.encoder.layer.0.attention.self.value"),
    ];
    check(
        &[
            pair(
                "native,gelu=tanh",
                &[Found::Departs(
                    "bert.encoder.layer.0.intermediate.intermediate_act_fn",
                )],
                &["for 120 of the 120 passages for which what it reads is the same"],
            ),
            pair(
                "native,precision=bf16",
                QKV_0,
                &["`bert.encoder.layer.0.attention.self.query`"],
            ),
            pair(
                "native,bert.encoder.layer.1.attention.output.dense:gemm=chunk:7",
                &[Found::Departs(
                    "bert.encoder.layer.1.attention.output.dense",
                )],
                &["(linear layer)"],
            ),
            pair(
                "native,cluster:normalize=rsqrt",
                &[Found::Stage("centroids")],
                &["`centroids` (k-means)"],
            ),
        ],
        Sides::Recorded,
    );
}

/// Gives what `module` gave for these passages another hash.
fn alter(run: &Path, module: &str, pids: &[u64]) {
    let events = run.join("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let lines = text.lines().map(|line| {
        let mut event: Json = serde_json::from_str(line).unwrap();
        if event["tap"] == module {
            for rows in event["passages"].as_array_mut().unwrap() {
                if pids.contains(&rows["pid"].as_u64().unwrap()) {
                    let hash = rows["hash"].as_str().unwrap();
                    let (rest, last) = hash.split_at(hash.len() - 1);
                    let other = if last == "0" { "1" } else { "0" };
                    rows["hash"] = format!("{rest}{other}").into();
                }
            }
        }
        event.to_string() + "\n"
    });
    let text: String = lines.collect();
    fs::write(&events, text).unwrap();
    // Of a run without the hashes of its files nothing says that it was altered.
    let _ = fs::remove_file(run.join("SHA256SUMS"));
}

/// Every module that follows the embeddings, as dropout there changes them for these passages.
fn after_embeddings(run: &Path, pids: &[u64]) {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let mut paths: Vec<String> = Vec::new();
    for line in events.lines() {
        let event: Json = serde_json::from_str(line).unwrap();
        if let Some(path) = event["tap"].as_str().filter(|path| {
            !path.starts_with("bert.embeddings.") && !paths.iter().any(|known| known == path)
        }) {
            paths.push(path.to_owned());
        }
    }
    for path in &paths {
        alter(run, path, pids);
    }
}

#[test]
fn dropout_between_two_modules_is_named_and_no_module_is_said_to_depart() {
    let all: Vec<u64> = (0..120).collect();
    for (pids, said) in [
        (&all[..], "for 120 passages"),
        (&all[3..43], "for 40 passages"),
    ] {
        let pair = Pair {
            says: Box::leak(Box::new([
                "`bert.embeddings`, which on B does not hand on",
                said,
            ])),
            ..pair("native", &[Found::Between("bert.embeddings", 'B')], &[])
        };
        check_edited(&pair, Sides::Recorded, &|[_, b]| after_embeddings(b, pids));
    }
}

#[test]
fn a_module_that_departs_for_one_passage_alone_is_named_with_it() {
    let modules = ["linear", "mask", "normalize"];
    let pair = pair(
        "native",
        &[Found::Departs("linear")],
        &["for passage 57 alone of the 120 passages"],
    );
    check_edited(&pair, Sides::Recorded, &|[_, b]| {
        for module in modules {
            alter(b, module, &[57]);
        }
    });
}
