//! Lines that were made to break a reader.

#![allow(clippy::unwrap_used)]

use concord_corpus::{
    Collection, CorpusError, DocumentIds, LineProblem, PlainPids, Qrels, Queries, Ranking,
};
use proptest::prelude::*;

fn problem<T: std::fmt::Debug>(result: Result<T, CorpusError>) -> (u64, LineProblem) {
    match result {
        Err(CorpusError::Line { line, problem, .. }) => (line, problem),
        other => panic!("expected a problem with a line, found {other:?}"),
    }
}

#[test]
fn a_header_before_pids_from_0_is_blamed_itself() {
    let parse = |text: &str| Collection::parse_tsv("c.tsv", text.as_bytes());
    assert_eq!(
        problem(parse("id\ttext\n0\tone\n1\ttwo\n")),
        (1, LineProblem::Header)
    );
    assert_eq!(
        problem(parse("id\ttext\ttitle\r\n0\tone\tOne\r\n")),
        (1, LineProblem::Header)
    );
    // Other headers were never taken for a passage.
    for header in ["pid", "docid", "ID", "_id"] {
        let text = format!("{header}\ttext\n0\tone\n");
        assert_eq!(problem(parse(&text)).0, 1, "{header}");
    }
    // And other pids that are out of order are not the header's fault.
    assert_eq!(problem(parse("id\ttext\n2\tone\n")).0, 2);
    assert_eq!(problem(parse("id\ttext\n1\tone\n0\ttwo\n")).0, 3);
    assert_eq!(problem(parse("0\tone\n0\ttwo\n")).0, 2);
}

#[test]
fn ids_of_absurd_length_and_with_nul_are_refused_everywhere() {
    for id in ["x".repeat(5000), "a\0b".to_owned()] {
        let escaped = id.replace('\0', "\\u0000");
        let found = [
            problem(Collection::parse_beir(
                "c",
                format!("{{\"_id\":\"{escaped}\",\"text\":\"\"}}").as_bytes(),
            )),
            problem(Queries::parse_tsv("q", format!("{id}\twhy").as_bytes())),
            problem(Queries::parse_json_lines(
                "q",
                format!("{{\"qid\":\"{escaped}\",\"question\":\"why\"}}").as_bytes(),
            )),
            problem(Qrels::parse("j", format!("{id} 0 2 1").as_bytes())),
            problem(Qrels::parse("j", format!("2 0 {id} 1").as_bytes())),
            problem(Ranking::parse_tsv("r", format!("{id}\t1\t1\t1").as_bytes())),
            problem(Ranking::parse_trec(
                "r",
                format!("1 Q0 {id} 1 1 t").as_bytes(),
                &PlainPids,
            )),
            problem(Ranking::parse_json_lines(
                "r",
                format!("{{\"qid\":\"{escaped}\",\"results\":[]}}").as_bytes(),
            )),
        ];
        for (line, problem) in found {
            assert_eq!(line, 1);
            let expected = match id.len() {
                5000 => matches!(problem, LineProblem::LongId { bytes: 5000, .. }),
                _ => matches!(problem, LineProblem::NulInId { .. }),
            };
            assert!(expected, "{problem:?}");
            assert!(problem.to_string().len() < 200, "{problem}");
        }
    }
}

#[test]
fn messages_quote_the_beginning_of_what_is_long() {
    let long = "é".repeat(1 << 20);
    let messages = [
        Collection::parse_tsv("c", format!("{long}\tx").as_bytes()).unwrap_err(),
        Qrels::parse("j", format!("1 0 2 {long}").as_bytes()).unwrap_err(),
        Ranking::parse_tsv("r", format!("1\t{long}\t1\t1").as_bytes()).unwrap_err(),
        Ranking::parse_tsv("r", format!("1\t1\t1\t{long}").as_bytes()).unwrap_err(),
    ];
    for message in messages {
        let message = message.to_string();
        assert!(message.len() < 300 && message.contains("éé…"), "{message}");
    }
}

