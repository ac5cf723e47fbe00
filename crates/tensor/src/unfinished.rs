//! What is begun and not finished, so that a process that is told to stop can put it away.
//!
//! A signal ends a process without running a destructor. Whoever makes something that is of no use unfinished, or
//! worth keeping, holds an [`Unfinished`] meanwhile; whoever hears the signal calls [`stop`]. It is one list of the
//! process because a signal is one of the process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something of this process that is not finished, until it is dropped.
#[derive(Debug)]
pub struct Unfinished(u64);

enum Thing {
    File(PathBuf),
    Folder(PathBuf),
    Kept(PathBuf),
    Running(Box<dyn Fn() + Send>),
}

/// What [`stop`] left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Folders with finished work that the same command goes on from.
    pub kept: Vec<PathBuf>,
    /// What was to be removed and could not be.
    pub left: Vec<PathBuf>,
}

struct Things {
    next: u64,
    begun: BTreeMap<u64, Thing>,
}

impl Things {
    fn add(&mut self, thing: Thing) -> u64 {
        let number = self.next;
        self.next += 1;
        self.begun.insert(number, thing);
        number
    }
}

static THINGS: Mutex<Things> = Mutex::new(Things {
    next: 0,
    begun: BTreeMap::new(),
});

fn things() -> MutexGuard<'static, Things> {
    THINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unfinished {
    fn begin(thing: Thing) -> Unfinished {
        Unfinished(things().add(thing))
    }

    /// A file that is of no use before it is finished.
    pub fn file(path: &Path) -> Unfinished {
        Unfinished::begin(Thing::File(path.to_owned()))
    }

    /// A folder that is of no use before it is finished, or afterwards.
    pub fn folder(path: &Path) -> Unfinished {
        Unfinished::begin(Thing::Folder(path.to_owned()))
    }

    /// The same of a folder that `make` makes: there is no moment at which it is there and unknown.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new_folder<T: AsRef<Path>, E>(
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Unfinished), E> {
        let mut things = things();
        let made = make()?;
        let number = things.add(Thing::Folder(made.as_ref().to_owned()));
        Ok((made, Unfinished(number)))
    }

    /// A folder with finished work in it, which `take` makes or takes up, likewise.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn kept<T, E>(
        path: &Path,
        take: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Unfinished), E> {
        let mut things = things();
        let taken = take()?;
        let number = things.add(Thing::Kept(path.to_owned()));
        Ok((taken, Unfinished(number)))
    }

    /// Something that writes as long as it runs, such as a child process. `end` ends it, and does not wait for long.
    pub fn running(end: impl Fn() + Send + 'static) -> Unfinished {
        Unfinished::begin(Thing::Running(Box::new(end)))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        things().begun.remove(&self.0);
    }
}

/// Ends what runs and removes what is of no use. The process has to end after it: what its threads begin from here
/// on waits.
pub fn stop() -> Stopped {
    let mut things = things();
    let begun = std::mem::take(&mut things.begun);
    let mut stopped = Stopped::default();
    for thing in begun.values() {
        if let Thing::Running(end) = thing {
            end();
        }
    }
    let mut folders = Vec::new();
    for thing in begun.into_values() {
        let (path, removed) = match thing {
            Thing::Running(_) => continue,
            Thing::Kept(path) => {
                stopped.kept.push(path);
                continue;
            }
            Thing::File(path) => {
                let removed = fs::remove_file(&path);
                (path, removed)
            }
            Thing::Folder(path) => {
                folders.push(path);
                continue;
            }
        };
        if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            stopped.left.push(path);
        }
    }
    stopped.left.extend(remove_folders(folders));
    // For good: who is to begin or to finish something waits for the end of the process.
    std::mem::forget(things);
    stopped
}

/// Removes folders into which other threads may still be writing, and returns those that are there after all.
///
/// A thread that was about to write into one makes it anew, once, before it waits: so a folder is gone when it was
/// seen to be gone for a while.
fn remove_folders(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    const LOOKS: usize = 200;
    const GONE_FOR: usize = 4;
    const PAUSE: Duration = Duration::from_millis(5);
    let mut gone_for = 0;
    for _ in 0..LOOKS {
        for path in &folders {
            // Whether it worked is seen below: a thread that still writes may be in the way.
            let _ = fs::remove_dir_all(path);
        }
        gone_for = match folders.iter().any(|path| path.exists()) {
            true => 0,
            false => gone_for + 1,
        };
        if gone_for == GONE_FOR {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    folders.retain(|path| path.exists());
    folders
}
