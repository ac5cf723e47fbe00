//! The log of a build: what changes from run to run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use concord_index::verify::LOG;
use concord_pipeline::{Progress, READ};
use concord_tensor::OpenFolder;
use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// The bytes that are read of a log; one has two thousand.
const MAX_LOG: u64 = 1 << 20;

/// The log of a build: what changes from run to run, and is no part of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildLog {
    pub origin: Origin,
    /// When the build began, in seconds since 1970.
    pub started: u64,
    /// How long the last process took, in seconds.
    pub seconds: f64,
    pub threads: usize,
    /// Per stage: chunks computed by the last process, and chunks found finished. Under `read` stands how long it took to
    /// read given embeddings, passages, and values out of the store.
    pub stages: BTreeMap<String, StageLog>,
}

/// What became of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageLog {
    /// Chunks that the last process computed.
    pub computed: usize,
    /// Chunks that an earlier process had finished.
    pub reused: usize,
    /// When the last chunk was there, in seconds after the beginning.
    pub done_after: f64,
    /// How long it took by itself, without computing or reading what it is made from: computing, hashing and storing,
    /// in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// What the stage measured of its work: the mean over all that it did.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub means: BTreeMap<String, Mean>,
}

/// Something that a stage counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Of how many.
    pub of: u64,
}

impl Mean {
    /// With `sum` over `count` more.
    fn add(&mut self, sum: u64, count: u64) {
        let of = self.of + count;
        if of > 0 {
            self.mean += (sum as f64 - self.mean * count as f64) / of as f64;
        }
        self.of = of;
    }
}

impl BuildLog {
    /// The log of the index in `folder`, if it has one that can be read.
    pub fn read(folder: &Path) -> Option<BuildLog> {
        BuildLog::of(&OpenFolder::open(folder).ok()?)
    }

    /// [`BuildLog::read`] from a folder that is open.
    pub fn of(folder: &OpenFolder) -> Option<BuildLog> {
        serde_json::from_slice(&folder.read(LOG, MAX_LOG).ok()?).ok()
    }
}

/// Counts what each stage did, and passes everything on.
pub(crate) struct StageCounter<'a> {
    inner: &'a dyn Progress,
    begun: Instant,
    stages: Mutex<BTreeMap<String, StageLog>>,
}

impl<'a> StageCounter<'a> {
    /// For a build that began at `begun`, passing on to `inner`.
    pub(crate) fn new(inner: &'a dyn Progress, begun: Instant) -> StageCounter<'a> {
        StageCounter {
            inner,
            begun,
            stages: Mutex::default(),
        }
    }

    /// For a build that began at `begun` of something that took a while to read before.
    pub(crate) fn after_reading(
        inner: &'a dyn Progress,
        begun: Instant,
        took: Duration,
    ) -> StageCounter<'a> {
        let counter = StageCounter::new(inner, begun);
        if !took.is_zero() {
            counter.note(READ, |entry| entry.seconds += took.as_secs_f64());
        }
        counter
    }

    pub(crate) fn into_stages(self) -> BTreeMap<String, StageLog> {
        self.stages
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, stage: &str, note: impl FnOnce(&mut StageLog)) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        note(stages.entry(stage.to_owned()).or_default());
    }

    /// A chunk is there.
    fn done(&self, stage: &str, note: impl FnOnce(&mut StageLog)) {
        let after = self.begun.elapsed().as_secs_f64();
        self.note(stage, |entry| {
            note(entry);
            entry.done_after = after;
        });
    }
}

impl Progress for StageCounter<'_> {
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str) {
        self.inner.advanced(stage, done, total, unit);
    }

    fn reused(&self, stage: &str, chunk: usize) {
        self.done(stage, |entry| entry.reused += 1);
        self.inner.reused(stage, chunk);
    }

    fn computed(&self, stage: &str, chunk: usize) {
        self.done(stage, |entry| entry.computed += 1);
        self.inner.computed(stage, chunk);
    }

    fn took(&self, stage: &str, seconds: f64) {
        self.note(stage, |entry| entry.seconds += seconds);
        self.inner.took(stage, seconds);
    }

    fn measured(&self, stage: &str, what: &str, sum: u64, count: u64) {
        self.note(stage, |entry| {
            let mean = entry.means.entry(what.to_owned()).or_default();
            mean.add(sum, count);
        });
        self.inner.measured(stage, what, sum, count);
    }

    fn damaged(&self, path: &Path) {
        self.inner.damaged(path);
    }
}
