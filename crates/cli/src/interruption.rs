//! Being told to stop: what is unfinished is put away, and it is said how to go on.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process is being stopped.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Waits for the end of the process if it is being stopped: the thread that stops it says so, and ends it.
pub fn end_if_stopping() {
    while STOPPING.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Has the process stop in order when it is told to, by Ctrl-C or `kill`, and at once when it is told again. A limit
/// on the size of files becomes an error of whoever writes, like a full disk.
///
/// Where that cannot be arranged, signals do what they do to any process.
pub fn listen() {
    #[cfg(unix)]
    let _ = unix::listen();
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io::{self, IsTerminal};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use concord_tensor::unfinished::{Stopped, stop};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    use super::STOPPING;
    use crate::output::status;

    /// What a shell adds to the number of a signal that ended a process.
    const BY_SIGNAL: i32 = 128;

    pub(super) fn listen() -> io::Result<()> {
        // Heard and left at that, so that the write that was too much fails.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let ignored = ignored();
        let heard = [SIGINT, SIGTERM, SIGHUP];
        let heard: Vec<i32> = heard
            .into_iter()
            .filter(|signal| !ignored(*signal))
            .collect();
        let told = Arc::new(AtomicBool::new(false));
        for &signal in &heard {
            // In this order: the first signal finds the flag unset, and sets it for the second.
            flag::register_conditional_shutdown(signal, BY_SIGNAL + signal, Arc::clone(&told))?;
            flag::register(signal, Arc::clone(&told))?;
        }
        let mut signals = Signals::new(heard)?;
        let hear = move || {
            if let Some(signal) = signals.forever().next() {
                STOPPING.store(true, Ordering::SeqCst);
                let stopped = stop();
                if io::stderr().is_terminal() {
                    // Behind a bar, or what the terminal shows for Ctrl-C.
                    status(format_args!(""));
                }
                status(format_args!("concord: {}", said(name(signal), stopped)));
                std::process::exit(BY_SIGNAL + signal);
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(hear)
            .map(|_| ())
    }

    fn name(signal: i32) -> &'static str {
        match signal {
            SIGINT => "SIGINT",
            SIGHUP => "SIGHUP",
            _ => "SIGTERM",
        }
    }

    /// Which signals the process was started to ignore, as `nohup` does, and a shell for what it starts in the
    /// background. It goes on ignoring them.
    fn ignored() -> impl Fn(i32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let mask = mask.unwrap_or(0);
        move |signal| mask & (1 << (signal - 1)) != 0
    }

    fn said(signal: &str, Stopped { kept, mut left }: Stopped) -> String {
        let (worth, nothing): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| has_work(kept));
        left.extend(
            nothing
                .into_iter()
                .filter(|path| fs::remove_dir_all(path).is_err()),
        );
        let mut said = format!("stopped by {signal}");
        said.push_str(&match worth.is_empty() {
            true => "; what was unfinished is removed: run the same command again to begin anew"
                .to_owned(),
            false => format!(
                "; finished work is kept in {}: run the same command again to go on from it",
                listed(&worth)
            ),
        });
        if !left.is_empty() {
            said.push_str(&format!("; could not remove {}", listed(&left)));
        }
        said
    }

    /// Whether anything was noted as finished in a folder in which an index is built.
    fn has_work(folder: &Path) -> bool {
        let notes = fs::read_dir(folder.join("store").join("memory"));
        notes.is_ok_and(|mut notes| notes.next().is_some())
    }

    fn listed(paths: &[PathBuf]) -> String {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(", ")
    }
}