#[test]
fn json_that_is_nested_deeply_or_is_no_object_is_refused_or_skipped() {
    let deep = "[".repeat(1 << 20);
    let closed = format!("{deep}{}", "]".repeat(1 << 20));
    for text in [deep.clone(), closed.clone()] {
        let (_, found) = problem(Collection::parse_beir("c", text.as_bytes()));
        assert!(
            matches!(
                found,
                LineProblem::MalformedJson { .. } | LineProblem::NotAnObject { found: "an array" }
            ),
            "{found:?}"
        );
        assert!(Collection::parse_json_list("c", text.as_bytes()).is_err());
    }
    // In a field that nobody asked for it is skipped, as far as it is JSON.
    let beside = |inside: &str| format!("{{\"x\":{inside},\"_id\":\"a\",\"text\":\"t\"}}\n");
    let read = |text: String| Collection::parse_beir("c", text.as_bytes());
    assert_eq!(read(beside(&closed)).unwrap().text(0), Some("t"));
    assert!(read(beside(&deep)).is_err());
    // And in the place of what is asked for it is said what it is.
    let field = format!("{{\"_id\":\"a\",\"text\":{closed}}}");
    assert_eq!(
        problem(read(field)).1,
        LineProblem::FieldType {
            field: "text",
            expected: "a string",
            found: "an array"
        }
    );
    for (text, found) in [
        ("3", "a whole number"),
        ("-3", "a whole number"),
        ("0.5", "a fraction"),
        ("null", "null"),
        ("true", "a boolean"),
        ("\"x\"", "a string"),
        ("\"\\n\"", "a string"),
        ("[1]", "an array"),
    ] {
        let expected = LineProblem::NotAnObject { found };
        let read = problem(Collection::parse_beir("c", text.as_bytes())).1;
        assert_eq!(read, expected);
        let read = problem(Queries::parse_json_lines("q", text.as_bytes())).1;
        assert_eq!(read, expected);
        let read = problem(Ranking::parse_json_lines("r", text.as_bytes())).1;
        assert_eq!(read, expected);
        let results = format!("{{\"qid\":1,\"results\":{text}}}");
        let read = problem(Ranking::parse_json_lines("r", results.as_bytes())).1;
        match found {
            "an array" => assert!(matches!(read, LineProblem::NotAnObject { .. })),
            found => assert_eq!(
                read,
                LineProblem::FieldType {
                    field: "results",
                    expected: "an array",
                    found
                }
            ),
        }
    }
    let list = |text: &str| problem(Collection::parse_json_list("c.json", text.as_bytes()));
    assert_eq!(list("[\"a\",\n null]").0, 2);
    assert_eq!(list("{\"a\":1}").0, 1);
    assert_eq!(list("[\"a\"] x").0, 1);
}

#[test]
fn of_a_repeated_field_the_last_counts_as_in_python() {
    let text = "{\"_id\":\"a\",\"text\":\"1\",\"_id\":\"b\",\"text\":\"2\"}";
    let collection = Collection::parse_beir("c", text.as_bytes()).unwrap();
    assert_eq!(collection.text(0), Some("2"));
    assert_eq!(collection.external_id(0), "b");
}

#[test]
fn of_several_contradictions_the_first_line_is_named() {
    let text = "b 0 x 1\na 0 y 1\na 0 y 2\nb 0 x 0\nb 0 x 3\n";
    let (line, found) = problem(Qrels::parse("j", text.as_bytes()));
    assert_eq!(line, 3);
    assert!(
        matches!(
            found,
            LineProblem::ContradictoryJudgement {
                first_line: 2,
                grade: 2,
                first_grade: 1,
                ..
            }
        ),
        "{found:?}"
    );
    let beir = "query-id\tcorpus-id\tscore\nb\tx\t1\nb\tx\t0\n";
    assert_eq!(problem(Qrels::parse("j", beir.as_bytes())).0, 3);
}

proptest! {
    /// What the readers keep packed is what was there.
    #[test]
    fn judgements_and_rankings_of_interleaved_queries_are_those_of_their_lines(
        rows in prop::collection::vec((0u8..5, 0u32..40, -2i64..4), 1..60)
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let rows: Vec<_> = rows.into_iter().filter(|(q, d, _)| seen.insert((*q, *d))).collect();
        let qrels: String = rows.iter().map(|(q, d, g)| format!("q{q} 0 d{d} {g}\n")).collect();
        let qrels = Qrels::parse("j", qrels.as_bytes()).unwrap();
        let run: String = rows.iter().map(|(q, d, g)| format!("q{q}\t{d}\t1\t{g}\n")).collect();
        let ranking = Ranking::parse_tsv("r", run.as_bytes()).unwrap();
        let mut order: Vec<u8> = Vec::new();
        for (q, ..) in &rows {
            if !order.contains(q) {
                order.push(*q);
            }
        }
        let names: Vec<String> = order.iter().map(|q| format!("q{q}")).collect();
        prop_assert!(qrels.iter().map(|(qid, _)| qid).eq(&names));
        prop_assert!(ranking.iter().map(|(qid, _)| qid).eq(&names));
        for q in order {
            let own = || rows.iter().filter(|row| row.0 == q);
            let judged: Vec<_> = qrels.get(&format!("q{q}")).unwrap().map(|j| (j.document.to_owned(), j.grade)).collect();
            prop_assert_eq!(judged, own().map(|(_, d, g)| (format!("d{d}"), *g)).collect::<Vec<_>>());
            let ranked: Vec<_> = ranking.get(&format!("q{q}")).unwrap().iter().map(|r| (r.pid, r.score)).collect();
            prop_assert_eq!(ranked, own().map(|(_, d, g)| (*d, *g as f64)).collect::<Vec<_>>());
        }
    }
}
