//! Rankings, through the public interface.

#![allow(clippy::unwrap_used)]

use concord_corpus::{Collection, CorpusError, LineProblem, PlainPids, Ranked, Ranking};
use proptest::prelude::*;

fn tsv(text: &str) -> Result<Ranking, CorpusError> {
    Ranking::parse_tsv("r.tsv", text.as_bytes())
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), CorpusError>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn problem(result: Result<Ranking, CorpusError>) -> (u64, LineProblem) {
    match result {
        Err(CorpusError::Line { line, problem, .. }) => (line, problem),
        other => panic!("expected a problem with a line, found {other:?}"),
    }
}

fn sample() -> Ranking {
    let mut ranking = Ranking::new();
    ranking.push("7", [(3, 12.331_041), (0, 12.0)]);
    ranking.push("a", [(1, -1e-6)]);
    ranking
}

fn beir() -> Collection {
    let lines = ["d0", "d1", "d2", "d3"].map(|id| format!("{{\"_id\":\"{id}\",\"text\":\"\"}}\n"));
    Collection::parse_beir("c", lines.concat().as_bytes()).unwrap()
}

#[test]
fn a_tsv_has_scores_as_python_prints_them() {
    let text = written(|out| sample().write_tsv(out));
    assert_eq!(
        text,
        "7\t3\t1\t12.33104133605957\n7\t0\t2\t12.0\na\t1\t1\t-9.999999974752427e-07\n"
    );
    assert_eq!(tsv(&text).unwrap(), sample());
}

#[test]
fn a_trec_run_names_documents_by_their_outside_ids() {
    let text = written(|out| sample().write_trec(out, &beir(), "concord"));
    assert!(text.starts_with("7 Q0 d3 1 12.33104133605957 concord\n7 Q0 d0 2 12.0 concord\n"));
    let back = Ranking::parse_trec("r.trec", text.as_bytes(), &beir()).unwrap();
    assert_eq!(back, sample());
    let (line, found) = problem(Ranking::parse_trec("r", text.as_bytes(), &PlainPids));
    assert_eq!(
        (line, found),
        (1, LineProblem::UnknownDocument { id: "d3".into() })
    );
}

#[test]
fn json_lines_keep_queries_without_results() {
    let mut ranking = sample();
    ranking.push("none \"found\"", []);
    let text = written(|out| ranking.write_json_lines(out, &beir()));
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "{\"qid\":\"7\",\"results\":[{\"pid\":3,\"id\":\"d3\",\"rank\":1,\"score\":12.33104133605957},\
         {\"pid\":0,\"id\":\"d0\",\"rank\":2,\"score\":12.0}]}"
    );
    assert_eq!(
        Ranking::parse_json_lines("r", text.as_bytes()).unwrap(),
        ranking
    );
}

#[test]
fn labels_beyond_the_score_are_ignored_and_queries_may_be_interleaved() {
    let ranking = tsv("2\t5\t1\t3\t1\n1\t6\t1\t2.5\n2\t4\t2\t1.0\t0\n").unwrap();
    let qids: Vec<&str> = ranking.iter().map(|(qid, _)| qid).collect();
    assert_eq!(qids, ["2", "1"]);
    let pids: Vec<u32> = ranking.get("2").unwrap().iter().map(|r| r.pid).collect();
    assert_eq!(pids, [5, 4]);
    assert_eq!(ranking.get("3"), None);
}

#[test]
fn infinite_scores_are_read_and_written_except_in_json() {
    let ranking = tsv("1\t5\t1\t-inf\n").unwrap();
    assert_eq!(
        ranking.get("1").unwrap(),
        [Ranked {
            pid: 5,
            rank: 1,
            score: f64::NEG_INFINITY
        }]
    );
    assert_eq!(written(|out| ranking.write_tsv(out)), "1\t5\t1\t-inf\n");
    let error = ranking
        .write_json_lines(Vec::new(), &PlainPids)
        .unwrap_err();
    assert!(
        matches!(error, CorpusError::ScoreNotInJson { pid: 5, .. }),
        "{error}"
    );
}

