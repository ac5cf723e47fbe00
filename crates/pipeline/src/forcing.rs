//! Teacher forcing: giving the modules of one run what another run's modules computed.
//!
//! To find every module at which engine B departs from A, B runs with each module's output replaced, once
//! it is recorded, by what A computed there. Every module of B then sees A's inputs, so whatever differs in
//! B's taps differs because of that module alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use concord_tensor::{BitHash, FileError, Tensor, TensorError, TensorSource};

use crate::observe::{Tap, TapSink};
use crate::pattern::ModulePattern;
use crate::run::{RecordedRun, TapRecord, TapRows};
use crate::stage::StageError;
use crate::store::StoreError;

/// What stands in the place of what modules compute.
pub trait Replacements: Send + Sync {
    /// The rows `(tokens, width)` that the passage `pid` has at the module at `path` from here on; `None`
    /// leaves what was computed.
    ///
    /// # Errors
    /// When there are such rows and they cannot be had.
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError>;
}

/// Why modules cannot be given what a run computed.
#[derive(Debug, thiserror::Error)]
pub enum ForcingError {
    /// The run has no values to give.
    #[error(
        "the run of `{0}` kept no values of taps, so no module can be given what it computed there: record \
         it with --taps '*' --keep taps"
    )]
    NoValues(String),
    /// A pattern at none of the modules whose values the run kept.
    #[error("the run of `{subject}` kept no values of taps at `{pattern}`")]
    NothingAt {
        /// The subject of the run.
        subject: String,
        /// The pattern.
        pattern: ModulePattern,
    },
    /// A blob cannot be opened.
    #[error(transparent)]
    Blob(#[from] StoreError),
    /// A blob cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A blob that was recorded is not there.
    #[error("the run no longer has the tensor {0}; was it changed meanwhile?")]
    Gone(BitHash),
    /// A blob does not hold what was recorded.
    #[error(
        "{blob} is damaged: the rows of passage {pid} at `{path}` are not those that were recorded"
    )]
    Damaged {
        /// The module.
        path: String,
        /// The passage.
        pid: usize,
        /// The file.
        blob: String,
    },
    /// Rows that do not go where they should.
    #[error(
        "passage {pid} has {tokens} rows of {width} values at `{path}`, and would be given rows of the shape \
         {found:?}: the two runs differ in their tokens or in the modules before it"
    )]
    Shape {
        /// The module.
        path: String,
        /// The passage.
        pid: usize,
        /// Its rows there.
        tokens: usize,
        /// The values of a row.
        width: usize,
        /// The shape of the replacement.
        found: Vec<usize>,
    },
    /// Rows that cannot be converted.
    #[error("the replacement of passage {pid} at `{path}`: {source}")]
    Tensor {
        /// The module.
        path: String,
        /// The passage.
        pid: usize,
        /// Why not.
        source: TensorError,
    },
}

/// The rows of one passage in a blob of a run.
#[derive(Clone, Copy)]
struct Kept<'a> {
    record: &'a TapRecord,
    blob: BitHash,
    rows: &'a TapRows,
    /// The first of them in the blob.
    first: usize,
}

/// What a recorded run computed at some of its modules, as [`Replacements`] for another.
///
/// Where the run tapped a passage at a module several times, the first time counts. Every passage's rows
/// are checked against their hash when they are read. They are read when they are asked for.
pub struct Forcing<'a> {
    run: &'a RecordedRun,
    modules: Vec<ModulePattern>,
    kept: HashMap<&'a str, HashMap<usize, Kept<'a>>>,
    open: Mutex<HashMap<BitHash, TensorSource>>,
}

/// How many blobs are open at a time. The passages of one batch are in one or in a few, and no more
/// batches are computed at once than there are threads.
const OPEN: usize = 64;

