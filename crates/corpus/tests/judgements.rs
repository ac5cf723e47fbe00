//! Relevance judgements, through the public interface.

#![allow(clippy::unwrap_used)]

use concord_corpus::{Collection, CorpusError, Judgement, LineProblem, PlainPids, Qrels};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Qrels, CorpusError> {
    Qrels::parse("qrels.tsv", text.as_bytes())
}

fn problem(text: &str) -> (u64, LineProblem) {
    match parse(text) {
        Err(CorpusError::Line { line, problem, .. }) => (line, problem),
        other => panic!("expected a problem with a line, found {other:?}"),
    }
}

fn judgement(document: &str, grade: i64) -> Judgement<'_> {
    Judgement { document, grade }
}

fn judged<'q>(qrels: &'q Qrels, qid: &str) -> Vec<Judgement<'q>> {
    qrels.get(qid).unwrap().collect()
}

#[test]
fn four_columns_are_read_with_tabs_and_with_spaces() {
    let qrels = parse("1\t0\t5\t1\n1 0  6 2\nq2 Q0 d-7 -1\n").unwrap();
    assert_eq!(qrels.len(), 2);
    assert_eq!(judged(&qrels, "1"), [judgement("5", 1), judgement("6", 2)]);
    assert_eq!(judged(&qrels, "q2"), [judgement("d-7", -1)]);
    assert!(qrels.get("3").is_none());
    let qids: Vec<&str> = qrels.iter().map(|(qid, _)| qid).collect();
    assert_eq!(qids, ["1", "q2"]);
}

#[test]
fn three_columns_are_read_under_their_header() {
    let qrels = parse("query-id\tcorpus-id\tscore\nq 1\td 5\t2\r\n").unwrap();
    assert_eq!(judged(&qrels, "q 1"), [judgement("d 5", 2)]);
    let (line, found) = problem("1\t5\t2\n");
    assert_eq!(line, 1);
    assert!(matches!(found, LineProblem::Columns { found: 3, .. }));
}

#[test]
fn a_judgement_may_be_repeated_but_not_contradicted() {
    let qrels = parse("1 0 5 1\n1 0 5 1\n").unwrap();
    assert_eq!(qrels.get("1").unwrap().len(), 1);
    let (line, found) = problem("1 0 5 1\n2 0 5 0\n1 0 5 0\n");
    let expected = LineProblem::ContradictoryJudgement {
        qid: "1".into(),
        document: "5".into(),
        grade: 0,
        first_grade: 1,
        first_line: 1,
    };
    assert_eq!((line, found), (3, expected));
}

#[test]
fn each_way_a_line_can_be_wrong_is_told_apart() {
    assert!(matches!(
        problem("1 0 5 x\n").1,
        LineProblem::NotAnInteger {
            field: "the grade",
            ..
        }
    ));
    assert!(matches!(
        problem("1 0 5\n").1,
        LineProblem::Columns { found: 3, .. }
    ));
    assert!(matches!(
        problem("1 0 5 1\n\n"),
        (2, LineProblem::Columns { found: 0, .. })
    ));
    let empty_id = problem("query-id\tcorpus-id\tscore\n\td\t1\n").1;
    assert_eq!(
        empty_id,
        LineProblem::EmptyId {
            field: "the query id"
        }
    );
    assert!(matches!(parse(""), Err(CorpusError::Empty { .. })));
    assert!(matches!(
        Qrels::open("no/such/file"),
        Err(CorpusError::Open { .. })
    ));
}

#[test]
fn grades_go_by_pid_and_count_the_documents_that_are_not_there() {
    let collection = "{\"_id\":\"a\",\"text\":\"\"}\n{\"_id\":\"b\",\"text\":\"\"}\n";
    let collection = Collection::parse_beir("c", collection.as_bytes()).unwrap();
    let qrels = parse("1 0 b 3\n1 0 zz 1\n").unwrap();
    let (grades, unknown) = qrels.grades("1", &collection);
    assert_eq!((grades.get(&1), grades.len(), unknown), (Some(&3), 1, 1));
    let (grades, unknown) = qrels.grades("2", &PlainPids);
    assert_eq!((grades.len(), unknown), (0, 0));
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused_without_a_panic(text in "([0-2]|\t|\n| |-|query-id\tcorpus-id\tscore){0,30}") {
        let _ = parse(&text);
    }
}
