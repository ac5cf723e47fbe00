//! Processes that change an index and are killed.
//!
//! A kill is to fall inside of the change: after the first byte beside the index, before the new one is in its place. So
//! the child stops by itself at one of the steps that it reports, or it is killed when so many files of the new index are
//! there, or after a part of the time that such changes were found to take.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use concord_engine::change::{add, compact, delete, merge};
use concord_index::format::Index;
use concord_index::verify::{LOG, verify};
use concord_pipeline::{Progress, Staging};
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::readers::ids_of;
use crate::world::{Passage, adding};

/// What a child is told: in which folder, what to do, and at which of the steps that it reports to stop.
const TOLD: [&str; 3] = [
    "CONCORD_TEST_INDEX",
    "CONCORD_TEST_CHANGE",
    "CONCORD_TEST_STOP",
];

/// What a child says when it stops.
const STOPPED: &str = "stopped at a step";

/// A change that a child makes.
#[derive(Debug, Serialize, Deserialize)]
pub enum Change {
    Add {
        passages: Vec<Passage>,
        replace: bool,
    },
    Delete(Vec<String>),
    Compact,
    /// With another index, into a third one.
    Merge(String, String),
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Change::Add { replace: false, .. } => "add",
            Change::Add { replace: true, .. } => "replace",
            Change::Delete(_) => "delete",
            Change::Compact => "compact",
            Change::Merge(..) => "merge",
        }
    }

    /// How many steps it reports at least.
    fn steps(&self) -> usize {
        match self {
            Change::Add { .. } => 12,
            _ => 1,
        }
    }

    /// Where the changed index will be.
    fn out<'a>(&'a self, index: &'a Path) -> &'a Path {
        match self {
            Change::Merge(_, out) => Path::new(out),
            _ => index,
        }
    }
}

/// When a kill came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing was beside the index yet.
    Before,
    /// Something was, and the index was the old one.
    Inside,
    /// The new one was in its place, and not everything cleared away.
    Published,
    /// All was done.
    After,
}

/// How a moment is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Step,
    Files,
    Time,
}

/// Kills processes, and counts when.
#[derive(Default)]
pub struct Kills {
    /// How long a change takes from the first byte beside the index on, by its name, as far as is known.
    takes: BTreeMap<&'static str, Duration>,
    pub counts: BTreeMap<(Way, Moment), usize>,
}

impl Kills {
    pub fn of(&self, moment: Moment) -> usize {
        let counts = self.counts.iter().filter(|((_, of), _)| *of == moment);
        counts.map(|(_, count)| count).sum()
    }

    /// Has another process change the index and kills it. Whoever reads it meanwhile finds one of the `states`, the
    /// passages before and after. Returns whether the change was made.
    pub fn kill(
        &mut self,
        random: &mut Random,
        index: &Path,
        change: &Change,
        states: [&[String]; 2],
    ) -> bool {
        let out = change.out(index);
        let staging = Staging::folder_for(out);
        let log = || fs::read(out.join(LOG)).ok();
        let before = log();
        let way = [Way::Step, Way::Step, Way::Files, Way::Time][random.below(4)];
        let stop = (way == Way::Step).then(|| random.below(change.steps()));
        let mut child = spawned(index, change, stop);
        match way {
            Way::Step => {
                let lines = BufReader::new(child.stdout.take().unwrap()).lines();
                let mut lines = lines.map_while(Result::ok);
                lines.find(|line| line.contains(STOPPED));
            }
            Way::Files => {
                let files = 1 + random.below(12);
                let folder = staging.join("index");
                let there = || fs::read_dir(&folder).map_or(0, Iterator::count) >= files;
                until(&mut child, there);
            }
            Way::Time => {
                until(&mut child, || staging.exists());
                let takes = self.takes.get(change.name()).copied();
                let takes = takes.unwrap_or(Duration::from_millis(20));
                let end = Instant::now() + takes * random.below(1000) as u32 / 1000;
                while Instant::now() < end {
                    // Others read it all the time, whole.
                    Index::open(index).unwrap();
                    let there = ids_of(index);
                    assert!(states.contains(&there.as_slice()), "{there:?}");
                }
            }
        }
        // On Unix it is a SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let made = log() != before;
        let moment = match (staging.exists(), made) {
            (false, false) => Moment::Before,
            (true, false) => Moment::Inside,
            (true, true) => Moment::Published,
            (false, true) => Moment::After,
        };
        if way == Way::Time {
            // So that kills come from the beginning of a change to its end, however fast the machine is.
            let takes = self
                .takes
                .entry(change.name())
                .or_insert(Duration::from_millis(20));
            *takes = match moment {
                Moment::Before | Moment::Inside => *takes * 21 / 20,
                Moment::Published | Moment::After => *takes * 4 / 5,
            };
        }
        *self.counts.entry((way, moment)).or_insert(0) += 1;
        assert_eq!(verify(index).unwrap(), []);
        made
    }
}

/// Has another process change the index and kills it where it stops at a step, inside of the change.
pub fn kill_inside(index: &Path, change: &Change, step: usize) {
    let log = || fs::read(index.join(LOG)).unwrap();
    let before = log();
    let mut child = spawned(index, change, Some(step));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.contains(STOPPED)), "it did not stop");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(Staging::folder_for(change.out(index)).exists());
    assert_eq!(log(), before);
}

/// Waits for something, or for the child to be done.
fn until(child: &mut Child, there: impl Fn() -> bool) {
    while !there() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(50));
    }
}

fn spawned(index: &Path, change: &Change, stop: Option<usize>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "process_that_is_killed"]);
    command
        .env(TOLD[0], index)
        .env(TOLD[1], serde_json::to_string(change).unwrap())
        .env(TOLD[2], stop.unwrap_or(usize::MAX).to_string());
    let (out, errors) = (Stdio::piped(), Stdio::null());
    command.stdout(out).stderr(errors).spawn().unwrap()
}

/// Does what it is told, if it is.
pub fn child() {
    let told: Result<Vec<String>, _> = TOLD.map(env::var).into_iter().collect();
    let Ok(told) = told else {
        return;
    };
    let index = Path::new(&told[0]);
    let progress = Stopping {
        at: told[2].parse().unwrap(),
        steps: AtomicUsize::new(0),
    };
    match serde_json::from_str(&told[1]).unwrap() {
        Change::Add { passages, replace } => add(index, &adding(&passages), replace, &progress),
        Change::Delete(ids) => delete(index, ids.iter().map(String::as_str), &progress),
        Change::Compact => compact(index, &progress),
        Change::Merge(other, out) => {
            merge(&[index.into(), other.into()], Path::new(&out), &progress)
        }
    }
    .unwrap();
}

/// Stops for good at a step.
struct Stopping {
    at: usize,
    steps: AtomicUsize,
}

impl Stopping {
    fn step(&self) {
        if self.steps.fetch_add(1, Ordering::Relaxed) == self.at {
            // Past what the test harness catches.
            let mut out = io::stdout().lock();
            out.write_all(format!("{STOPPED}\n").as_bytes()).unwrap();
            out.flush().unwrap();
            loop {
                thread::park();
            }
        }
    }
}

impl Progress for Stopping {
    fn advanced(&self, _: &str, _: u64, _: u64, _: &str) {
        self.step();
    }

    fn computed(&self, _: &str, _: usize) {
        self.step();
    }

    fn reused(&self, _: &str, _: usize) {
        self.step();
    }
}
