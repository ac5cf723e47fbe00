//! A ranking in the format that the first byte chooses. What was read and can be written is read again as it was.

#![no_main]

use concord_corpus::{CorpusError, PlainPids, Ranking};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [format, file @ ..] = input else { return };
    let Ok(ranking) = parse(format % 3, file) else {
        return;
    };
    assert_eq!(ranking.len(), ranking.iter().count());
    for (qid, found) in ranking.iter() {
        assert_eq!(ranking.get(qid), Some(found));
    }
    for format in 0..3 {
        let mut written = Vec::new();
        if write(format, &ranking, &mut written).is_err() {
            continue;
        }
        if let Ok(again) = parse(format, &written) {
            assert_eq!(kept(&again), kept(&ranking), "written in format {format}");
        }
    }
});

fn parse(format: u8, file: &[u8]) -> Result<Ranking, CorpusError> {
    match format {
        0 => Ranking::parse_tsv("fuzz.tsv", file),
        1 => Ranking::parse_trec("fuzz.trec", file, &PlainPids),
        _ => Ranking::parse_json_lines("fuzz.jsonl", file),
    }
}

fn write(format: u8, ranking: &Ranking, out: &mut Vec<u8>) -> Result<(), CorpusError> {
    match format {
        0 => ranking.write_tsv(out),
        1 => ranking.write_trec(out, &PlainPids, "fuzz"),
        _ => ranking.write_json_lines(out, &PlainPids),
    }
}

/// A passage, its rank, and the bits of its score.
type Row = (u32, u32, u64);

/// The passages of each query that has any, in order: lines have no place for a query without.
fn kept(ranking: &Ranking) -> Vec<(&str, Vec<Row>)> {
    let found = ranking.iter().filter(|(_, found)| !found.is_empty());
    found
        .map(|(qid, found)| {
            let rows = found
                .iter()
                .map(|row| (row.pid, row.rank, row.score.to_bits()));
            (qid, rows.collect())
        })
        .collect()
}
