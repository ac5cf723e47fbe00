//! Collections, through the public interface.

use std::io::Write;

use concord_corpus::{Collection, CorpusError, DocumentIds, LineProblem};
use proptest::prelude::*;

fn tsv(text: &str) -> Result<Collection, CorpusError> {
    Collection::parse_tsv("c.tsv", text.as_bytes())
}

fn beir(text: &str) -> Result<Collection, CorpusError> {
    Collection::parse_beir("corpus.jsonl", text.as_bytes())
}

fn problem(result: Result<Collection, CorpusError>) -> (u64, LineProblem) {
    match result {
        Err(CorpusError::Line { line, problem, .. }) => (line, problem),
        other => panic!("expected a problem with a line, found {other:?}"),
    }
}

#[test]
fn passages_are_read_in_order_and_titles_come_first() {
    let collection = tsv("0\tfirst\n1\tsecond\tTitle\n2\tthird\t\n").unwrap();
    let texts: Vec<&str> = collection.iter().collect();
    assert_eq!(texts, ["first", "Title | second", " | third"]);
    assert_eq!(collection.len(), 3);
    assert_eq!(collection.text(1), Some("Title | second"));
    assert_eq!(collection.text(3), None);
    assert!(collection.notices().is_empty());
}

#[test]
fn an_empty_text_is_a_passage() {
    let collection = tsv("0\t\n1\t   \n2\tx").unwrap();
    assert_eq!(collection.iter().collect::<Vec<_>>(), ["", "", "x"]);
}

#[test]
fn spaces_and_line_ends_are_stripped_and_tabs_are_not() {
    let collection = tsv("  0\t a b \r\n1\tc\t \r\n").unwrap();
    assert_eq!(collection.iter().collect::<Vec<_>>(), [" a b", " | c"]);
}

#[test]
fn a_header_is_passage_zero_as_in_colbert_and_is_mentioned() {
    let collection = tsv("id\ttext\n1\tone\n").unwrap();
    assert_eq!(collection.iter().collect::<Vec<_>>(), ["text", "one"]);
    assert_eq!(collection.notices().len(), 1);
    assert!(collection.notices()[0].starts_with("c.tsv:1: "));
}

#[test]
fn ignored_columns_are_mentioned_once_with_their_number() {
    let collection = tsv("0\ta\tt\tx\n1\tb\n2\tc\tt\tx\ty\n").unwrap();
    assert_eq!(collection.text(2), Some("t | c"));
    let [notice] = collection.notices() else {
        panic!("one notice expected: {:?}", collection.notices());
    };
    assert!(notice.starts_with("c.tsv:1: ") && notice.ends_with("(so on 2 lines)"));
}

#[test]
fn each_way_a_line_can_be_wrong_is_told_apart() {
    let (line, found) = problem(tsv("0\ta\nno tab here\n"));
    assert_eq!(
        (line, matches!(found, LineProblem::NoTab { .. })),
        (2, true)
    );

    let (line, found) = problem(tsv("0\ta\nx1\tb\n"));
    let not_a_number = LineProblem::NotAnInteger {
        field: "the pid",
        found: "x1".into(),
    };
    assert_eq!((line, found), (2, not_a_number));

    let (line, found) = problem(tsv("0\ta\n2\tb\n"));
    let out_of_order = LineProblem::PidOutOfOrder {
        expected: 1,
        found: 2,
    };
    assert_eq!((line, found), (2, out_of_order));

    let (line, found) = problem(Collection::parse_tsv("c", &b"0\ta\n1\tb\xf0\x28\n"[..]));
    assert_eq!((line, found), (2, LineProblem::InvalidUtf8 { byte: 3 }));

    let (line, _) = problem(tsv("0\ta\n\n"));
    assert_eq!(line, 2);

    assert!(matches!(tsv(""), Err(CorpusError::Empty { .. })));
}

#[test]
fn a_message_names_file_line_and_remedy() {
    let message = tsv("0\ta\n5\tb\n").unwrap_err().to_string();
    assert_eq!(
        message,
        "c.tsv:2: the pid is 5, but this is passage 1: pids must count from 0 without gaps, line by line"
    );
}

