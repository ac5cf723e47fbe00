//! The bytes of an index depend on checkpoint, collection and options alone.

use std::path::Path;

use crate::folder::{self, assert_same, index_files};
use crate::golden;
use crate::program::{Ended, Workplace, words};
use crate::record::{blob, events};

/// The instruction sets whose bits are compared: those that this machine has.
fn available() -> Vec<&'static str> {
    let place = Workplace::new();
    let found: Vec<&str> = ["scalar", "avx2", "avx512", "neon"]
        .into_iter()
        .filter(|isa| {
            let out = format!("index-{isa}");
            let line = format!("index COLLECTION --checkpoint CHECKPOINT --out {out} --isa {isa}");
            match place.run(&line) {
                ended if ended.code == Some(0) => true,
                ended => {
                    ended.not_understood(&["this machine does not have", isa]);
                    false
                }
            }
        })
        .collect();
    assert!(found.contains(&"scalar"));
    println!("instruction sets compared: {}", found.join(", "));
    found
}

#[test]
fn batch_size_and_threads_change_nothing() {
    let place = Workplace::new();
    let first = index_files(&place.golden_index("index"));
    for batch in [1, 7, 32, 64] {
        for threads in [1, 2] {
            let out = format!("index-{batch}-{threads}");
            place.done(&format!(
                "index COLLECTION --checkpoint CHECKPOINT --batch {batch} --threads {threads} --out {out}"
            ));
            assert_same(&index_files(&place.path(&out)), &first, &out);
        }
    }
}

#[test]
fn the_instruction_set_changes_nothing() {
    let place = Workplace::new();
    let first = index_files(&place.golden_index("index"));
    for isa in available() {
        let out = format!("index-{isa}");
        let line = format!("index COLLECTION --checkpoint CHECKPOINT --out {out}");
        let mut command = place.command(words(&line));
        Ended::of(command.env("CONCORD_ISA", isa)).with_code(0);
        assert_same(&index_files(&place.path(&out)), &first, isa);
    }
}

#[test]
fn bf16_without_its_instruction_gives_the_same_bits_and_a_note() {
    let place = Workplace::new();
    let index = |isa: &str| {
        let line = "index COLLECTION --checkpoint CHECKPOINT --precision bf16";
        place.done(&format!("{line} --isa {isa} --out {isa}"))
    };
    let first = index("scalar");
    let note = "products of bf16 have no instruction here (scalar)";
    assert!(first.err.contains(note), "{}", first.err);
    for isa in available() {
        index(isa);
        let [a, b] = ["scalar", isa].map(|out| index_files(&place.path(out)));
        assert_same(&a, &b, isa);
    }
}

#[test]
fn the_order_of_flags_and_the_name_of_the_output_change_nothing() {
    let place = Workplace::new();
    place.done("index COLLECTION --checkpoint CHECKPOINT --nbits 4 --seed 7 --out index");
    place.done("index --out other/name --seed 7 --nbits 4 --checkpoint CHECKPOINT COLLECTION");
    let [a, b] = ["index", "other/name"].map(|out| index_files(&place.path(out)));
    assert_same(&a, &b, "the same flags in another order");
}

#[test]
fn it_does_not_matter_where_the_inputs_lie_and_how_their_paths_are_written() {
    let place = Workplace::new();
    let first = index_files(&place.golden_index("index"));
    std::fs::create_dir_all(place.path("data/deeper")).unwrap();
    folder::copy(&golden::checkpoint(), &place.path("data/checkpoint"));
    std::fs::copy(golden::collection(), place.path("data/collection.tsv")).unwrap();
    for (number, (inside, checkpoint, collection)) in [
        ("", "data/checkpoint", "data/collection.tsv"),
        ("", "./data/checkpoint/", "data/../data/collection.tsv"),
        ("data", "checkpoint/.", "./collection.tsv"),
        ("data/checkpoint", ".", "../collection.tsv"),
        ("data/deeper", "../checkpoint", "../collection.tsv"),
        (
            "data/deeper",
            "../checkpoint/../checkpoint",
            "../collection.tsv",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let out = place.path(&format!("index-{number}"));
        let mut command = place.command(["index", collection, "--checkpoint", checkpoint, "--out"]);
        command.arg(&out).current_dir(place.path(inside));
        Ended::of(&mut command).with_code(0);
        let what = format!("{checkpoint} and {collection} seen from {inside:?}");
        assert_same(&index_files(&out), &first, &what);
    }
}

#[test]
fn a_checkpoint_called_by_its_parent_folder_keeps_its_name() {
    let place = Workplace::new();
    let first = index_files(&place.golden_index("index"));
    folder::copy(&golden::checkpoint(), &place.path("checkpoint"));
    let inside = place.path("checkpoint/inside");
    std::fs::create_dir(&inside).unwrap();
    let out = place.path("from-inside");
    let mut command = place.command(words("index COLLECTION --checkpoint .. --out"));
    command.arg(&out).current_dir(&inside);
    Ended::of(&mut command).with_code(0);
    assert_same(&index_files(&out), &first, "--checkpoint ..");
}

/// The rows of `embs` of the first `passages` passages, as a run recorded them.
fn embeddings(run: &Path, passages: usize) -> Vec<Vec<u8>> {
    let (mut rows, mut lengths) = (Vec::new(), Vec::new());
    for event in events(run) {
        let tensor = |field: usize| blob(run, &event["fields"][field]["hash"]);
        match event["artifact"].as_str() {
            Some("doclens") => lengths.extend_from_slice(tensor(0).as_slice::<i64>().unwrap()),
            Some("embs") => rows.extend_from_slice(tensor(0).bytes()),
            _ => {}
        }
    }
    let total = lengths.iter().sum::<i64>() as usize;
    let width = rows.len() / total;
    let mut rows = rows.as_slice();
    let mut passage = |length: &i64| {
        let (mine, rest) = rows.split_at(*length as usize * width);
        rows = rest;
        mine.to_vec()
    };
    lengths.iter().take(passages).map(&mut passage).collect()
}

#[test]
fn the_embeddings_of_a_passage_do_not_depend_on_the_others() {
    let place = Workplace::new();
    let golden = std::fs::read_to_string(golden::collection()).unwrap();
    let lines: Vec<&str> = golden.lines().collect();
    let texts = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    place.file("few.tsv", texts(&lines[..30]));
    place.file("all.tsv", texts(&lines));
    for name in ["few", "all"] {
        place.done(&format!(
            "record native --collection {name}.tsv --checkpoint CHECKPOINT --batch 64 --out {name}"
        ));
    }
    let [few, all] = ["few", "all"].map(|run| embeddings(&place.path(run), 30));
    assert_eq!(few.len(), 30);
    for (pid, (few, all)) in few.iter().zip(&all).enumerate() {
        assert!(few == all, "passage {pid}");
    }
}
