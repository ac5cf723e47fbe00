//! Judgements, ties, and what a search says about its own results.

use std::io::Write;

use serde_json::Value;

use crate::program::{Ended, Workplace};

/// A place with an index of passages of which each occurs five times, under ids whose order is not theirs.
fn repeated() -> Workplace {
    let place = Workplace::new();
    let mut lines = String::new();
    for copy in 0..5 {
        for (text, passage) in [
            "an octopus has three hearts",
            "bread and milk for hedgehogs",
            "swifts sleep on the wing",
        ]
        .iter()
        .enumerate()
        {
            let id = format!("{}{text}", ["m", "b", "z", "A", "é"][copy]);
            lines += &format!("{{\"_id\":\"{id}\",\"text\":\"{passage}\"}}\n");
        }
    }
    place.file("corpus.jsonl", lines);
    place.file("queries.tsv", "1\toctopus hearts\n2\thedgehogs\n");
    place.done("index corpus.jsonl --checkpoint concord-mini --out index");
    place
}

fn measures(place: &Workplace, options: &str) -> (Value, Ended) {
    let ended = place.done(&format!(
        "search index --queries queries.tsv --qrels qrels --measures m.json {options}"
    ));
    let text = std::fs::read(place.path("m.json")).unwrap();
    (serde_json::from_slice(&text).unwrap(), ended)
}

