//! `concord add`, `delete`, `compact` and `merge`.

use serde_json::Value;

use crate::program::Workplace;

const MORE: &str = r#"{"_id": "x", "text": "a lantern beside the harbour"}
{"_id": "y", "title": "Second", "text": "the orchard keeper and his ledger"}
"#;

#[test]
fn passages_come_and_go_and_are_found_by_their_ids() {
    let place = Workplace::new();
    let base = r#"{"_id": "a", "text": "a river runs through the valley"}
{"_id": "b", "text": "the harbour is closed in winter"}
{"_id": "c", "text": "keepers of bees write ledgers"}
"#;
    place.file("base.jsonl", base);
    place.file("more.jsonl", MORE);
    place.file("all.jsonl", [base, MORE].concat());
    place.done("index base.jsonl --checkpoint CHECKPOINT --out index");
    let added: Value =
        serde_json::from_str(&place.done("add index more.jsonl --json").out).unwrap();
    assert_eq!(added["change"]["added"], 2);
    assert_eq!(added["change"]["passages"], 5);
    assert!(
        added["change"]["drift"]["ratio"].as_f64().unwrap() > 0.0,
        "{added}"
    );
    let ids = || {
        let found = place.done("search index lantern --k 5 --json").out;
        let mut ids: Vec<String> = found
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .flat_map(|query| {
                let hits = query["results"]
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![query.clone()]);
                hits.into_iter()
                    .filter_map(|hit| hit["id"].as_str().map(str::to_owned))
            })
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(), ["a", "b", "c", "x", "y"]);
    place
        .run("add index more.jsonl")
        .refused(&["the index has a passage `x` already"]);
    place.done("add index more.jsonl --replace");
    place.file("gone.txt", "b\r\n\ny\n");
    let deleted = place.done("delete index a --ids-from gone.txt").out;
    assert!(deleted.contains("3 deleted; 2 passages"), "{deleted}");
    assert_eq!(ids(), ["c", "x"]);
    place
        .run("delete index b")
        .refused(&["`b` was deleted before"]);
    assert!(
        place
            .done("compact index")
            .out
            .contains("5 dropped for good; 2 passages")
    );
    assert_eq!(ids(), ["c", "x"]);
    // Texts are known again by a collection that has them under these ids.
    let ended = place.done("search index lantern");
    assert!(
        ended.err.contains("was changed after it was built"),
        "{}",
        ended.err
    );
    let shown = place
        .done("search index lantern --collection all.jsonl")
        .out;
    assert!(shown.contains("beside the harbour"), "{shown}");
    place
        .run("search index lantern --collection base.jsonl")
        .refused(&["passage `x`"]);
    place.done("verify index");
    let again = place
        .done("verify index --rebuild base.jsonl more.jsonl")
        .out;
    assert!(
        again.ends_with(
            "built again under the codec that the index has: 8 of 8 artifacts have the same hash\n"
        ),
        "{again}"
    );
    place
        .run("verify index --rebuild base.jsonl")
        .refused(&["the text of passage `x` is not among those"]);
    place
        .run("index base.jsonl --checkpoint CHECKPOINT --out index")
        .refused(&["--replace"]);
}

#[test]
fn a_codec_is_trained_anew_of_the_texts_that_are_given_again() {
    let place = Workplace::new();
    let base = r#"{"_id": "x", "text": "the the the the"}
{"_id": "y", "text": "the the the"}
"#;
    let text = |n: usize| format!("keepers of bees write {n} ledgers ").repeat(2);
    let strange = (0..40).map(|n| format!("{{\"_id\": \"s{n}\", \"text\": \"{}\"}}\n", text(n)));
    let strange: String = strange.collect();
    place.file("base.jsonl", base);
    place.file("strange.jsonl", &strange);
    place.file("all.jsonl", [base, &strange].concat());
    place.done("index base.jsonl --checkpoint CHECKPOINT --out index");
    let added = place.done("add index strange.jsonl").out;
    assert!(
        added.contains(
            "`concord compact index --retrain --collection FILE...`, with the files of all passages"
        ),
        "{added}"
    );
    place
        .run("compact index --retrain")
        .refused(&["keeps neither texts nor embeddings: give --collection"]);
    place
        .run("compact index --threads 1")
        .refused(&["--threads 1 would have no effect", "without --retrain"]);
    place
        .run("compact index --embeddings x.npy")
        .refused(&["--embeddings x.npy would have no effect"]);
    place
        .run("compact index --collection all.jsonl")
        .not_understood(&["--retrain"]);
    place
        .run("compact index --retrain --collection base.jsonl")
        .refused(&["the text of passage `s0` is not among those"]);
    let trained = place
        .done("compact index --retrain --collection strange.jsonl base.jsonl")
        .out;
    assert!(
        trained.starts_with("index: codec trained anew; 42 passages, "),
        "{trained}"
    );
    let built = place.done("index all.jsonl --checkpoint CHECKPOINT --out index");
    assert_eq!(built.out, "index holds this index already\n");
    place.done("delete index x");
    let json = place
        .done("compact index --retrain --collection all.jsonl --checkpoint CHECKPOINT --json")
        .out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["change"]["dropped"], 1);
    assert_eq!(json["change"]["retrained"], true);
}

#[test]
fn indexes_of_one_codec_are_merged() {
    let place = Workplace::new();
    place.golden_index("first");
    place.file("more.jsonl", MORE);
    let codec = [
        "centroids",
        "bucket_cutoffs",
        "bucket_weights",
        "avg_residual",
    ];
    let swaps = codec.map(|name| format!(" --swap {name}=first")).concat();
    place.done(&format!(
        "index more.jsonl --checkpoint CHECKPOINT --out second{swaps}"
    ));
    place
        .run("merge first second --out first")
        .refused(&["first is there already"]);
    place
        .run("merge first first --out third")
        .refused(&["first is given twice"]);
    place.done("index more.jsonl --checkpoint CHECKPOINT --out other --nbits 1");
    place
        .run("merge first other --out third")
        .refused(&["they differ in the setting nbits"]);
    let merged = place.done("merge first second --out third").out;
    assert!(merged.contains("2 added; 122 passages"), "{merged}");
    place.done("verify third");
    assert_eq!(
        place
            .names()
            .iter()
            .filter(|name| name.starts_with('.'))
            .count(),
        0
    );
}
