//! Files that are packed, and files that are something else than they are called.

#![allow(clippy::unwrap_used)]

use std::io::{BufReader, Read, Write};

use concord_corpus::{
    Collection, CorpusError, GzipProblem, LineProblem, NotText, PlainPids, Qrels, Queries, Ranking,
};
use flate2::Compression;
use flate2::write::GzEncoder;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn texts(collection: &Collection) -> Vec<&str> {
    collection.iter().collect()
}

const PASSAGES: &[u8] = b"0\tone\n1\ttwo\tTitle\n2\tthree \xc3\xa9\n";

#[test]
fn what_is_packed_is_read_as_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let plain = Collection::open(file("c.tsv", PASSAGES)).unwrap();
    // By its bytes and not by its name, which may have lost the ending or kept it.
    for (name, bytes) in [
        ("c.tsv.gz", gzip(PASSAGES)),
        ("c.tsv.GZ", gzip(PASSAGES)),
        ("packed.tsv", gzip(PASSAGES)),
        ("unpacked.tsv.gz", PASSAGES.to_vec()),
    ] {
        let read = Collection::open(file(name, &bytes)).unwrap();
        assert_eq!(texts(&read), texts(&plain), "{name}");
    }
    let beir = gzip(b"{\"_id\":\"a\",\"text\":\"x\"}\n");
    assert_eq!(
        Collection::open(file("c.jsonl.gz", &beir)).unwrap().len(),
        1
    );
    let list = gzip(b"[\"x\",\n\"y\"]");
    let list = Collection::open(file("c.json.gz", &list)).unwrap();
    assert_eq!(texts(&list), ["x", "y"]);
    let queries = Queries::open(file("q.txt.gz", &gzip(b"1\twhy\n"))).unwrap();
    assert_eq!(queries.text("1"), Some("why"));
    let qrels = Qrels::open(file("anything", &gzip(b"1 0 2 1\n"))).unwrap();
    assert_eq!(qrels.len(), 1);
    for name in ["r.run.gz", "r.trec.gz"] {
        let run = file(name, &gzip(b"1 Q0 2 1 0.5 t\n"));
        assert_eq!(Ranking::open(run, &PlainPids).unwrap().len(), 1);
    }
    let error = Collection::open(file("c.csv.gz", &gzip(PASSAGES))).unwrap_err();
    assert!(error.to_string().contains("the extension .csv"), "{error}");
}

#[test]
fn members_follow_each_other_also_in_the_middle_of_a_line() {
    for cut in 0..=PASSAGES.len() {
        let (first, second) = PASSAGES.split_at(cut);
        let both = [gzip(first), gzip(second)].concat();
        let read = Collection::parse_tsv("c.tsv.gz", &both[..]).unwrap();
        assert_eq!(texts(&read)[2], "three é");
    }
}

#[test]
fn a_stream_that_comes_byte_by_byte_is_known_for_what_it_is() {
    let packed = gzip(PASSAGES);
    let slow = BufReader::with_capacity(1, &packed[..]);
    assert_eq!(Collection::parse_tsv("c", slow).unwrap().len(), 3);
}

#[test]
fn a_truncated_file_is_an_error_wherever_it_ends() {
    let whole = gzip(PASSAGES);
    for end in 2..whole.len() {
        let error = Collection::parse_tsv("c.tsv.gz", &whole[..end]).unwrap_err();
        let truncated = CorpusError::Gzip {
            file: "c.tsv.gz".into(),
            line: 0,
            problem: GzipProblem::Truncated,
        };
        let said = error.to_string();
        let (file, reason) = said.split_once(": ").unwrap();
        assert!(file.starts_with("c.tsv.gz:"), "{said}");
        assert!(truncated.to_string().ends_with(reason), "{said}");
    }
    // In the second member.
    let two = [gzip(PASSAGES), gzip(b"3\tfour\n")].concat();
    for end in whole.len() + 1..two.len() {
        assert!(
            matches!(
                Collection::parse_tsv("c", &two[..end]),
                Err(CorpusError::Gzip {
                    problem: GzipProblem::Truncated,
                    ..
                })
            ),
            "{end}"
        );
    }
}

