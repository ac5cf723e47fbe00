//! Child processes that are listened to and do not outlive their parent.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use concord_tensor::unfinished::Unfinished;

/// What a process left that ran to its end.
pub(crate) struct Finished {
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

/// A child process whose output is heard. It is killed when the value is dropped, when this process is told to stop,
/// and on Linux also when the thread that started it ends, however it ends.
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    _unfinished: Unfinished,
}

/// How often is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Process {
    /// Starts `command`, which reads `input`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, input: Stdio) -> io::Result<Process> {
        die_with_parent(command);
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = Arc::new(Mutex::new(command.spawn()?));
        let own = Arc::clone(&child);
        let _unfinished = Unfinished::running(move || {
            // It fails when the process has ended.
            let _ = lock(&own).kill();
        });
        Ok(Process { child, _unfinished })
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        lock(&self.child)
    }

    /// Waits for its end. The child is free between two looks for whoever wants to end it.
    fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child().try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// The pipe that it reads; `None` where it reads none, or when it was taken.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child().stdin.take()
    }

    /// Its lines on standard output, as they come.
    pub fn output_lines(&mut self) -> Receiver<String> {
        let (sender, lines) = mpsc::channel();
        let pipe = self.child().stdout.take();
        each_line(pipe, move |line| sender.send(line).is_ok());
        lines
    }

    /// Hands on its lines on standard error, until `hear` has enough. What comes back is disconnected then, or
    /// when there is nothing more to hear.
    pub fn hear_errors(
        &mut self,
        hear: impl FnMut(String) -> bool + Send + 'static,
    ) -> Receiver<()> {
        let pipe = self.child().stderr.take();
        each_line(pipe, hear)
    }

    /// Waits up to `grace` for it to end by itself, and ends it then. Returns how it ended.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn end(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        const LOOKS: u32 = 50;
        for _ in 0..LOOKS {
            if let Some(status) = self.child().try_wait()? {
                return Ok(status);
            }
            thread::sleep(grace / LOOKS);
        }
        // It fails when the process has ended meanwhile.
        let _ = self.child().kill();
        self.child().wait()
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, as it mostly has.
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Hands on the lines of a pipe in a thread of its own, until it ends or `hear` has enough; what comes back is
/// disconnected then.
fn each_line(
    pipe: Option<impl Read + Send + 'static>,
    mut hear: impl FnMut(String) -> bool + Send + 'static,
) -> Receiver<()> {
    let (listening, listened) = mpsc::channel::<()>();
    let Some(pipe) = pipe else { return listened };
    thread::spawn(move || {
        let _listening = listening;
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if !hear(String::from_utf8_lossy(&line).trim_end().to_owned()) {
                return;
            }
        }
    });
    listened
}

/// Runs `command` to its end with nothing to read, and hands on each line of its standard error as it
/// comes.
///
/// # Errors
/// When it cannot be started, or has not ended after `bound`; it is then killed.
pub(crate) fn run(
    command: &mut Command,
    bound: Option<Duration>,
    hear: &mut dyn FnMut(&str),
) -> io::Result<Finished> {
    let mut process = Process::start(command, Stdio::null())?;
    let output = process.child().stdout.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let (sender, lines) = mpsc::channel();
    process.hear_errors(move |line| sender.send(line).is_ok());
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
    let status = process.wait()?;
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

/// Has the system kill the child of `command` when the thread that starts it ends, however it ends.
///
/// That needs Linux. Elsewhere the child of a process that was killed finishes alone.
fn die_with_parent(command: &mut Command) {
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
