//! Metadata of passages, and searches among those that it chooses.

use std::fs;

use concord_tensor::{Tensor, npy};
use serde_json::Value;

use crate::program::{Ended, Workplace};

const PASSAGES: &str = r#"{"_id": "a", "text": "a river runs through the valley", "year": 2019, "lang": "en"}
{"_id": "b", "text": "the harbour is closed in winter", "metadata": {"year": 2021, "lang": "en", "tags": ["x"]}}
{"_id": "c", "text": "keepers of bees write ledgers", "year": 2022, "lang": "de", "draft": true}
{"_id": "d", "text": "a lantern beside the harbour", "metadata": {}}
"#;

const MORE: &str = r#"{"_id": "e", "text": "the orchard keeper", "year": 2023, "lang": "en", "draft": false}
{"_id": "f", "text": "a garden in the valley", "year": "unknown"}
"#;

/// A workplace with the index of [`PASSAGES`].
fn place() -> Workplace {
    let place = Workplace::new();
    place.file("base.jsonl", PASSAGES);
    place.file("more.jsonl", MORE);
    place.done("index base.jsonl --checkpoint CHECKPOINT --out index");
    place
}

/// Searches where conditions hold, with more arguments separated by spaces.
fn search(place: &Workplace, conditions: &str, more: &str) -> Ended {
    let line = format!("search index harbour --k 10 {more}");
    let mut arguments = crate::program::words(&line);
    arguments.extend(["--where".to_owned(), conditions.to_owned()]);
    Ended::of(&mut place.command(arguments))
}

/// The ids of what is found, ascending.
fn found(place: &Workplace, conditions: &str, more: &str) -> Vec<String> {
    let ended = search(place, conditions, &format!("{more} --json")).with_code(0);
    let query: Value = serde_json::from_str(&ended.out).unwrap();
    let results = query["results"].as_array().unwrap();
    let mut ids: Vec<String> = results
        .iter()
        .map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn bytes(place: &Workplace, index: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(place.path(index)).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name != "concord.log.json")
        .collect();
    files.sort();
    files
}

#[test]
fn a_search_is_among_the_passages_that_conditions_choose() {
    let place = place();
    for more in ["", "--exact", "--ncells 8"] {
        for (conditions, expected) in [
            ("year > 2020 AND lang = 'en'", &["b"][..]),
            ("year > 2018", &["a", "b", "c"]),
            ("NOT (lang = 'de' OR year < 2020)", &["b"]),
            ("year IS NULL OR draft = TRUE", &["c", "d"]),
            ("tags IS NOT NULL", &["b"]),
            ("lang LIKE 'E%'", &[]),
        ] {
            assert_eq!(found(&place, conditions, more), expected, "{conditions}");
        }
        place.file("only.txt", "a\nd\n");
        let both = found(&place, "year > 2018", &format!("--only only.txt {more}"));
        assert_eq!(both, ["a"]);
    }
    let none = search(&place, "lang = 'fr'", "--format tsv").with_code(0);
    assert_eq!(none.out, "");
    assert!(
        none.err.contains("--where is true of no passage, so"),
        "{}",
        none.err
    );
    // The scores are those that they have among all.
    let scored = |more: &str| {
        place
            .done(&format!(
                "search index harbour --exact --k 9 --format trec {more}"
            ))
            .out
    };
    let all = scored("");
    let ended = search(&place, "lang = 'en'", "--exact --format trec").with_code(0);
    for line in ended.out.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            all.lines().any(|other| other.contains(&format!(" {} ", words[2])) && other.contains(words[4])),
            "{line}\n{all}"
        );
    }
    let with = search(&place, "year = 2021", "--json --with-metadata").with_code(0);
    let query: Value = serde_json::from_str(&with.out).unwrap();
    let expected = serde_json::json!({"lang": "en", "tags": ["x"], "year": 2021});
    assert_eq!(query["results"][0]["metadata"], expected);
    let with = search(&place, "year IS NULL", "--json --with-metadata").with_code(0);
    assert!(with.out.contains("\"metadata\":{}}"), "{}", with.out);
    search(&place, "year = 2021", "--with-metadata").refused(&["--with-metadata is for JSON"]);
    let listed = place.done("verify index").out;
    assert!(
        listed.ends_with(
            "field draft: boolean of 1 passage\nfield lang: string of 3 passages\nfield tags: list or object of 1 \
             passage\nfield year: number of 3 passages\n"
        ),
        "{listed}"
    );
    let listed: Value = serde_json::from_str(&place.done("verify index --json").out).unwrap();
    assert_eq!(listed["fields"][3]["passages"]["number"], 3);
    place.done("verify index --rebuild base.jsonl");
}