#[test]
fn each_way_a_line_can_be_wrong_is_told_apart() {
    let wrong = |text: &str| problem(tsv(text)).1;
    assert!(matches!(
        wrong("1\t2\t3\n"),
        LineProblem::Columns { found: 3, .. }
    ));
    assert!(matches!(
        wrong("1\tx\t3\t4\n"),
        LineProblem::NotAnInteger {
            field: "the pid",
            ..
        }
    ));
    assert!(matches!(
        wrong("1\t2\t-3\t4\n"),
        LineProblem::NotAnInteger {
            field: "the rank",
            ..
        }
    ));
    assert!(matches!(
        wrong("1\t2\t3\tx\n"),
        LineProblem::NotANumber { .. }
    ));
    assert_eq!(wrong("1\t2\t0\t4\n"), LineProblem::RankZero);
    let (line, found) = problem(tsv("1\t2\t1\t9\n2\t2\t1\t9\n1\t2\t2\t8\n"));
    let twice = LineProblem::RankedTwice {
        qid: "1".into(),
        pid: 2,
        first_line: 1,
    };
    assert_eq!((line, found), (3, twice));

    let json = |text: &str| problem(Ranking::parse_json_lines("r", text.as_bytes())).1;
    assert_eq!(
        json("{\"qid\":1}\n"),
        LineProblem::MissingField { field: "results" }
    );
    assert!(matches!(
        json("{\"qid\":1,\"results\":[{\"pid\":-1,\"rank\":1,\"score\":1}]}\n"),
        LineProblem::FieldType { field: "pid", .. }
    ));
    assert_eq!(
        json("{\"qid\":1,\"results\":[2]}\n"),
        LineProblem::NotAnObject {
            found: "a whole number"
        }
    );
    assert!(matches!(
        Ranking::open("ranking.csv", &PlainPids),
        Err(CorpusError::UnknownExtension { .. })
    ));
}

#[test]
fn ids_that_would_not_be_one_field_are_not_written() {
    let mut ranking = Ranking::new();
    ranking.push("two words", [(1, 1.0)]);
    assert!(ranking.write_tsv(Vec::new()).is_ok());
    let refused = ranking.write_trec(Vec::new(), &PlainPids, "tag");
    assert!(matches!(
        refused,
        Err(CorpusError::IdNotInFormat { format: "TREC", .. })
    ));
    ranking.push("a\tb", [(1, 1.0)]);
    let refused = ranking.write_tsv(Vec::new());
    assert!(matches!(
        refused,
        Err(CorpusError::IdNotInFormat { format: "TSV", .. })
    ));
    let refused = sample().write_trec(Vec::new(), &PlainPids, "my tag");
    assert!(matches!(refused, Err(CorpusError::IdNotInFormat { .. })));
}

proptest! {
    #[test]
    fn every_format_gives_back_what_was_written(scores in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, 1..20)) {
        let mut ranking = Ranking::new();
        for (place, pair) in scores.chunks(3).enumerate() {
            ranking.push(&format!("q{place}"), (0..).zip(pair.iter().copied()));
        }
        let text = written(|out| ranking.write_tsv(out));
        prop_assert_eq!(&tsv(&text).unwrap(), &ranking);
        let text = written(|out| ranking.write_trec(out, &PlainPids, "t"));
        prop_assert_eq!(&Ranking::parse_trec("r", text.as_bytes(), &PlainPids).unwrap(), &ranking);
        let text = written(|out| ranking.write_json_lines(out, &PlainPids));
        prop_assert_eq!(&Ranking::parse_json_lines("r", text.as_bytes()).unwrap(), &ranking);
    }

    /// Whoever reads a run, in single or in double precision, sees the order of the search.
    #[test]
    fn written_scores_are_those_of_the_search_and_keep_their_order(bits: u32, steps in prop::collection::vec(1u32..3, 1..20)) {
        let mut bits = bits;
        let scores: Vec<f32> = steps.iter().map(|step| { bits = bits.wrapping_add(*step); f32::from_bits(bits) }).collect();
        prop_assume!(scores.iter().all(|score| score.is_finite()));
        let mut ranking = Ranking::new();
        ranking.push("q", (0..).zip(scores.iter().copied()));
        for text in [written(|out| ranking.write_trec(out, &PlainPids, "t")), written(|out| ranking.write_tsv(out))] {
            let column = |line: &str| line.split([' ', '\t']).filter(|field| *field != "Q0").nth(3).unwrap().to_owned();
            let fields: Vec<String> = text.lines().map(column).collect();
            for ((field, score), next) in fields.iter().zip(&scores).zip(fields.iter().skip(1).chain(fields.first())) {
                prop_assert_eq!(field.parse::<f32>().unwrap().to_bits(), score.to_bits());
                let (one, other) = (field.parse::<f64>().unwrap(), next.parse::<f64>().unwrap());
                let (narrow, next) = (field.parse::<f32>().unwrap(), next.parse::<f32>().unwrap());
                prop_assert_eq!(one.partial_cmp(&other), narrow.partial_cmp(&next));
            }
        }
    }

    #[test]
    fn arbitrary_text_is_read_or_refused_without_a_panic(text in "([0-2]|\t|\n| |\\.|-|Q0|inf|\\{\"qid\":1,\"results\":\\[\\]\\}){0,40}") {
        let _ = tsv(&text);
        let _ = Ranking::parse_trec("r", text.as_bytes(), &PlainPids);
        let _ = Ranking::parse_json_lines("r", text.as_bytes());
    }
}
