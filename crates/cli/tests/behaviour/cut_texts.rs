//! What of passages and queries is not looked at is said.

use crate::folder;
use crate::golden;
use crate::program::Workplace;

/// The lines of standard error that mention one of the maxima.
fn cuts(err: &str) -> Vec<&str> {
    let mentions = |line: &&str| line.contains("_maxlen");
    err.lines().filter(mentions).collect()
}

#[test]
fn passages_that_are_cut_are_counted_once_with_what_they_lose() {
    let place = Workplace::new();
    place.file(
        "c.tsv",
        "0\tone two three\n1\tone\n2\tone two three four five six seven eight\n",
    );
    let build = "index c.tsv --checkpoint CHECKPOINT --out";
    assert!(cuts(&place.done(&format!("{build} whole")).err).is_empty());

    let built = place.done(&format!("{build} cut --doc-maxlen 5"));
    let [line] = cuts(&built.err)[..] else {
        panic!("one line was expected: {}", built.err);
    };
    assert!(
        line.starts_with("note: 2 of 3 passages are longer than doc_maxlen = 5 tokens"),
        "{line}"
    );
    assert!(!built.out.contains("maxlen"), "{}", built.out);
    // Nothing was tokenized, so nothing is said of it.
    let again = place.done(&format!("{build} cut --doc-maxlen 5"));
    assert!(cuts(&again.err).is_empty(), "{}", again.err);
}

#[test]
fn queries_that_are_cut_are_counted_and_room_can_be_made() {
    let place = Workplace::new();
    place.golden_index("index");
    let long = "the museum opens on sunday ".repeat(3);
    place.file(
        "q.tsv",
        format!("1\tthe museum\n2\t{long}\n3\t{long}parking\n"),
    );
    let search = "search index --queries q.tsv --k 3";
    let cut = place.done(search);
    let [line] = cuts(&cut.err)[..] else {
        panic!("one line was expected: {}", cut.err);
    };
    assert!(
        line.starts_with("note: 2 of 3 queries are longer than query_maxlen = "),
        "{line}"
    );
    assert!(line.contains("--query-maxlen"), "{line}");

    let whole = place.done(&format!("{search} --query-maxlen 64"));
    assert!(cuts(&whole.err).is_empty(), "{}", whole.err);
    assert_ne!(whole.out, cut.out);
    place
        .run(&format!("{search} --query-maxlen 5000"))
        .refused(&["query_maxlen is 5000", "positions"]);
    place
        .run(&format!("{search} --query-maxlen 2"))
        .refused(&["query_maxlen is 2"]);
    // With the words that matched it is the same layout.
    let mut words: Vec<String> = "search index --matches --query-maxlen 64"
        .split(' ')
        .map(str::to_owned)
        .collect();
    words.push(long);
    let shown = place.command(words).output().unwrap();
    assert_eq!(
        shown.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
}

#[test]
fn markers_that_the_vocabulary_lacks_are_mentioned_on_building_and_on_searching() {
    let place = Workplace::new();
    let checkpoint = place.path("checkpoint");
    folder::copy(&golden::checkpoint(), &checkpoint);
    let metadata = checkpoint.join("artifact.metadata");
    let text = std::fs::read_to_string(&metadata).unwrap();
    let mut settings: serde_json::Value = serde_json::from_str(&text).unwrap();
    settings["doc_token_id"] = "[no-such-d]".into();
    settings["query_token_id"] = "[no-such-q]".into();
    std::fs::write(&metadata, settings.to_string()).unwrap();
    let built = place.done("index COLLECTION --checkpoint checkpoint --out index");
    assert!(
        built
            .err
            .contains("note: the vocabulary lacks \"[no-such-d]\""),
        "{}",
        built.err
    );
    let found = place.done("search index museum");
    assert!(
        found
            .err
            .contains("note: the vocabulary lacks \"[no-such-q]\""),
        "{}",
        found.err
    );
    assert!(!found.out.contains("no-such"), "{}", found.out);
}

#[test]
fn an_empty_query_is_refused_wherever_it_comes_from() {
    let place = Workplace::new();
    place.golden_index("index");
    for query in ["", "  \t "] {
        let ended = place.command(["search", "index", query]).output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{err}");
        assert!(
            ended.stdout.is_empty() && err.contains("the query is empty"),
            "{err}"
        );
    }
    for (name, text) in [
        ("q.tsv", "1\tthe museum\n2\t\n"),
        ("p.tsv", "1\tthe museum\n2\t  \n"),
        (
            "q.jsonl",
            "{\"qid\": 1, \"question\": \"a\"}\n{\"qid\": 2, \"question\": \" \"}\n",
        ),
    ] {
        place.file(name, text);
        place
            .run(&format!("search index --queries {name}"))
            .refused(&[&format!("{name}:2"), "the query \"2\" is empty"]);
    }
}