#[test]
fn conditions_that_mean_nothing_here_and_what_looks_like_sql_are_refused_or_only_a_text() {
    let place = place();
    let before = bytes(&place, "index");
    for (conditions, said) in [
        (
            "yera > 2020",
            "no field `yera`; this index has draft, lang, tags, year (did you mean `year`?)",
        ),
        (
            "year > '2020'",
            "the field `year` is a number, and '2020' is a string",
        ),
        (
            "lang = 5",
            "the field `lang` is a string, and 5 is a number",
        ),
        ("draft > FALSE", "TRUE and FALSE are compared by"),
        ("tags = 'x'", "`tags` is a list or object"),
        ("", "cannot be read at character 1: it is empty"),
        ("year > 2020 AND", "at character 16"),
        (
            "lang = 'en'; DROP TABLE passages",
            "at character 12: unexpected ';'",
        ),
        (
            "lang = 'en' -- and so on",
            "at character 13: unexpected '-'",
        ),
        (
            "\"lang\"\" OR 1=1 --\" = 'en'",
            "no field `lang\\\" OR 1=1 --`",
        ),
        ("\"passages\".\"id\" = 'a'", "unexpected '.'"),
        ("pid = 1", "no field `pid`"),
        ("lang = (SELECT id FROM passages)", "at character 8"),
        ("lang = ?1", "unexpected '?'"),
        ("load_extension('x') = 1", "and there is ("),
        (
            "\u{201c}lang\u{201d} = 'en'",
            "at character 1: unexpected '\u{201c}'",
        ),
        ("year NOT NULL", "IN, BETWEEN or LIKE is expected"),
    ] {
        search(&place, conditions, "").refused(&[said]);
    }
    let deep = format!("{}year = 1{}", "(".repeat(5000), ")".repeat(5000));
    search(&place, &deep, "").refused(&["more than 64 deep"]);
    let long = format!("year IN ({}1)", "1, ".repeat(5000));
    search(&place, &long, "").refused(&["more than 1000 values"]);
    for text in [
        "'; DROP TABLE passages; --",
        "' OR '1' = '1",
        "\" OR 1=1",
        "e\u{202e}n",
    ] {
        let text = text.replace('\'', "''");
        assert!(found(&place, &format!("lang = '{text}'"), "").is_empty());
        assert!(found(&place, &format!("lang LIKE '{text}'"), "").is_empty());
    }
    assert_eq!(bytes(&place, "index"), before);
    place.file("plain.tsv", "0\ta river\n1\ta valley\n");
    place.done("index plain.tsv --checkpoint CHECKPOINT --out plain");
    place
        .run("search plain river --where x=1")
        .refused(&["no field `x`; the index has no metadata"]);
}

