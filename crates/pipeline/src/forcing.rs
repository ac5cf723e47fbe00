//! Teacher forcing: giving the modules of one run what another run's modules computed.
//!
//! To find every module at which engine B departs from A, B runs with each module's output replaced, once
//! it is recorded, by what A computed there. Every module of B then sees A's inputs, so whatever differs in
//! B's taps differs because of that module alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use concord_tensor::{BitHash, Tensor};

use crate::pattern::ModulePattern;
use crate::replacements::{ForcingError, Replacements};
use crate::run::record::TapRecord;
use crate::run::recorded::RecordedRun;
use crate::store_error::StoreError;
use crate::stored_tensor::StoredTensor;
use crate::tap::TapRows;

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
    open: Mutex<HashMap<BitHash, StoredTensor>>,
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

    fn kept(&self, path: &str, pid: usize) -> Option<&Kept<'a>> {
        self.kept.get(path)?.get(&pid)
    }

    fn source(&self, blob: BitHash) -> Result<StoredTensor, ForcingError> {
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
    fn has(&self, path: &str, pid: usize) -> bool {
        self.kept(path, pid).is_some()
    }

    fn rows(&self, path: &str, pid: usize) -> Result<Option<Tensor>, ForcingError> {
        let Some(kept) = self.kept(path, pid) else {
            return Ok(None);
        };
        let source = self.source(kept.blob)?;
        let (tokens, width) = (kept.rows.tokens, kept.record.width);
        let range = kept.first..kept.first.saturating_add(tokens);
        match source.rows(range, width, kept.rows.hash) {
            Ok(rows) => Ok(Some(rows)),
            Err(StoreError::Damaged { .. }) => Err(ForcingError::Damaged {
                path: path.to_owned(),
                pid,
                blob: source.path().display().to_string(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}