impl<'a> Forcing<'a> {
    /// What `run` computed at the modules that one of the patterns covers; at all whose values it kept, if
    /// there are no patterns.
    ///
    /// # Errors
    /// [`ForcingError::NoValues`] and [`ForcingError::NothingAt`].
    pub fn new(
        run: &'a RecordedRun,
        modules: Vec<ModulePattern>,
    ) -> Result<Forcing<'a>, ForcingError> {
        let subject = || run.manifest().subject.clone();
        let with_values = || run.taps().iter().filter(|tap| tap.blob.is_some());
        if with_values().next().is_none() {
            return Err(ForcingError::NoValues(subject()));
        }
        let at_nothing = |pattern: &&ModulePattern| !with_values().any(|t| pattern.covers(&t.tap));
        if let Some(pattern) = modules.iter().find(at_nothing) {
            return Err(ForcingError::NothingAt {
                subject: subject(),
                pattern: pattern.clone(),
            });
        }
        let mut kept = HashMap::<&str, HashMap<usize, Kept<'a>>>::new();
        for record in with_values() {
            let covered = |pattern: &ModulePattern| pattern.covers(&record.tap);
            if modules.is_empty() || modules.iter().any(covered) {
                add(kept.entry(&record.tap).or_default(), record);
            }
        }
        Ok(Forcing {
            run,
            modules,
            kept,
            open: Mutex::default(),
        })
    }

    /// The run that the values are from.
    pub fn run(&self) -> &'a RecordedRun {
        self.run
    }

    /// The patterns of the modules that are replaced; none stands for all whose values the run kept.
    pub fn modules(&self) -> &[ModulePattern] {
        &self.modules
    }

    fn source(&self, blob: BitHash) -> Result<TensorSource, ForcingError> {
        // A panic while holding the lock leaves a map that is whole all the same.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = open.get(&blob) {
            return Ok(source.clone());
        }
        let source = self.run.tensor(blob)?.ok_or(ForcingError::Gone(blob))?;
        if open.len() == OPEN {
            open.clear();
        }
        open.insert(blob, source.clone());
        Ok(source)
    }
}

fn add<'a>(module: &mut HashMap<usize, Kept<'a>>, record: &'a TapRecord) {
    let Some(blob) = record.blob else {
        return;
    };
    let mut first = 0usize;
    for rows in &record.passages {
        module.entry(rows.pid).or_insert(Kept {
            record,
            blob,
            rows,
            first,
        });
        first = first.saturating_add(rows.tokens);
    }
}

impl Replacements for Forcing<'_> {
    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        let Some(kept) = self.kept.get(path).and_then(|module| module.get(&pid)) else {
            return Ok(None);
        };
        let source = self.source(kept.blob)?;
        let (tokens, width) = (kept.rows.tokens, kept.record.width);
        let first = kept.first.saturating_mul(width);
        let elements =
            source.read_range(first..first.saturating_add(tokens.saturating_mul(width)))?;
        let rows = elements.reshape([tokens, width]).ok();
        match rows.filter(|rows| rows.hash() == kept.rows.hash) {
            Some(rows) => Ok(Some(rows)),
            None => Err(ForcingError::Damaged {
                path: path.to_owned(),
                pid,
                blob: source.path().display().to_string(),
            }),
        }
    }
}

/// A sink that records what another one wants, if there is another, while modules are given other outputs.
pub struct ForcedSink<'a> {
    recorder: Option<&'a dyn TapSink>,
    replacements: &'a dyn Replacements,
}

impl<'a> ForcedSink<'a> {
    /// Records to `recorder` and gives modules what `replacements` has.
    pub fn new(
        recorder: Option<&'a dyn TapSink>,
        replacements: &'a dyn Replacements,
    ) -> ForcedSink<'a> {
        ForcedSink {
            recorder,
            replacements,
        }
    }
}

impl TapSink for ForcedSink<'_> {
    fn wants_passage(&self, pid: usize) -> bool {
        self.recorder.is_some_and(|sink| sink.wants_passage(pid))
    }

    fn wants_path(&self, path: &str) -> bool {
        self.recorder.is_some_and(|sink| sink.wants_path(path))
    }

    fn tap(&self, tap: Tap) -> Result<(), StageError> {
        self.recorder.map_or(Ok(()), |sink| sink.tap(tap))
    }

    fn replacements(&self) -> Option<&dyn Replacements> {
        Some(self.replacements)
    }
}
