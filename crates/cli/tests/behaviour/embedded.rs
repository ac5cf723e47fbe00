//! The checkpoint and the collection that are part of the program.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use concord_corpus::{Collection, Qrels, Queries};
use serde_json::Value;

use crate::program::{Ended, Workplace};

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data")
        .join(file)
}

/// The first passages of the embedded collection.
fn some_passages(place: &Workplace) {
    let all = std::fs::read_to_string(data("collection.tsv")).unwrap();
    let some: Vec<&str> = all.lines().take(40).collect();
    place.file("collection.tsv", some.join("\n"));
}

fn manifest(place: &Workplace, index: &str) -> Value {
    let bytes = std::fs::read(place.path(index).join("concord.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn the_exported_checkpoint_is_the_embedded_one() {
    let place = Workplace::new();
    some_passages(&place);
    place.done("export-model folder");
    place.done("index collection.tsv --checkpoint concord-mini --out embedded");
    let ended = place.done("index collection.tsv --checkpoint folder --out exported");
    assert!(!ended.err.contains("note:"), "{}", ended.err);
    let (a, b) = (manifest(&place, "embedded"), manifest(&place, "exported"));
    assert_eq!(a["inputs"], b["inputs"]);
    assert_eq!(a["artifacts"], b["artifacts"]);

    let names = crate::folder::names(&place.path("folder"));
    for expected in [
        "config.json",
        "model.safetensors",
        "vocab.txt",
        "README.md",
        "NOTICE",
    ] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    let again = place.run("export-model folder").with_code(2);
    assert!(
        again.err.contains("folder is there already"),
        "{}",
        again.err
    );

    // The name goes before a folder of that name, for which there is `./`.
    place.done("export-model concord-mini");
    std::fs::remove_file(place.path("concord-mini/model.safetensors")).unwrap();
    place.done("search embedded octopus");
    place
        .run("index collection.tsv --checkpoint ./concord-mini --out x")
        .with_code(2);
}

#[test]
fn subjects_run_on_the_embedded_data_unless_told_otherwise() {
    let place = Workplace::new();
    place.done("record native --keep hashes --out run");
    let whole = Collection::open(data("collection.tsv")).unwrap();
    let bytes = std::fs::read(place.path("run/events.jsonl")).unwrap();
    let doclens = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|event| event["artifact"] == "doclens")
        .unwrap();
    assert_eq!(doclens["fields"][0]["shape"][0], whole.len());
}

#[test]
fn matched_words_are_marked() {
    let place = Workplace::new();
    some_passages(&place);
    place.done("index collection.tsv --checkpoint concord-mini --out index");
    let asked = ["search", "index", "octopus hearts", "--k", "2", "--matches"];
    let shown = Ended::of(&mut place.command(asked)).with_code(0).out;
    assert!(
        shown.contains("An [octopus] has three [hearts];"),
        "{shown}"
    );
    assert!(
        shown.contains("octopus~octopus") && shown.contains("hearts~hearts"),
        "{shown}"
    );
    assert_eq!(shown.matches("passage ").count(), 2, "{shown}");
    place.file("queries.tsv", "0\toctopus\n");
    for formats in ["--queries queries.tsv", "octopus --format trec"] {
        let refused = place
            .run(&format!("search index {formats} --matches"))
            .with_code(2);
        assert!(refused.err.contains("--format table"), "{}", refused.err);
    }
    let both = place
        .done("search index --queries queries.tsv --format table --matches")
        .out;
    assert!(both.starts_with("0: octopus\n"), "{both}");
}

#[test]
fn the_collection_is_what_its_readme_says() {
    let collection = Collection::open(data("collection.tsv")).unwrap();
    let queries = Queries::open(data("queries.tsv")).unwrap();
    let qrels = Qrels::open(data("qrels.tsv")).unwrap();
    assert_eq!(
        (collection.len(), queries.len(), qrels.len()),
        (305, 80, 80)
    );
    let lengths = collection
        .iter()
        .map(|text| text.split_whitespace().count());
    let lengths: Vec<usize> = lengths.collect();
    let extremes = (lengths.iter().min(), lengths.iter().max());
    assert_eq!(extremes, (Some(&10), Some(&116)));
    let mut grades: HashMap<i64, usize> = HashMap::new();
    for (qid, judgements) in qrels.iter() {
        assert!(queries.text(qid).is_some(), "{qid}");
        assert!(
            judgements.clone().any(|judgement| judgement.grade == 3),
            "{qid}"
        );
        for judgement in judgements {
            let pid: u32 = judgement.document.parse().unwrap();
            assert!(collection.text(pid).is_some(), "{pid}");
            *grades.entry(judgement.grade).or_default() += 1;
        }
    }
    assert_eq!(grades, HashMap::from([(1, 37), (2, 6), (3, 89)]));
}
