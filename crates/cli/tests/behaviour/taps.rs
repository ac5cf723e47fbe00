//! What is seen inside the encoder does not depend on how the work is cut up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::program::{Ended, Workplace, words};
use crate::record::events;

/// The hash of each tap of each passage.
fn hashes(run: &Path) -> BTreeMap<(String, u64), String> {
    let mut found = BTreeMap::new();
    for event in events(run).iter().filter(|event| event["tap"].is_string()) {
        for passage in event["passages"].as_array().unwrap() {
            let tap = event["tap"].as_str().unwrap().to_owned();
            let hash = passage["hash"].as_str().unwrap().to_owned();
            let before = found.insert((tap, passage["pid"].as_u64().unwrap()), hash);
            assert!(before.is_none(), "a tap was taken twice of one passage");
        }
    }
    found
}

#[test]
fn taps_of_a_passage_are_the_same_for_all_batches_threads_and_instruction_sets() {
    let place = Workplace::new();
    let record = |out: &str, options: &str, isa: Option<&str>| {
        let line = format!(
            "record native --checkpoint CHECKPOINT --collection COLLECTION --taps * \
             --tap-passages 10 --tap-seed 3 --keep all --out {out} {options}"
        );
        let mut command = place.command(words(&line));
        command.envs(isa.map(|isa| ("CONCORD_ISA", isa)));
        Ended::of(&mut command)
    };
    record("first", "", None).with_code(0);
    let first = hashes(&place.path("first"));
    let passages: BTreeSet<u64> = first.keys().map(|(_, pid)| *pid).collect();
    assert_eq!(passages.len(), 10);
    assert_eq!(first.len() % 10, 0, "each passage has the same taps");
    assert!(
        first.len() >= 10 * 2 * 10,
        "two layers of ten modules or more"
    );

    for batch in [1, 7, 32] {
        for threads in [1, 2] {
            let out = format!("run-{batch}-{threads}");
            record(&out, &format!("--batch {batch} --threads {threads}"), None).with_code(0);
            assert!(hashes(&place.path(&out)) == first, "{out}");
        }
    }
    for isa in ["scalar", "avx2", "avx512", "neon"] {
        let out = format!("run-{isa}");
        let ended = record(&out, "--batch 7", Some(isa));
        if ended.code != Some(0) {
            ended.refused(&["this machine does not have", isa]);
            println!("{isa} is not compared: this machine does not have it");
            continue;
        }
        assert!(hashes(&place.path(&out)) == first, "{out}");
        println!("{isa} compared");
    }
}

#[test]
fn the_choice_of_passages_follows_the_seed() {
    let place = Workplace::new();
    let chosen = |seed: u32, out: &str| {
        place.done(&format!(
            "record native --checkpoint CHECKPOINT --collection COLLECTION --taps linear \
             --tap-passages 10 --tap-seed {seed} --keep hashes --out {out}"
        ));
        let hashes = hashes(&place.path(out));
        hashes.into_keys().map(|(_, pid)| pid).collect::<Vec<_>>()
    };
    let first = chosen(1, "a");
    assert_eq!(first, chosen(1, "b"));
    assert_ne!(first, chosen(2, "c"));
}