#[test]
fn beir_documents_keep_their_ids() {
    let collection = beir(concat!(
        "{\"_id\": \"d9\", \"title\": \"T\", \"text\": \"x\", \"metadata\": {}}\n",
        "{\"_id\": \"d10\", \"title\": \"\", \"text\": \"tab\\there\"}\n",
        "{\"_id\": 7, \"text\": \"\"}\n",
    ))
    .unwrap();
    assert_eq!(
        collection.iter().collect::<Vec<_>>(),
        ["T | x", "tab\there", ""]
    );
    assert!(collection.has_external_ids());
    assert_eq!(collection.external_id(0), "d9");
    assert_eq!(collection.pid_of("d10"), Some(1));
    assert_eq!(collection.pid_of("7"), Some(2));
    assert_eq!(collection.pid_of("0"), None);
}

#[test]
fn each_way_a_beir_line_can_be_wrong_is_told_apart() {
    let (line, found) = problem(beir("{\"_id\": \"a\", \"text\": \"x\"}\n{\"_id\": \n"));
    assert_eq!(line, 2);
    assert!(
        matches!(found, LineProblem::MalformedJson { .. }),
        "{found}"
    );

    let (_, found) = problem(beir("[1]\n"));
    assert_eq!(found, LineProblem::NotAnObject { found: "an array" });

    let (_, found) = problem(beir("{\"_id\": \"a\"}\n"));
    assert_eq!(found, LineProblem::MissingField { field: "text" });

    let (_, found) = problem(beir("{\"text\": \"a\"}\n"));
    assert_eq!(found, LineProblem::MissingField { field: "_id" });

    let (_, found) = problem(beir("{\"_id\": \"a\", \"text\": null}\n"));
    assert!(matches!(
        found,
        LineProblem::FieldType { found: "null", .. }
    ));

    let (_, found) = problem(beir("{\"_id\": \"\", \"text\": \"a\"}\n"));
    assert_eq!(found, LineProblem::EmptyId { field: "_id" });
}

#[test]
fn a_repeated_id_names_both_lines_of_the_earliest_repetition() {
    let line = |id: &str| format!("{{\"_id\": \"{id}\", \"text\": \"x\"}}\n");
    let text: String = ["z", "b", "z", "b", "a", "a"].map(line).concat();
    let (line, found) = problem(beir(&text));
    let expected = LineProblem::DuplicateId {
        field: "the document id",
        id: "z".into(),
        first_line: 1,
    };
    assert_eq!((line, found), (3, expected));
}

#[test]
fn the_extension_decides_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.tsv");
    std::fs::File::create(&path)
        .and_then(|mut file| file.write_all(b"0\thello\n"))
        .unwrap();
    assert_eq!(Collection::open(&path).unwrap().text(0), Some("hello"));

    let message = Collection::open("corpus.csv").unwrap_err().to_string();
    assert!(message.contains("the extension .csv"), "{message}");
    let missing = Collection::open(folder.path().join("none.tsv")).unwrap_err();
    assert!(matches!(missing, CorpusError::Open { .. }), "{missing}");

    let named_like_a_file = folder.path().join("folder.tsv");
    std::fs::create_dir(&named_like_a_file).unwrap();
    let error = Collection::open(named_like_a_file).unwrap_err();
    assert!(matches!(error, CorpusError::Open { .. }), "{error}");
}

#[test]
fn plain_pids_stand_for_themselves_within_the_collection() {
    let collection = Collection::from_passages(["a", "b"]);
    assert_eq!(collection.external_id(1), "1");
    assert_eq!(collection.pid_of("1"), Some(1));
    assert_eq!(collection.pid_of("01"), None);
    assert_eq!(collection.pid_of("2"), None);
    assert_eq!(collection.texts(1..9).collect::<Vec<_>>(), ["b"]);
    assert_eq!(collection.texts(7..9).len(), 0);
}

proptest! {
    #[test]
    fn whatever_is_written_as_tsv_is_read_back(texts in prop::collection::vec("[^\t\r\n ][^\t\r\n]{0,20}[^\t\r\n ]", 1..20)) {
        let file: String = texts.iter().enumerate().map(|(pid, text)| format!("{pid}\t{text}\n")).collect();
        let collection = tsv(&file).unwrap();
        prop_assert!(collection.iter().eq(texts.iter().map(String::as_str)));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
        let _ = Collection::parse_tsv("c", &bytes[..]);
        let _ = Collection::parse_beir("c", &bytes[..]);
    }

    #[test]
    fn bytes_that_look_like_a_collection_are_read_or_refused_without_a_panic(text in "([0-3]|id|\t|\n|\r| |a|\\{\"_id\":\"[ab]\",\"text\":\"\"\\}){0,30}") {
        let _ = tsv(&text);
        let _ = beir(&text);
    }
}