#[test]
fn equal_scores_are_measured_by_rank_or_as_trec_eval_does() {
    let place = repeated();
    // By pid the five are m, b, z, A, é; by id, descending in bytes: é, z, m, b, A.
    place.file("qrels", "1 0 b0 1\n2 0 é1 1\n");
    let (by_rank, ended) = measures(&place, "--k 5");
    assert_eq!(by_rank["queries"][0]["mrr_at_10"], 0.5);
    assert_eq!(by_rank["queries"][1]["mrr_at_10"], 0.2);
    assert_eq!(
        (&by_rank["ties"], &by_rank["means"]["mrr_at_10"]),
        (&"as_ranked".into(), &0.35.into())
    );
    assert!(
        ended
            .err
            .contains("measures of 2 of 2 queries depend on the order"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("--trec-ties"), "{}", ended.err);
    let (by_id, ended) = measures(&place, "--k 5 --trec-ties");
    assert_eq!(by_id["queries"][0]["mrr_at_10"], 0.25);
    assert_eq!(by_id["queries"][1]["mrr_at_10"], 1.0);
    assert_eq!(by_id["ties"], "trec_eval");
    assert_eq!(by_id["coverage"]["judged"], 2);
    assert!(
        ended.err.contains("the larger document id first"),
        "{}",
        ended.err
    );
    // Of the five that tie two are left out.
    let (_, ended) = measures(&place, "--k 3");
    assert!(
        ended
            .err
            .contains("for 2 of 2 queries the last passage has the score of one that was left out"),
        "{}",
        ended.err
    );
    // No tie decides anything where all of them are relevant.
    place.file(
        "qrels",
        "1 0 m0 1\n1 0 b0 1\n1 0 z0 1\n1 0 A0 1\n1 0 é0 1\n2 0 é1 1\n",
    );
    let (_, ended) = measures(&place, "--k 5");
    assert!(
        ended.err.contains("measures of 1 of 2 queries depend"),
        "{}",
        ended.err
    );
    for options in ["--trec-ties", "--measures m.json"] {
        let ended = place.run(&format!("search index --queries queries.tsv {options}"));
        ended.not_understood(&["--qrels"]);
    }
}

#[test]
fn judgements_of_something_else_are_refused_before_the_search() {
    let place = repeated();
    for (judgements, said) in [
        (
            "7 0 m0 1\n8 0 m0 1\n",
            ["none of the 2 judged queries", "such as \"7\""],
        ),
        ("1 0 0 1\n2 0 77 1\n", ["none of the 2 documents", "\"m0\""]),
        (
            "1 0 m0 0\n2 0 m0 -1\n",
            ["no document is judged relevant", "qrels"],
        ),
        (
            "query-id\tcorpus-id\tscore\n",
            ["there are no judgements", "qrels"],
        ),
    ] {
        place.file("qrels", judgements);
        place
            .run("search index --queries queries.tsv --qrels qrels --out ranking.tsv")
            .refused(&said);
        assert!(!place.path("ranking.tsv").exists());
    }
    place.file("qrels", "1 0 m0 1\n1 0 gone 1\n3 0 m0 1\n4 0 m0 1\n");
    let (written, ended) = measures(&place, "");
    assert_eq!(written["means"]["queries"], 3);
    for said in [
        "3 queries are judged; 2 of them were not searched",
        "1 of the 2 queries searched are not judged",
        "1 of the 2 documents judged for these queries are not in the index",
    ] {
        assert!(ended.err.contains(said), "{}", ended.err);
    }
}

#[test]
fn fewer_results_than_asked_for_are_told_with_the_option_that_finds_more() {
    let place = repeated();
    let said = |options: &str| place.done(&format!("search index octopus {options}")).err;
    let all = said("--k 15 --ncells 1000");
    assert!(!all.contains("asked for"), "{all}");
    for (options, expected) in [
        (
            "--k 10 --ndocs 1 --ncells 1000",
            ["got 0 of the 10", "--ndocs 40 or more"],
        ),
        (
            "--k 15 --ndocs 8 --ncells 1000",
            ["got 2 of the 15", "--ndocs 60 or more"],
        ),
    ] {
        let err = said(options);
        for part in expected {
            assert!(err.contains(part), "{options}: {err}");
        }
    }
    // Where cells are many, a token's one lists few.
    place.golden_index("golden");
    let golden = |options: &str| place.done(&format!("search golden otter {options}")).err;
    let cells = golden("--k 800 --ncells 1");
    assert!(
        cells.contains("of the 120 passages asked for; the cells")
            && cells.contains("a larger --ncells than 1"),
        "{cells}"
    );
    assert!(!golden("--k 800 --ncells 512").contains("asked for"));
    let both = golden("--k 120 --ncells 1 --ndocs 4");
    assert!(
        both.contains("--ndocs 480 or more; ") && both.contains("--ncells than 1"),
        "{both}"
    );
    let ended = place.done("search index --queries queries.tsv --k 5 --ndocs 4 --ncells 1000");
    assert!(
        ended
            .err
            .contains("2 of 2 queries got fewer than the 5 passages asked for, the least 1"),
        "{}",
        ended.err
    );
    // And what the message says is so.
    assert!(!said("--k 10 --ndocs 40 --ncells 1000").contains("asked for"));
}

#[test]
fn packed_inputs_are_read_as_unpacked_ones() {
    let place = repeated();
    place.file("qrels", "1 0 b0 1\n2 0 z1 2\n");
    let plain = place.done("search index --queries queries.tsv --qrels qrels");
    for name in ["corpus.jsonl", "queries.tsv", "qrels"] {
        let text = std::fs::read(place.path(name)).unwrap();
        place.file(&format!("{name}.gz"), gzip(&text));
    }
    place.done("index corpus.jsonl.gz --checkpoint concord-mini --out packed");
    let packed = place.done("search packed --queries queries.tsv.gz --qrels qrels.gz");
    assert_eq!((packed.out, packed.err), (plain.out, plain.err));
    assert_eq!(place.run("diff index packed").code, Some(0));
    let cut = std::fs::read(place.path("queries.tsv.gz")).unwrap();
    place.file("cut.tsv.gz", &cut[..cut.len() - 9]);
    place
        .run("search index --queries cut.tsv.gz")
        .refused(&["cut.tsv.gz:", "truncated"]);
    place.file("zipped.tsv", b"PK\x03\x04");
    place
        .run("index zipped.tsv --checkpoint concord-mini --out no")
        .refused(&["zipped.tsv is a ZIP archive"]);
    place.file("header.tsv", "id\ttext\n0\tone\n");
    place
        .run("index header.tsv --checkpoint concord-mini --out no")
        .refused(&["header.tsv:1:", "header"]);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn options_that_could_do_nothing_are_refused() {
    let place = repeated();
    place.file("empty.tsv", "1\toctopus\n2\t\n");
    place
        .run("search index --queries empty.tsv")
        .refused(&["empty.tsv:2", "the query \"2\" is empty"]);
    for nothing in ["", "  ", "\t"] {
        let ended = Ended::of(&mut place.command(["search", "index", nothing]));
        ended.refused(&["the query is empty"]);
    }
    place
        .run("search index octopus --batch 7")
        .not_understood(&["--batch"]);
    std::fs::remove_file(place.path("corpus.jsonl")).unwrap();
    place
        .run("search index octopus --matches")
        .refused(&["--matches", "--collection"]);
}

#[test]
fn absolute_paths_are_written_for_the_reference_and_only_if_asked_for() {
    let place = repeated();
    place.done("export-model checkpoint");
    let build = |options: &str, out: &str| {
        place.done(&format!(
            "index corpus.jsonl --checkpoint checkpoint --out {out} {options}"
        ));
        let text = std::fs::read_to_string(place.path(out).join("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_str(&text).unwrap();
        let manifest = std::fs::read_to_string(place.path(out).join("concord.json")).unwrap();
        (metadata["config"].clone(), manifest)
    };
    let (plain, manifest) = build("", "plain");
    assert!(!plain["collection"].to_string().contains('/'), "{plain}");
    assert!(!manifest.contains("absolute_paths"), "{manifest}");
    let (named, manifest) = build("--absolute-paths", "named");
    let here = |name: &str| place.path(name).display().to_string();
    assert_eq!(named["collection"], here("corpus.jsonl"));
    assert_eq!(named["checkpoint"], here("checkpoint"));
    assert!(manifest.contains("absolute_paths"), "{manifest}");
    let plan = std::fs::read_to_string(place.path("named/plan.json")).unwrap();
    assert!(plan.contains("corpus.jsonl"), "{plan}");
    place.done("verify named");
    place.done("verify named --rebuild corpus.jsonl");
    // Searched from elsewhere, without the log, it finds them.
    std::fs::remove_file(place.path("named/concord.log.json")).unwrap();
    let found = place.done("search named octopus --k 1");
    assert!(found.out.contains("three hearts"), "{}", found.out);
    let again = place.run("index corpus.jsonl --checkpoint checkpoint --out named");
    again.refused(&["named", "built otherwise"]);
    let again =
        place.done("index corpus.jsonl --checkpoint checkpoint --out named --absolute-paths");
    assert!(again.out.contains("already"), "{}", again.out);
}
