//! Finding out what an artifact is: by looking it up, or by running the stage that makes it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use concord_tensor::BitHash;

use crate::artifact;
use crate::call::{Call, Inputs};
use crate::declaration::{Chunks, Field, Input, Keep, Reading, Scope};
use crate::evaluate_error::{EvaluateError, NotReproducible};
use crate::graph::Graph;
use crate::grid::Grid;
use crate::made_from::MadeFrom;
use crate::manifest::{ArtifactRecord, ChunkRecord, hash_in_order};
use crate::observe::{ArtifactEvent, Observer};
use crate::progress::{NoProgress, Progress};
use crate::read_error::ReadError;
use crate::setting::Setting;
use crate::source::Source;
use crate::stage::Stage;
use crate::stage_error::StageError;
use crate::store::Store;
use crate::tap::TapSink;
use crate::value::Value;

/// Under what name a [`Progress`] is told of the time that was spent reading sources, and values out of the store.
pub const READ: &str = "read";

/// What is known of a chunk.
#[derive(Clone)]
struct Known {
    record: ChunkRecord,
    made_from: Option<BitHash>,
}

/// Answers what the artifacts of a graph are, computing only what the store does not hold.
pub struct Evaluator<'a> {
    graph: &'a Graph,
    sources: &'a [&'a dyn Source],
    grid: Grid,
    store: &'a dyn Store,
    observer: Option<&'a dyn Observer>,
    progress: &'a dyn Progress,
    known: RefCell<BTreeMap<(String, usize), Known>>,
    /// The latest chunk of each transient artifact, for the stage that reads it next.
    passing: RefCell<HashMap<String, (usize, Value)>>,
    /// What the calls took that the call under way was waiting for, and what it read.
    waited: Cell<Duration>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator of `graph` over a collection cut by `grid`, remembering in `store`.
    pub fn new(
        graph: &'a Graph,
        sources: &'a [&'a dyn Source],
        grid: Grid,
        store: &'a dyn Store,
    ) -> Evaluator<'a> {
        Evaluator {
            graph,
            sources,
            grid,
            store,
            observer: None,
            progress: &NoProgress,
            known: RefCell::default(),
            passing: RefCell::default(),
            waited: Cell::default(),
        }
    }

    /// Tells `observer` about every chunk that becomes known.
    #[must_use]
    pub fn observed_by(mut self, observer: &'a dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Tells `progress` how far it is.
    #[must_use]
    pub fn reporting_to(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Everything about an artifact but its values.
    ///
    /// # Errors
    /// When it, or something it is made from, cannot be computed.
    pub fn artifact(&self, name: &str) -> Result<ArtifactRecord, EvaluateError> {
        let known: Vec<Known> = (0..self.chunks(name)?)
            .map(|chunk| self.known(name, chunk))
            .collect::<Result<_, _>>()?;
        let made_from: Vec<_> = known.iter().map(|k| k.made_from).collect();
        Ok(ArtifactRecord::new(
            name,
            known.into_iter().map(|k| k.record).collect(),
            &made_from,
        ))
    }

    /// The number of chunks of an artifact.
    ///
    /// # Errors
    /// When nothing makes it.
    pub fn chunks(&self, name: &str) -> Result<usize, EvaluateError> {
        if let Some(source) = self.source(name) {
            return Ok(source.chunks());
        }
        Ok(match self.producer(name)?.0.declaration().scope {
            Scope::EachChunk => self.grid.chunks(),
            Scope::Once => 1,
        })
    }

    /// The value of one chunk of an artifact.
    ///
    /// # Errors
    /// When it cannot be computed; and when it was computed before, is no longer at hand, and comes out
    /// different.
    pub fn load(&self, name: &str, chunk: usize) -> Result<Value, EvaluateError> {
        let known = self.known(name, chunk)?;
        if let Some((at, value)) = self.passing.borrow().get(name)
            && *at == chunk
        {
            return Ok(value.clone());
        }
        if let Some(source) = self.source(name) {
            return self.reading(|| self.read_source(source, chunk));
        }
        let stored = self.reading(|| self.store.get(&known.record))?;
        self.tell_of_damage();
        if let Some(value) = stored {
            return Ok(value);
        }
        // It was computed before, and whoever listens heard of it then.
        let (stage, output) = self.producer(name)?;
        let values = self.run(stage, chunk, known.made_from, None)?;
        Ok(values[output].clone())
    }

    /// Every artifact known so far whose chunks are all known, in the order of the graph.
    ///
    /// # Errors
    /// Never for artifacts of the graph; see [`Evaluator::chunks`].
    pub fn known_artifacts(&self) -> Result<Vec<ArtifactRecord>, EvaluateError> {
        let mut chunks_known: BTreeMap<String, usize> = BTreeMap::new();
        for (name, _) in self.known.borrow().keys() {
            *chunks_known.entry(name.clone()).or_default() += 1;
        }
        let mut complete = Vec::new();
        for (name, count) in chunks_known {
            if count == self.chunks(&name)? {
                complete.push(self.artifact(&name)?);
            }
        }
        complete.sort_by_key(|record| artifact::position(&record.name));
        Ok(complete)
    }

    fn source(&self, name: &str) -> Option<&'a dyn Source> {
        self.sources
            .iter()
            .copied()
            .find(|source| source.name() == name)
    }

    fn producer(&self, name: &str) -> Result<(&'a dyn Stage, usize), EvaluateError> {
        self.graph
            .producer(name)
            .ok_or_else(|| EvaluateError::UnknownArtifact(name.to_owned()))
    }

    /// Whether `stage` is the one that makes the artifact. It is not where a swap makes it instead: what
    /// the stage itself computes under that name is then nobody's input.
    fn makes(&self, stage: &dyn Stage, name: &str) -> Result<bool, EvaluateError> {
        let makes = self.producer(name)?.0.declaration().name;
        Ok(makes == stage.declaration().name)
    }

    fn read_source(&self, source: &dyn Source, chunk: usize) -> Result<Value, EvaluateError> {
        source
            .value(chunk)
            .map_err(|error| failed(source.name(), chunk, error))
    }

    /// Reads something, and tells what that took, which no stage took by itself.
    fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let value = read();
        let took = begun.elapsed();
        self.waited.set(self.waited.get() + took);
        self.progress.took(READ, took.as_secs_f64());
        value
    }

    fn known(&self, name: &str, chunk: usize) -> Result<Known, EvaluateError> {
        if let Some(known) = self.known.borrow().get(&(name.to_owned(), chunk)) {
            return Ok(known.clone());
        }
        if let Some(source) = self.source(name) {
            let (record, value) = match source.record(chunk) {
                Some(record) => (record, None),
                None => {
                    let value = self.reading(|| self.read_source(source, chunk))?;
                    (value.record(), Some(value))
                }
            };
            let known = Known {
                record,
                made_from: None,
            };
            self.learn(name, chunk, &known, value.as_ref())?;
            return Ok(known);
        }
        let (stage, output) = self.producer(name)?;
        let key = self.key(stage, chunk)?;
        let records = match self.remembered(stage, key)? {
            Some(records) => {
                for (output, record) in stage.declaration().outputs.iter().zip(&records) {
                    if self.makes(stage, output.name)? {
                        let known = Known {
                            record: record.clone(),
                            made_from: Some(key),
                        };
                        self.learn(output.name, chunk, &known, None)?;
                    }
                }
                self.progress.reused(stage.declaration().name, chunk);
                records
            }
            None => {
                let taps = self.observer.and_then(Observer::taps);
                let values = self.run(stage, chunk, Some(key), taps)?;
                self.progress.computed(stage.declaration().name, chunk);
                values.iter().map(Value::record).collect()
            }
        };
        if stage.declaration().scope == Scope::EachChunk {
            let done = self.grid.chunk(chunk).end as u64;
            self.progress.advanced(
                stage.declaration().name,
                done,
                self.grid.passages() as u64,
                "passages",
            );
        }
        Ok(Known {
            record: records[output].clone(),
            made_from: Some(key),
        })
    }

    fn tell_of_damage(&self) {
        for path in self.store.take_damaged() {
            self.progress.damaged(&path);
        }
    }

    /// The records of a stage's outputs, if they were made before from the same things and whatever has
    /// to be in the store still is.
    fn remembered(
        &self,
        stage: &dyn Stage,
        key: BitHash,
    ) -> Result<Option<Vec<ChunkRecord>>, EvaluateError> {
        let tapped = stage.has_taps() && self.observer.is_some_and(|o| o.taps().is_some());
        if tapped {
            return Ok(None);
        }
        let remembered = self.store.remembered(key)?;
        self.tell_of_damage();
        let Some(records) = remembered else {
            return Ok(None);
        };
        let whole = records.len() == stage.declaration().outputs.len()
            && stage
                .declaration()
                .outputs
                .iter()
                .zip(&records)
                .all(|(output, record)| output.keep == Keep::Transient || self.store.has(record));
        Ok(whole.then_some(records))
    }

    /// [`Evaluator::call`], and tells what it took by itself.
    fn run(
        &self,
        stage: &dyn Stage,
        chunk: usize,
        key: Option<BitHash>,
        taps: Option<&dyn TapSink>,
    ) -> Result<Vec<Value>, EvaluateError> {
        let (begun, waited) = (Instant::now(), self.waited.take());
        let values = self.call(stage, chunk, key, taps);
        let took = begun.elapsed();
        let own = took.saturating_sub(self.waited.replace(waited + took));
        self.progress
            .took(stage.declaration().name, own.as_secs_f64());
        values
    }

    /// Runs a stage, keeps what is to be kept, and learns what came out.
    fn call(
        &self,
        stage: &dyn Stage,
        chunk: usize,
        key: Option<BitHash>,
        taps: Option<&dyn TapSink>,
    ) -> Result<Vec<Value>, EvaluateError> {
        let call = Call {
            declaration: stage.declaration(),
            chunk,
            first_pid: self.grid.chunk(chunk).start,
            passages: self.grid.passages(),
            inputs: self,
            taps,
            progress: self.progress,
        };
        let values = stage
            .run(&call)
            .map_err(|error| failed(stage.declaration().name, chunk, error))?;
        if values.len() != stage.declaration().outputs.len() {
            return Err(EvaluateError::WrongOutputs {
                stage: stage.declaration().name.to_owned(),
                declared: stage.declaration().outputs.len(),
                returned: values.len(),
            });
        }
        let mut records = Vec::with_capacity(values.len());
        for (output, value) in stage.declaration().outputs.iter().zip(&values) {
            let record = value.record();
            match output.keep {
                Keep::Stored => self.store.put(&record, value)?,
                Keep::Transient if self.makes(stage, output.name)? => {
                    let mut passing = self.passing.borrow_mut();
                    passing.insert(output.name.to_owned(), (chunk, value.clone()));
                }
                Keep::Transient => {}
            }
            if self.makes(stage, output.name)? {
                let known = Known {
                    record: record.clone(),
                    made_from: key,
                };
                self.check_reproduced(stage, output.name, chunk, &known)?;
                self.learn(output.name, chunk, &known, Some(value))?;
            }
            records.push(record);
        }
        if let Some(key) = key {
            self.store.remember(key, &records)?;
        }
        Ok(values)
    }

    fn check_reproduced(
        &self,
        stage: &dyn Stage,
        name: &str,
        chunk: usize,
        now: &Known,
    ) -> Result<(), EvaluateError> {
        match self.known.borrow().get(&(name.to_owned(), chunk)) {
            Some(before) if before.record != now.record => {
                Err(EvaluateError::NotReproducible(Box::new(NotReproducible {
                    stage: stage.declaration().name.to_owned(),
                    artifact: name.to_owned(),
                    chunk,
                    before: before.record.hash,
                    now: now.record.hash,
                })))
            }
            _ => Ok(()),
        }
    }

    /// Notes what a chunk is, and tells the observer the first time.
    fn learn(
        &self,
        name: &str,
        chunk: usize,
        known: &Known,
        value: Option<&Value>,
    ) -> Result<(), EvaluateError> {
        let before = self
            .known
            .borrow_mut()
            .insert((name.to_owned(), chunk), known.clone());
        let (None, Some(observer)) = (before, self.observer) else {
            return Ok(());
        };
        let loaded = match value {
            None if observer.wants_value(name) => Some(self.load(name, chunk)?),
            _ => None,
        };
        let event = ArtifactEvent {
            artifact: name.to_owned(),
            chunk,
            made_from: known.made_from,
            record: known.record.clone(),
        };
        observer
            .artifact(&event, value.or(loaded.as_ref()))
            .map_err(|source| EvaluateError::Observer {
                artifact: name.to_owned(),
                chunk,
                source,
            })
    }

    /// The hash of everything that the outputs of a stage for one chunk depend on.
    fn key(&self, stage: &dyn Stage, chunk: usize) -> Result<BitHash, EvaluateError> {
        let (declaration, settings) = (stage.declaration(), stage.settings());
        let undeclared = |setting: &&Setting| !declaration.has_setting(setting.name);
        if let Some(setting) = settings.iter().find(undeclared) {
            return Err(EvaluateError::UndeclaredSetting {
                stage: declaration.name,
                setting: setting.name,
            });
        }
        let mut told_apart = declaration.scope == Scope::Once;
        let mut inputs = Vec::with_capacity(declaration.inputs.len());
        for &Input { field, chunks } in declaration.inputs {
            let hash = match (field.reading, chunks) {
                (Reading::Values, Chunks::Same) => {
                    told_apart = true;
                    hash_of(&self.known(field.artifact, chunk)?.record, field)?
                }
                (Reading::Rows, _) => {
                    let record = self.artifact(field.artifact)?;
                    let rows = record.rows(field.name).ok_or(ReadError::NoField(field))?;
                    BitHash::of_bytes(rows.to_string().as_bytes())
                }
                (Reading::Values, Chunks::Whole) => {
                    let chunks = self.artifact(field.artifact)?.chunks;
                    let hashes = chunks.iter().map(|chunk| hash_of(chunk, field));
                    hash_in_order(hashes.collect::<Result<Vec<_>, _>>()?.into_iter())
                }
            };
            inputs.push((field, hash));
        }
        let made_from = MadeFrom {
            stage: declaration.name,
            settings: &settings,
            inputs: &inputs,
            chunk: (!told_apart).then_some(chunk),
        };
        Ok(made_from.hash())
    }
}

fn hash_of(chunk: &ChunkRecord, field: Field) -> Result<BitHash, ReadError> {
    let mut fields = chunk.fields.iter();
    let found = fields.find(|found| found.name == field.name);
    Ok(found.ok_or(ReadError::NoField(field))?.hash)
}

impl Inputs for Evaluator<'_> {
    fn chunks(&self, name: &str) -> Result<usize, StageError> {
        Ok(Evaluator::chunks(self, name)?)
    }

    fn load(&self, name: &str, chunk: usize) -> Result<Value, StageError> {
        Ok(Evaluator::load(self, name, chunk)?)
    }
}

/// An error of a stage with its place; an error that only passed through the stage stays what it was.
fn failed(stage: &str, chunk: usize, error: StageError) -> EvaluateError {
    match error.downcast::<EvaluateError>() {
        Ok(inner) => *inner,
        Err(source) => EvaluateError::Stage {
            stage: stage.to_owned(),
            chunk,
            source,
        },
    }
}
