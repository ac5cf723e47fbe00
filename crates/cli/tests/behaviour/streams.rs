//! Standard output and standard error: what goes where, and that nobody need read either.

use std::process::Stdio;

use crate::program::{Ended, Workplace, words};

#[test]
fn results_go_to_standard_output_and_progress_does_not() {
    let place = Workplace::new();
    let ended = place.done("index COLLECTION --checkpoint CHECKPOINT --out index");
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    assert!(
        ended.out.starts_with("index: 120 passages"),
        "{}",
        ended.out
    );
    assert!(
        ended.err.contains("encode: 120 of 120 passages"),
        "{}",
        ended.err
    );
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let place = Workplace::new();
    place.golden_index("index");
    for line in [
        "search index --queries QUERIES --k 100",
        "verify index --json",
        "diff index index",
        "index --help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(words(line));
        let ended = Ended::of(command.stdout(writer));
        let noise: Vec<&str> = ended
            .err
            .lines()
            .filter(|line| !line.starts_with("search: ") && !line.starts_with("note: "))
            .collect();
        assert_eq!(
            (ended.code, noise),
            (Some(0), vec![]),
            "{line}: {}",
            ended.err
        );
    }
}

#[cfg(unix)]
#[test]
fn a_build_goes_on_when_nobody_reads_its_progress() {
    let place = Workplace::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command(words(
        "index COLLECTION --checkpoint CHECKPOINT --out index",
    ));
    command.stdout(Stdio::null()).stderr(writer);
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(0));
    place.done("verify index");
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_are_trouble() {
    let place = Workplace::new();
    place.golden_index("index");
    let mut command = place.command(["verify", "index"]);
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    Ended::of(command.stdout(full)).refused(&["standard output", "No space left"]);
}
