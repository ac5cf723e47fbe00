//! Queries, through the public interface.

use concord_corpus::{CorpusError, LineProblem, Queries};
use proptest::prelude::*;

fn tsv(text: &str) -> Result<Queries, CorpusError> {
    Queries::parse_tsv("q.tsv", text.as_bytes())
}

fn json(text: &str) -> Result<Queries, CorpusError> {
    Queries::parse_json_lines("q.jsonl", text.as_bytes())
}

fn pairs(queries: &Queries) -> Vec<(&str, &str)> {
    queries
        .iter()
        .map(|query| (query.qid, query.text))
        .collect()
}

fn problem(result: Result<Queries, CorpusError>) -> (u64, LineProblem) {
    match result {
        Err(CorpusError::Line { line, problem, .. }) => (line, problem),
        other => panic!("expected a problem with a line, found {other:?}"),
    }
}

#[test]
fn the_order_of_the_file_is_kept() {
    let queries = tsv("9\tnine\n10\tten \r\nq-2\ttwo\n").unwrap();
    assert_eq!(
        pairs(&queries),
        [("9", "nine"), ("10", "ten"), ("q-2", "two")]
    );
    assert_eq!(queries.text("10"), Some("ten"));
    assert_eq!(queries.text("11"), None);
}

#[test]
fn further_columns_are_ignored_and_mentioned() {
    let queries = tsv("1\ta\tb\n2\tc\n").unwrap();
    assert_eq!(pairs(&queries), [("1", "a"), ("2", "c")]);
    assert!(queries.notices()[0].starts_with("q.tsv:1: "));
}

#[test]
fn both_json_dialects_are_read() {
    let queries = json(concat!(
        "{\"qid\": 3, \"question\": \"why?\", \"answers\": []}\n",
        "{\"_id\": \"PLAIN-2\", \"text\": \"how?\", \"metadata\": {}}\n",
    ));
    let queries = queries.unwrap();
    assert_eq!(pairs(&queries), [("3", "why?"), ("PLAIN-2", "how?")]);
}

#[test]
fn a_repeated_id_names_both_lines() {
    let message = tsv("1\ta\n2\tb\n1\tc\n").unwrap_err().to_string();
    assert_eq!(
        message,
        "q.tsv:3: the query id \"1\" was already used on line 1"
    );
    // A number and the same digits as a string are one id.
    let twice = "{\"qid\": 1, \"question\": \"a\"}\n{\"qid\": \"1\", \"question\": \"b\"}\n";
    assert_eq!(problem(json(twice)).0, 2);
}

#[test]
fn each_way_a_line_can_be_wrong_is_told_apart() {
    assert!(matches!(
        problem(tsv("1\n")),
        (1, LineProblem::NoTab { .. })
    ));
    let empty = |qid: &str| LineProblem::EmptyQuery { qid: qid.into() };
    for text in ["1\t\n", "1\t  \n", "1 \t\t\r\n", "1\t \tmore\n"] {
        assert_eq!(problem(tsv(text)), (1, empty("1")), "{text:?}");
    }
    assert!(matches!(
        problem(tsv("\ttext\n")),
        (1, LineProblem::EmptyId { .. })
    ));
    for text in ["", " \\t"] {
        let line = format!("{{\"qid\": 3, \"question\": \"{text}\"}}\n");
        assert_eq!(problem(json(&line)), (1, empty("3")));
    }
    assert!(matches!(
        problem(json("{\"question\": \"x\"}\n")).1,
        LineProblem::MissingField { .. }
    ));
    assert_eq!(
        problem(json("{\"qid\": 1, \"text\": \"x\"}\n")).1,
        LineProblem::MissingField { field: "question" }
    );
    assert!(matches!(
        problem(json("{\"qid\": 1.5, \"question\": \"x\"}\n")).1,
        LineProblem::FieldType { .. }
    ));
    assert!(matches!(tsv(""), Err(CorpusError::Empty { .. })));
    assert!(matches!(
        Queries::open("queries.xml"),
        Err(CorpusError::UnknownExtension { .. })
    ));
}

#[test]
fn the_first_queries_can_be_taken() {
    let queries = Queries::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
    let queries = queries.take(2);
    assert_eq!(pairs(&queries), [("a", "1"), ("b", "2")]);
    assert_eq!(queries.text("c"), None);
    assert_eq!(queries.take(9).len(), 2);
    assert!(Queries::from_pairs([("a", "1"), ("a", "2")]).is_none());
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused_without_a_panic(text in "([0-3]|\t|\n|\r| |a|\\{\"qid\":[01],\"question\":\"\"\\}){0,30}") {
        let _ = tsv(&text);
        let _ = json(&text);
    }
}
