//! Commands that are told to stop.
#![cfg(target_os = "linux")]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::folder::{self, assert_same, index_files};
use crate::golden;
use crate::program::{Ended, Workplace, words};

/// Three chunks: a second or two of work for each subject.
const PASSAGES: usize = 2500;

fn place() -> Workplace {
    let place = Workplace::new();
    place.file("texts.tsv", golden::longer_collection(PASSAGES));
    std::fs::create_dir(place.path("temporary")).unwrap();
    place
}

fn command(place: &Workplace, line: &str) -> Command {
    let mut command = place.command(words(line));
    command.env("TMPDIR", place.path("temporary"));
    command
}

/// The same with the signals as a terminal's shell leaves them: what runs the tests may have been started to ignore
/// some, and whatever it starts would.
fn listening(place: &Workplace, line: &str) -> Command {
    let program = command(place, line);
    let mut command = Command::new("env");
    command
        .arg("--default-signal")
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.path(""));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Starts a command, and tells it to stop once `begun` is true of the place. How it ended, and what it said.
fn stopped(
    place: &Workplace,
    line: &str,
    signal: &str,
    begun: impl Fn(&Workplace) -> bool,
) -> (Option<i32>, String) {
    let mut command = listening(place, line);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while !begun(place) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "`{line}` ended before it was stopped"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    send(signal, &child);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    (child.wait().unwrap().code(), said)
}

/// Whether a command has begun what it is to be stopped in.
type Begun = Box<dyn Fn(&Workplace) -> bool>;

/// Whether there is something in the temporary folders that were made.
fn has_temporary(place: &Workplace) -> bool {
    std::fs::read_dir(place.path("temporary"))
        .unwrap()
        .next()
        .is_some()
}

const ON: &str = "--checkpoint CHECKPOINT --collection texts.tsv";

#[test]
fn what_is_stopped_says_so_and_leaves_nothing_behind() {
    let place = place();
    place.done("index texts.tsv --checkpoint CHECKPOINT --kmeans-niters 1 --out index");
    let before = place.names();
    let building = |name: &'static str| move |place: &Workplace| place.path(name).exists();
    let temporary: fn(&Workplace) -> bool = has_temporary;
    let checks: [(String, Begun); 6] = [
        (
            format!("diff native native,gemm=split-k:4 {ON}"),
            Box::new(temporary),
        ),
        (
            format!("explain native native,gemm=split-k:4 {ON}"),
            Box::new(temporary),
        ),
        ("demo".to_owned(), Box::new(temporary)),
        (
            "demo --keep kept".to_owned(),
            Box::new(building(".kept.building/demo/collection.tsv")),
        ),
        (
            "verify index --rebuild texts.tsv --checkpoint CHECKPOINT".to_owned(),
            Box::new(temporary),
        ),
        (
            format!("record native {ON} --out run"),
            Box::new(building(".run.building/run")),
        ),
    ];
    for (line, begun) in checks {
        for (signal, name, code) in [("-INT", "SIGINT", 130), ("-TERM", "SIGTERM", 143)] {
            let (ended, said) = stopped(&place, &line, signal, &begun);
            assert_eq!(ended, Some(code), "{line}: {said}");
            let last = said.lines().last().unwrap_or_default();
            let expected = format!(
                "concord: stopped by {name}; what was unfinished is removed: run the same command again to begin anew"
            );
            assert_eq!(last, expected, "{line}");
            assert_eq!(place.names(), before, "{line}");
            assert!(folder::names(&place.path("temporary")).is_empty(), "{line}");
        }
    }
}

#[test]
fn a_stopped_build_says_what_is_kept_and_goes_on_from_it() {
    let place = place();
    let build = "index texts.tsv --checkpoint CHECKPOINT --kmeans-niters 1 --out index";
    let finished = |place: &Workplace| {
        let notes = std::fs::read_dir(place.path(".index.building/store/memory"));
        notes.is_ok_and(|notes| {
            notes
                .flatten()
                .any(|note| !note.file_name().to_string_lossy().starts_with('.'))
        })
    };
    let (ended, said) = stopped(&place, build, "-INT", finished);
    assert_eq!(ended, Some(130), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("concord: stopped by SIGINT; finished work is kept in "),
        "{said}"
    );
    assert!(
        last.contains(".index.building: run the same command again to go on from it"),
        "{said}"
    );
    assert_eq!(place.names(), [".index.building", "temporary", "texts.tsv"]);
    place.done(build);
    assert_eq!(place.names(), ["index", "temporary", "texts.tsv"]);
    let undisturbed = Workplace::new();
    undisturbed.file("texts.tsv", golden::longer_collection(PASSAGES));
    undisturbed.done(build);
    let [found, expected] = [&place, &undisturbed].map(|place| index_files(&place.path("index")));
    assert_same(&found, &expected, "stopped and gone on with");
}

#[test]
fn a_demo_that_was_stopped_can_be_given_again() {
    let place = place();
    let begun = |place: &Workplace| place.path(".kept.building/demo/qrels.tsv").exists();
    stopped(&place, "demo --keep kept", "-KILL", begun);
    assert_eq!(place.names(), [".kept.building", "temporary", "texts.tsv"]);
    place.done("demo --keep kept");
    assert_eq!(place.names(), ["kept", "temporary", "texts.tsv"]);
    place.done("search kept/index fox --k 1");
}

#[test]
fn what_was_started_to_ignore_a_signal_ignores_it() {
    let place = place();
    let program = command(&place, &format!("record native {ON} --out run"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' INT; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(place.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    while !place.path(".run.building/run").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path("run").exists());
}

/// Without anybody's help: the signal that a limit on the size of files sends would end the process.
#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_leaves_nothing() {
    let place = place();
    for line in [
        format!("record native {ON} --out run"),
        "demo --keep kept".to_owned(),
        "export-model folder".to_owned(),
    ] {
        let program = command(&place, &line);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "ulimit -f 8; exec \"$@\"", "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .env("TMPDIR", place.path("temporary"))
            .current_dir(place.path(""));
        let ended = Ended::of(&mut shell).with_code(2);
        let last = ended.err.lines().last().unwrap();
        assert!(
            last.contains("File too large") && last.contains("raise the limit"),
            "{line}: {last}"
        );
        assert!(!last.contains("finished work is kept"), "{line}: {last}");
        assert_eq!(place.names(), ["temporary", "texts.tsv"], "{line}");
        assert!(folder::names(&place.path("temporary")).is_empty(), "{line}");
    }
}
