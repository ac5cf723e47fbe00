//! Runs of which there are only files, as they were recorded or changed since.

use std::fs;
use std::path::Path;

use concord_pipeline::{OtherMask, RecordedRun};
use serde_json::Value as Json;

use crate::ask::{Answered, Sides};
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

/// Gives the run such masks of attention, and other hashes at what follows it, of these passages.
fn mask(run: &Path, layers: &[usize], masks: &[(u64, &[usize])]) {
    let events = run.join("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let at: Vec<String> = layers
        .iter()
        .map(|layer| format!("bert.encoder.layer.{layer}.attention.self"))
        .collect();
    let lines = text.lines().map(|line| {
        let mut event: Json = serde_json::from_str(line).unwrap();
        if at.iter().any(|path| event["tap"] == path.as_str()) {
            assert_eq!(
                event["masks"],
                serde_json::json!([]),
                "native masks are ordinary"
            );
            let passages = event["passages"].as_array().unwrap().iter();
            let others = passages.filter_map(|rows| {
                let (pid, hidden) = masks.iter().find(|(pid, _)| rows["pid"] == *pid)?;
                let tokens = rows["tokens"].as_u64().unwrap() as usize;
                let attended: Vec<bool> =
                    (0..tokens).map(|token| !hidden.contains(&token)).collect();
                serde_json::to_value(OtherMask::of(*pid as usize, &attended)).ok()
            });
            event["masks"] = others.collect::<Vec<_>>().into();
        }
        event.to_string() + "\n"
    });
    let text: String = lines.collect();
    fs::write(&events, text).unwrap();
    let _ = fs::remove_file(run.join("SHA256SUMS"));
    let pids: Vec<u64> = masks.iter().map(|(pid, _)| *pid).collect();
    let first = format!("bert.encoder.layer.{}.attention.self.value", layers[0]);
    let mut follows = false;
    for path in paths(run) {
        follows = follows && path != first;
        if follows || at[0] == path {
            alter(run, &path, &pids);
            follows = true;
        }
    }
}

/// The modules of a run, in the order of computation.
fn paths(run: &Path) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for tap in RecordedRun::open(run).unwrap().taps() {
        if !paths.contains(&tap.tap) {
            paths.push(tap.tap.clone());
        }
    }
    paths
}

#[test]
fn another_attention_mask_is_the_finding_and_not_the_attention() {
    const FIRST: &str = "bert.encoder.layer.0.attention.self";
    const SECOND: &str = "bert.encoder.layer.1.attention.self";
    type Masks = &'static [(u64, &'static [usize])];
    let cases: [(&[usize], Masks, &'static [Found], &'static str); 4] = [
        (
            &[0, 1],
            &[(57, &[4])],
            &[Found::Mask(FIRST), Found::Mask(SECOND)],
            "`bert.encoder.layer.0.attention.self` and 1 more module, for passage 57 of 120 alone",
        ),
        (
            &[1],
            &[(3, &[1, 2]), (90, &[2])],
            &[Found::Mask(SECOND)],
            "for passages 3, 90 of 120 alone: in passage 3 A attends to all",
        ),
        (
            &[0],
            &[(8, &[1, 2, 3, 4, 5])],
            &[Found::Mask(FIRST)],
            "B not to 5 tokens, the first of them 1",
        ),
        (
            &[1],
            &[
                (1, &[1]),
                (2, &[1]),
                (3, &[1]),
                (4, &[1]),
                (5, &[1]),
                (6, &[1]),
            ],
            &[Found::Mask(SECOND)],
            "for 6 of 120 passages: in passage 1 A",
        ),
    ];
    for (layers, masks, found, said) in cases {
        let pair = Pair {
            says: Box::leak(Box::new([said])),
            ..pair("native", found, &[])
        };
        check_edited(&pair, Sides::Recorded, &|[_, b]| mask(b, layers, masks));
    }
}

#[test]
fn a_mask_does_not_hide_a_module_that_departs_beside_it() {
    let pair = pair(
        "native,bert.encoder.layer.0.attention.self.value:gemm=chunk:7",
        &[
            Found::Mask("bert.encoder.layer.0.attention.self"),
            Found::Departs("bert.encoder.layer.0.attention.self.value"),
        ],
        &["; and at `bert.encoder.layer.0.attention.self.value`"],
    );
    check_edited(&pair, Sides::Recorded, &|[_, b]| {
        mask(b, &[0], &[(57, &[4])])
    });
}

#[test]
fn of_a_run_that_keeps_no_masks_it_is_said_that_they_are_not_known() {
    for (silent, said) in [
        ([true, false], "A's run does not keep it"),
        ([false, true], "B's run does not keep it"),
        ([true, true], "the runs do not keep it"),
        ([false, false], ""),
    ] {
        let edit = |runs: [&Path; 2]| {
            let of_attention = "bert.encoder.layer.1.attention.self";
            let paths = paths(runs[1]).into_iter();
            for path in paths.skip_while(|path| path != of_attention) {
                alter(runs[1], &path, &[57]);
            }
            for (run, _) in runs.iter().zip(silent).filter(|(_, silent)| *silent) {
                let events = run.join("events.jsonl");
                let text = fs::read_to_string(&events).unwrap();
                fs::write(&events, text.replace(",\"masks\":[]", "")).unwrap();
                let _ = fs::remove_file(run.join("SHA256SUMS"));
            }
        };
        let answered = Answered::new("native", "native", Sides::Recorded, &edit);
        let lines = answered.explanation.not_tested.iter();
        let about: Vec<&String> = lines
            .filter(|line| line.contains("attention mask"))
            .collect();
        match said {
            "" => assert!(about.is_empty(), "{about:?}"),
            said => assert!(about[0].ends_with(said), "{about:?}"),
        }
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