#[test]
fn metadata_stays_with_its_passages_when_the_index_changes() {
    let place = place();
    place.done("add index more.jsonl");
    assert_eq!(found(&place, "year > 2020 AND lang = 'en'", ""), ["b", "e"]);
    assert_eq!(found(&place, "year = 'unknown'", ""), ["f"]);
    place.done("delete index b");
    assert_eq!(found(&place, "year > 2020", ""), ["c", "e"]);
    assert_eq!(found(&place, "year IS NULL", ""), ["d"]);
    search(&place, "tags IS NULL", "").refused(&["no field `tags`"]);
    place.done("compact index");
    assert_eq!(found(&place, "year > 2020", ""), ["c", "e"]);
    place.file(
        "again.jsonl",
        "{\"_id\": \"c\", \"text\": \"bees\", \"year\": 1999}\n",
    );
    place.done("add index again.jsonl --replace");
    assert_eq!(found(&place, "year > 2020", ""), ["e"]);
    assert_eq!(found(&place, "year < 2000", ""), ["c"]);
    place.done("verify index");
    // One after the other or at once, they are the same bytes.
    for index in ["once", "pieces"] {
        place.done(&format!(
            "index base.jsonl --checkpoint CHECKPOINT --out {index}"
        ));
    }
    for (number, line) in MORE.lines().enumerate() {
        place.file(&format!("{number}.jsonl"), format!("{line}\n"));
        place.done(&format!("add pieces {number}.jsonl"));
    }
    place.done("add once more.jsonl");
    assert_eq!(bytes(&place, "once"), bytes(&place, "pieces"));
}

#[test]
fn a_file_of_metadata_is_that_of_the_passages_or_refused() {
    let place = Workplace::new();
    place.file("c.tsv", "0\ta river\n1\tthe harbour\n2\ta lantern\n");
    let lines = "{\"_id\": \"2\", \"year\": 3}\n{\"_id\": 0, \"year\": 1}\n{\"_id\": \"1\"}\n";
    place.file("m.jsonl", lines);
    place.done("index c.tsv --checkpoint CHECKPOINT --metadata m.jsonl --out index");
    assert_eq!(found(&place, "year > 1", ""), ["2"]);
    assert_eq!(found(&place, "year IS NULL", ""), ["1"]);
    let again = place.done("index c.tsv --checkpoint CHECKPOINT --metadata m.jsonl --out index");
    assert_eq!(again.out, "index holds this index already\n");
    place
        .run("index c.tsv --checkpoint CHECKPOINT --out index")
        .refused(&["metadata there and none here"]);
    place.file("other.jsonl", lines.replace('3', "4"));
    place
        .run("index c.tsv --checkpoint CHECKPOINT --metadata other.jsonl --out index")
        .refused(&["another metadata"]);
    // An addition has its own numbers.
    place.done("add index c.tsv --metadata other.jsonl");
    assert_eq!(found(&place, "year > 1", ""), ["2", "5"]);
    let before = bytes(&place, "index");
    let large = format!("{{\"_id\": 1, \"x\": \"{}\"}}\n", "y".repeat(70_000));
    let deep = format!(
        "{{\"_id\": 1, \"x\": {}{}}}\n",
        "[".repeat(100),
        "]".repeat(100)
    );
    let (one, two) = ("{\"_id\": 0}\n", "{\"_id\": 0}\n{\"_id\": 2}\n");
    for (text, said) in [
        (
            format!("{two}{{\"_id\": 3}}\n"),
            "bad.jsonl:3: the document \"3\" is not in the collection",
        ),
        (
            format!("{two}{{\"_id\": \"x\"}}\n"),
            "bad.jsonl:3: the document \"x\" is not in the collection",
        ),
        (
            format!("{two}{{\"_id\": \"00\"}}\n"),
            "bad.jsonl:3: the document \"00\" is not",
        ),
        (
            format!("{two}{{\"_id\": 0}}\n"),
            "bad.jsonl:3: the id \"0\" was already used on line 1",
        ),
        (
            format!("{one}{{\"_id\": 1}}\n"),
            "bad.jsonl has no line for 1 of 3 passages, the first of them \"2\"",
        ),
        (
            format!("{one}{{\"year\": 1}}\n"),
            "bad.jsonl:2: the field \"_id\" is missing",
        ),
        (
            format!("{one}[1]\n"),
            "bad.jsonl:2: expected a JSON object, found an array",
        ),
        (
            format!("{one}{{\"_id\": 1,\n"),
            "bad.jsonl:2: malformed JSON",
        ),
        (
            format!("{one}{{\"_id\": 1, \"x\": 1e999}}\n"),
            "bad.jsonl:2: malformed JSON",
        ),
        (
            format!("{one}{large}"),
            "bad.jsonl:2: the field \"x\" makes the metadata of the passage larger than 65536 bytes",
        ),
        (
            format!("{one}{deep}"),
            "bad.jsonl:2: the field \"x\" has more than 16 lists and objects",
        ),
        (
            format!("{one}{{\"_id\": 1, \"x\": 1, \"metadata\": {{\"x\": 2}}}}\n"),
            "bad.jsonl:2: the field \"x\" stands in \"metadata\" and beside it",
        ),
        (String::new(), "bad.jsonl is empty"),
        ("\u{0}SQLite".to_owned(), "bad.jsonl:1: malformed JSON"),
    ] {
        place.file("bad.jsonl", text);
        place
            .run("index c.tsv --checkpoint CHECKPOINT --metadata bad.jsonl --out new")
            .refused(&[said]);
        place
            .run("add index c.tsv --metadata bad.jsonl")
            .refused(&[said]);
        assert!(!place.path("new").exists());
        assert_eq!(bytes(&place, "index"), before);
    }
    place
        .run("add index c.tsv --metadata none.jsonl")
        .refused(&["cannot open none.jsonl"]);
    // What is too much in a collection is left out of the index, and the collection is none the worse.
    place.file(
        "large.jsonl",
        format!(
            "{{\"_id\": \"a\", \"text\": \"t\", \"n\": 1, \"x\": [{}0]}}\n",
            "0,".repeat(50_000)
        ),
    );
    let built = place.done("index large.jsonl --checkpoint CHECKPOINT --out large");
    assert!(
        built
            .err
            .contains("large.jsonl:1: fields beside the text are left out"),
        "{}",
        built.err
    );
    assert!(
        place
            .done("verify large")
            .out
            .ends_with("field n: number of 1 passage\n")
    );
}

