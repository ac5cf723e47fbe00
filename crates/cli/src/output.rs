//! What a command ends with, and writing to standard output.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use concord_lab::Verdict;
use concord_report::{message, screen};
use serde::Serialize;

use crate::environment;

/// Anything that ends a command; its text is what the user reads.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How a command ends when nothing is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; or two things compared are the same.
    Same,
    Different,
}

impl Outcome {
    /// That of two sides that were compared.
    ///
    /// # Errors
    /// When the verdict is that it cannot be told.
    pub fn of(verdict: &Verdict) -> Result<Outcome, Failure> {
        match verdict {
            Verdict::Same => Ok(Outcome::Same),
            Verdict::Different => Ok(Outcome::Different),
            Verdict::CannotTell { .. } => {
                Err("what both sides kept is not enough to tell whether they are the same".into())
            }
        }
    }

    /// `Same` if it is true that they are.
    pub fn same_if(same: bool) -> Outcome {
        if same {
            Outcome::Same
        } else {
            Outcome::Different
        }
    }
}

/// The exit code of a command, 0 the same or done, 1 different, 2 trouble, which is told. That nobody reads on
/// is no trouble.
pub fn exit_code(ended: Result<Outcome, Failure>) -> ExitCode {
    match ended {
        Ok(Outcome::Same) => ExitCode::SUCCESS,
        Ok(Outcome::Different) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            status(format_args!("concord: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Prints a result that people read.
pub fn print(text: &str) -> Result<(), Failure> {
    write_out(&screen(text, &environment::style()))
}

/// Prints what another program reads, as it is. A terminal is no program.
pub fn print_as_is(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        write_out(&screen(text, &environment::plain_style()))
    } else {
        write_out(text)
    }
}

fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        result => Ok(result?),
    }
}

/// Writes a line to standard error. That nobody reads it is no reason to stop working.
pub fn status(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", message(&line.to_string()));
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_as_is(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Notices go where they are not taken for results.
pub fn warn(notices: &[String]) {
    for notice in notices {
        status(format_args!("note: {notice}"));
    }
}

/// Whether the failure is that whoever reads our output has closed it, as `head` does.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
