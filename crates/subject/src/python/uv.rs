//! The program that makes environments.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::EnvironmentError;
use crate::process::{self, Finished};

/// How long `uv --version` may take.
const VERSION_BOUND: Duration = Duration::from_secs(60);

/// Where `uv` can be, in the order of preference.
const PLACES: [(&str, &[&str]); 3] = [
    ("uv", &[]),
    ("python3", &["-m", "uv"]),
    ("python", &["-m", "uv"]),
];

/// What `uv` says when it reached no index.
const NO_NETWORK: [&str; 7] = [
    "error sending request",
    "client error (Connect)",
    "dns error",
    "tcp connect error",
    "operation timed out",
    "network connectivity is disabled",
    "network was disabled",
];
/// What the system says when a disk is full, or a user's share of it.
const FULL_DISK: [&str; 3] = [
    "No space left on device",
    "os error 122",
    "not enough space on the disk",
];
const NO_SOLUTION: &str = "No solution found";

/// A `uv` that works.
#[derive(Debug, Clone)]
pub struct Uv {
    program: PathBuf,
    first: &'static [&'static str],
    path: OsString,
    version: String,
}

/// Why a run of `uv` came to nothing, as far as its lines tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NoNetwork,
    FullDisk,
    /// Nothing in the index fits the requirements.
    NoSolution,
    Other,
}

impl Uv {
    /// Finds `uv` in the folders of `path`, a list such as `PATH`: the program itself, or else the module
    /// of the `python3` or `python` there.
    ///
    /// # Errors
    /// [`EnvironmentError::NoUv`] when none of them answers.
    pub fn find(path: &OsStr) -> Result<Uv, EnvironmentError> {
        for (name, first) in PLACES {
            let file = format!("{name}{}", env::consts::EXE_SUFFIX);
            let programs = env::split_paths(path).map(|folder| folder.join(&file));
            for program in programs.filter(|program| program.is_file()) {
                let mut uv = Uv {
                    program,
                    first,
                    path: path.to_owned(),
                    version: String::new(),
                };
                let mut command = uv.command();
                command.arg("--version");
                // A file of that name that cannot be run, or a Python without the module, is no uv.
                let answer = process::run(&mut command, Some(VERSION_BOUND), &mut |_| ());
                if let Ok(answer) = answer
                    && answer.status.success()
                    && answer.output.starts_with("uv ")
                {
                    uv.version = answer.output.trim().to_owned();
                    return Ok(uv);
                }
            }
        }
        Err(EnvironmentError::NoUv)
    }

    /// What it calls itself, `uv 0.13.9 (x86_64-unknown-linux-gnu)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs it in `folder` and hands on each of its lines.
    ///
    /// # Errors
    /// When it cannot be started, or has not ended after `bound`.
    pub(super) fn run<I: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: impl IntoIterator<Item = I>,
        bound: Option<Duration>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Finished, EnvironmentError> {
        let mut command = self.command();
        // A project in the folder that somebody stands in would have its say otherwise.
        command.current_dir(folder).args(arguments);
        if bound.is_some() {
            // Who has no time does not try again.
            command.env("UV_HTTP_RETRIES", "0");
        }
        process::run(&mut command, bound, hear).map_err(|source| EnvironmentError::Run {
            program: self.program.clone(),
            source,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.first)
            .env("PATH", &self.path)
            .env("NO_COLOR", "1");
        command
    }
}

/// What made `uv` fail.
pub(super) fn cause(finished: &Finished) -> Cause {
    let said = |words: &[&str]| {
        let has = |line: &String| words.iter().any(|word| line.contains(word));
        finished.said.iter().any(has)
    };
    if said(&FULL_DISK) {
        Cause::FullDisk
    } else if said(&NO_NETWORK) {
        Cause::NoNetwork
    } else if said(&[NO_SOLUTION]) {
        Cause::NoSolution
    } else {
        Cause::Other
    }
}