#[test]
fn no_flipped_byte_of_what_is_packed_gives_other_passages() {
    let whole = gzip(PASSAGES);
    let plain = Collection::parse_tsv("c", PASSAGES).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        // The header holds a time and a name that nobody reads.
        if let Ok(read) = Collection::parse_tsv("c", &damaged[..]) {
            assert_eq!(texts(&read), texts(&plain), "byte {at}");
        }
    }
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let error = Collection::parse_tsv("c.gz", &damaged[..]).unwrap_err();
    assert!(
        matches!(
            error,
            CorpusError::Gzip {
                problem: GzipProblem::Corrupt(_),
                ..
            }
        ),
        "{error}"
    );
}

/// `line` again and again, packed.
fn bomb(line: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..times {
        encoder.write_all(line).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn what_unpacks_to_far_more_than_text_does_is_refused_before_it_fills_memory() {
    let lines = bomb(&b"1 0 2 1\n".repeat(1 << 12), 1 << 12);
    let one_line = bomb(&[b'x'; 1 << 16], 1 << 12);
    for (packed, what) in [(&lines, "lines"), (&one_line, "a line")] {
        let error = Qrels::parse("bomb.gz", &packed[..]).unwrap_err();
        let CorpusError::Gzip {
            problem: GzipProblem::Expands { unpacked, .. },
            ..
        } = error
        else {
            panic!("{what}: {error}");
        };
        assert!(unpacked < 40 << 20, "{what}: {unpacked}");
    }
    let nested = gzip(&gzip(PASSAGES));
    let error = Collection::parse_tsv("twice.gz", &nested[..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "twice.gz is packed by gzip, and inside is a gzip file"
    );
}

#[test]
fn files_that_are_no_text_are_named_for_what_they_are() {
    let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
    let utf16 = |text: &str, mark: &[u8]| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    let cases: [(Vec<u8>, NotText); 14] = [
        (b"PK\x03\x04rest".to_vec(), NotText::Zip),
        (b"\x28\xb5\x2f\xfdrest".to_vec(), NotText::Zstandard),
        (b"\xfd7zXZ\0rest".to_vec(), NotText::Xz),
        (b"BZh91AY&SYrest".to_vec(), NotText::Bzip2),
        (tar, NotText::Tar),
        (utf16("0\tone\n", b"\xff\xfe"), NotText::Utf16),
        (utf16("0\tone\n", b""), NotText::Utf16),
        (b"\x000\x00\t\x00o".to_vec(), NotText::Utf16),
        (b"\xff\xfe\0\0rest".to_vec(), NotText::Utf32),
        (b"PAR1rest".to_vec(), NotText::Parquet),
        (b"ARROW1\0\0".to_vec(), NotText::Arrow),
        (b"SQLite format 3\0".to_vec(), NotText::Sqlite),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            NotText::LfsPointer,
        ),
        (b"\n<!DOCTYPE html>\n<html>".to_vec(), NotText::WebPage),
    ];
    for (bytes, expected) in cases {
        let read = [
            Collection::parse_tsv("f", &bytes[..]).err(),
            Collection::parse_beir("f", &bytes[..]).err(),
            Collection::parse_json_list("f", &bytes[..]).err(),
            Queries::parse_tsv("f", &bytes[..]).err(),
            Qrels::parse("f", &bytes[..]).err(),
            Ranking::parse_json_lines("f", &bytes[..]).err(),
        ];
        for error in read {
            match error {
                Some(CorpusError::NotText { what, .. }) => assert_eq!(what, expected),
                other => panic!("{expected:?}: {other:?}"),
            }
        }
        let inside = Qrels::parse("f", &gzip(&bytes)[..]).unwrap_err();
        let inside = inside.to_string();
        assert!(inside.starts_with("f is packed by gzip, and inside is "));
        assert!(inside.ends_with(&expected.to_string()), "{inside}");
    }
    for nothing in [Vec::new(), gzip(b"")] {
        for error in [
            Collection::parse_tsv("f", &nothing[..]).unwrap_err(),
            Collection::parse_json_list("f", &nothing[..]).unwrap_err(),
        ] {
            assert!(matches!(error, CorpusError::Empty { .. }), "{error}");
        }
    }
}

#[test]
fn a_line_without_an_end_is_refused() {
    let endless = std::io::repeat(b'x').take(1 << 30);
    let error = Queries::parse_tsv("q.tsv", BufReader::with_capacity(1 << 20, endless));
    assert!(
        matches!(
            error,
            Err(CorpusError::Line {
                line: 1,
                problem: LineProblem::TooLong { .. },
                ..
            })
        ),
        "{error:?}"
    );
}