#[test]
fn embeddings_have_metadata_by_their_ids() {
    let place = Workplace::new();
    let value = |at: usize| ((at * at) as f32 * 0.37).sin();
    let tensor = |shape: Vec<usize>| {
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::new(shape, values).unwrap()
    };
    npy::write(place.path("each.npy"), &tensor(vec![20, 2, 16])).unwrap();
    npy::write(place.path("query.npy"), &tensor(vec![1, 2, 16])).unwrap();
    let ids = |of: fn(usize) -> String| -> String { (0..20).map(|n| of(n) + "\n").collect() };
    place.file("ids.txt", ids(|n| format!("id-{n}")));
    place.file(
        "named.jsonl",
        ids(|n| format!("{{\"_id\":\"id-{n}\",\"n\":{n}}}")),
    );
    place.file("plain.jsonl", ids(|n| format!("{{\"_id\":{n},\"n\":{n}}}")));
    place.done("index --embeddings each.npy --ids ids.txt --metadata named.jsonl --out named");
    place.done("index --embeddings each.npy --metadata plain.jsonl --out plain");
    place
        .run("index --embeddings each.npy --metadata named.jsonl --out other")
        .refused(&["named.jsonl:1: the document \"id-0\" is not in the collection"]);
    for (index, expected) in [("named", "0 Q0 id-3 "), ("plain", "0 Q0 3 ")] {
        let line = format!(
            "search {index} --query-embeddings query.npy --exact --format trec --where n=3"
        );
        let found = place.done(&line).out;
        assert!(
            found.starts_with(expected) && found.lines().count() == 1,
            "{found}"
        );
    }
    place.done("verify plain --embeddings each.npy");
}
