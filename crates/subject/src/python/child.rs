//! Child processes that are listened to and do not outlive their parent.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// What a child process left.
pub(super) struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub output: String,
    /// The lines of its standard error.
    pub said: Vec<String>,
}

impl Finished {
    /// The last lines of standard error, as an error message shows them.
    pub fn last_lines(&self) -> String {
        const SHOWN: usize = 12;
        let from = self.said.len().saturating_sub(SHOWN);
        let lines: Vec<String> = self.said[from..]
            .iter()
            .map(|line| format!("  {line}"))
            .collect();
        lines.join("\n")
    }
}

/// Runs `command` to its end with nothing to read, and hands on each line of its standard error as it
/// comes.
///
/// # Errors
/// When it cannot be started, or has not ended after `bound`; it is then killed.
pub(super) fn run(
    command: &mut Command,
    bound: Option<Duration>,
    hear: &mut dyn FnMut(&str),
) -> io::Result<Finished> {
    die_with_parent(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Running(command.spawn()?);
    let output = child.0.stdout.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let (sender, lines) = mpsc::channel();
    if let Some(pipe) = child.0.stderr.take() {
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    let deadline = bound.map(|bound| Instant::now() + bound);
    let mut said = Vec::new();
    loop {
        let patience = deadline.map_or(Duration::from_secs(3600), |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        match lines.recv_timeout(patience) {
            Ok(line) => {
                if !line.is_empty() {
                    hear(&line);
                    said.push(line);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if deadline.is_some() => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    let status = child.0.wait()?;
    let output = match output.map(thread::JoinHandle::join) {
        Some(Ok(bytes)) => bytes?,
        _ => Vec::new(),
    };
    Ok(Finished {
        status,
        output: String::from_utf8_lossy(&output).into_owned(),
        said,
    })
}

/// A child that is killed when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, as it mostly has.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has the system kill the child of `command` when the thread that starts it ends, however it ends.
///
/// That needs Linux. Elsewhere the child of a process that was killed finishes alone.
pub fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
        use std::os::unix::process::CommandExt;

        let parent = getpid();
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was asked for.
            if getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        };
        // SAFETY: between fork and exec the closure makes system calls and nothing else: it takes no lock
        // and allocates nothing.
        unsafe {
            command.pre_exec(prepare);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("sleep");
            command.arg("600").stdin(Stdio::null());
            die_with_parent(&mut command);
            command.spawn().unwrap()
        };
        let mut child = thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn lines_are_heard_and_output_is_kept() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo first >&2; cat; echo out; echo second >&2; exit 3",
        ]);
        let mut heard = Vec::new();
        let finished = run(&mut command, None, &mut |line| heard.push(line.to_owned())).unwrap();
        assert_eq!(heard, ["first", "second"]);
        assert_eq!(finished.output, "out\n");
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.last_lines(), "  first\n  second");
    }

    #[test]
    fn what_takes_too_long_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let started = Instant::now();
        let bound = Some(Duration::from_millis(50));
        let result = run(&mut command, bound, &mut |_| ());
        assert_eq!(result.err().unwrap().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(300));
    }
}
