//! Running the program and judging how it ended.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{folder, golden};

/// A folder of its own for one test, in which the program runs.
pub struct Workplace {
    folder: TempDir,
}

/// How the program ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Workplace {
    pub fn new() -> Workplace {
        let folder = tempfile::tempdir().unwrap();
        Workplace { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// The names in the folder, hidden ones as well.
    pub fn names(&self) -> Vec<String> {
        folder::names(self.folder.path())
    }

    /// A command that would run the program here, offline and with nothing of the caller's settings.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concord"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("CONCORD_ISA")
            .env("CONCORD_HOME", self.path("no-home"))
            .env_remove("HF_HOME")
            .env_remove("HF_TOKEN")
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HUB_CACHE", self.path("no-hub-cache"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program on arguments that are separated by spaces. `CHECKPOINT`, `COLLECTION` and
    /// `QUERIES` stand for the golden ones.
    pub fn run(&self, line: &str) -> Ended {
        Ended::of(&mut self.command(words(line)))
    }

    /// Runs the program and expects that it succeeds.
    pub fn done(&self, line: &str) -> Ended {
        self.run(line).with_code(0)
    }

    /// Builds the index of the golden collection at `out`.
    pub fn golden_index(&self, out: &str) -> PathBuf {
        self.done(&format!(
            "index COLLECTION --checkpoint CHECKPOINT --out {out}"
        ));
        self.path(out)
    }
}

/// The arguments in a line.
pub fn words(line: &str) -> Vec<String> {
    let word = |word: &str| match word {
        "CHECKPOINT" => spelled(&golden::checkpoint()),
        "COLLECTION" => spelled(&golden::collection()),
        "QUERIES" => spelled(&golden::queries()),
        other => other.to_owned(),
    };
    line.split_whitespace().map(word).collect()
}

fn spelled(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

impl Ended {
    pub fn of(command: &mut Command) -> Ended {
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn with_code(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n{}", self.err, self.out);
        self
    }

    /// The program refused with one line, in which all of `said` occurs, and printed no result.
    #[track_caller]
    pub fn refused(self, said: &[&str]) {
        let Ended { code, out, err } = self;
        assert_eq!(code, Some(2), "{err}\n{out}");
        assert_eq!(out, "", "{err}");
        let lines: Vec<&str> = err.lines().filter(|l| !l.starts_with("note: ")).collect();
        let [line] = lines[..] else {
            panic!("one line was expected:\n{err}");
        };
        assert!(line.starts_with("concord: "), "{line}");
        for part in said {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
    }

    /// The parser of the command line refused, saying all of `said`.
    #[track_caller]
    pub fn not_understood(self, said: &[&str]) {
        let Ended { code, out, err } = self;
        assert_eq!(code, Some(2), "{err}\n{out}");
        assert_eq!(out, "", "{err}");
        assert!(err.starts_with("error: "), "{err}");
        for part in said {
            assert!(err.contains(part), "{part:?} is not in: {err}");
        }
    }
}
