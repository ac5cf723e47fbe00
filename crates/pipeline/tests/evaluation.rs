//! What the evaluator promises, on a toy graph: words are doubled chunk by chunk, then summed.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use concord_pipeline::{
    ArtifactEvent, Call, Capture, DiskStore, EvaluateError, Evaluator, Field, Graph, Grid, Input,
    MANIFEST_VERSION, MemoryStore, Observer, Output, Progress, RecordedRun, RunError, RunManifest,
    RunWriter, Scope, Setting, Source, Stage, StageDeclaration, StageError, Store, Tap, TapSink,
    Value,
};
use concord_tensor::{BitHash, Tensor};

const PASSAGES: usize = 2500;

struct Numbers(i64);

impl Source for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }
    fn chunks(&self) -> usize {
        3
    }
    fn value(&self, chunk: usize) -> Result<Value, StageError> {
        Ok(Tensor::vector(vec![self.0, chunk as i64]).into())
    }
}

/// Doubles each chunk; transient, so that the sum has to get it in passing.
#[derive(Default, Clone)]
struct Double {
    runs: Arc<AtomicUsize>,
    drift: bool,
}

impl Stage for Double {
    fn declaration(&self) -> &'static StageDeclaration {
        const DECLARATION: StageDeclaration = StageDeclaration {
            inputs: &[Input::same_chunk(Field::only("numbers"))],
            outputs: &[Output::transient("doubled")],
            ..StageDeclaration::named("double", Scope::EachChunk)
        };
        &DECLARATION
    }
    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }
    fn has_taps(&self) -> bool {
        true
    }
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) as i64;
        let numbers = call.tensor("numbers")?;
        let drift = if self.drift { run } else { 0 };
        let doubled: Vec<i64> = numbers
            .as_slice::<i64>()?
            .iter()
            .map(|n| 2 * n + drift)
            .collect();
        if let Some(sink) = call.taps().filter(|sink| sink.wants_path("inside")) {
            let rows = Tensor::new(vec![2, 1], doubled.clone())?;
            sink.tap(Tap::of("inside", call.chunk(), &[], rows)?)?;
        }
        Ok(vec![Tensor::vector(doubled).into()])
    }
}

#[derive(Default, Clone)]
struct Sum {
    runs: Arc<AtomicUsize>,
    fail: bool,
}

impl Stage for Sum {
    fn declaration(&self) -> &'static StageDeclaration {
        const DECLARATION: StageDeclaration = StageDeclaration {
            inputs: &[Input::same_chunk(Field::only("doubled"))],
            outputs: &[Output::stored("sums")],
            ..StageDeclaration::named("sum", Scope::EachChunk)
        };
        &DECLARATION
    }
    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if self.fail && call.chunk() == 1 {
            return Err("the disk is on fire".into());
        }
        Ok(vec![
            Tensor::vector(vec![
                call.tensor("doubled")?
                    .as_slice::<i64>()?
                    .iter()
                    .sum::<i64>(),
            ])
            .into(),
        ])
    }
}

struct Total;

impl Stage for Total {
    fn declaration(&self) -> &'static StageDeclaration {
        const DECLARATION: StageDeclaration = StageDeclaration {
            inputs: &[Input::whole(Field::only("sums"))],
            outputs: &[Output::stored("total")],
            ..StageDeclaration::named("total", Scope::Once)
        };
        &DECLARATION
    }
    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let mut total = 0;
        for sums in call.chunks("sums")? {
            total += sums?.as_slice::<i64>()?[0];
        }
        Ok(vec![Tensor::scalar(total).into()])
    }
}

/// A swap: the sums of another run.
struct OtherSums;

impl Stage for OtherSums {
    fn declaration(&self) -> &'static StageDeclaration {
        const DECLARATION: StageDeclaration = StageDeclaration {
            inputs: &[],
            outputs: &[Output::stored("sums")],
            other_inputs: &["run"],
            ..StageDeclaration::named("swap sums", Scope::EachChunk)
        };
        &DECLARATION
    }
    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("run", "elsewhere")]
    }
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        Ok(vec![
            Tensor::vector(vec![10i64.pow(call.chunk() as u32)]).into(),
        ])
    }
}

struct Bench {
    double: Double,
    sum: Sum,
    graph: Graph,
}

fn bench(double: Double, sum: Sum) -> Bench {
    let graph = Graph::new()
        .with(double.clone())
        .with(sum.clone())
        .with(Total);
    Bench { double, sum, graph }
}

impl Bench {
    fn runs(&self) -> (usize, usize) {
        (
            self.double.runs.load(Ordering::Relaxed),
            self.sum.runs.load(Ordering::Relaxed),
        )
    }
}

fn total(evaluator: &Evaluator<'_>) -> Result<i64, EvaluateError> {
    let value = evaluator.load("total", 0)?;
    Ok(value.field("").unwrap().as_slice::<i64>().unwrap()[0])
}

#[test]
fn an_artifact_is_computed_from_what_it_is_made_of() {
    let bench = bench(Double::default(), Sum::default());
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    assert_eq!(total(&evaluator).unwrap(), 2 * (3 * 5 + 1 + 2));
    let names: Vec<String> = evaluator
        .known_artifacts()
        .unwrap()
        .into_iter()
        .map(|record| record.name)
        .collect();
    assert_eq!(names.len(), 4);
    assert_eq!(evaluator.artifact("sums").unwrap().chunks.len(), 3);
}

#[test]
fn what_the_store_holds_is_not_computed_again() {
    let bench = bench(Double::default(), Sum::default());
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = DiskStore::open(folder.path()).unwrap();
        let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
        assert_eq!(total(&evaluator).unwrap(), 36);
        assert_eq!(bench.runs(), (3, 3));
    }
    let store = DiskStore::open(folder.path()).unwrap();
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(6)], Grid::new(PASSAGES), &store);
    assert_eq!(total(&evaluator).unwrap(), 42);
    assert_eq!(bench.runs(), (6, 6), "other inputs are other work");
}

#[test]
fn work_after_a_failure_begins_where_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let failing = bench(
        Double::default(),
        Sum {
            fail: true,
            ..Sum::default()
        },
    );
    let evaluator = Evaluator::new(&failing.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    let error = total(&evaluator).unwrap_err().to_string();
    assert_eq!(error, "stage `sum`, chunk 1: the disk is on fire");
    let sound = bench(Double::default(), Sum::default());
    let evaluator = Evaluator::new(&sound.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    assert_eq!(total(&evaluator).unwrap(), 36);
    // Chunk 0 is whole. Of chunk 1 the transient part is known by hash alone and computed again.
    assert_eq!(sound.runs(), (2, 2));
}

#[test]
fn a_damaged_blob_is_made_again() {
    let bench = bench(Double::default(), Sum::default());
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path()).unwrap();
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    let sums = evaluator.artifact("sums").unwrap();
    for entry in std::fs::read_dir(folder.path().join("blobs")).unwrap() {
        for blob in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = blob.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    assert!(store.has(&sums.chunks[0]));
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    assert_eq!(total(&evaluator).unwrap(), 36);
}

#[test]
fn a_stage_that_is_not_pure_is_found_out() {
    let bench = bench(
        Double {
            drift: true,
            ..Double::default()
        },
        Sum::default(),
    );
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    evaluator.artifact("sums").unwrap();
    // Chunk 0 of `doubled` was passed on and dropped since; it has to be computed again.
    let error = evaluator.load("doubled", 0).unwrap_err();
    let EvaluateError::NotReproducible(found) = error else {
        panic!("{error}")
    };
    assert_eq!((found.artifact.as_str(), found.chunk), ("doubled", 0));
}

#[test]
fn a_swap_takes_the_place_of_what_is_computed() {
    let double = Double::default();
    let graph = Graph::new()
        .with(double.clone())
        .with(Sum::default())
        .with(Total)
        .swapped(OtherSums);
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&graph, &[&Numbers(5)], Grid::new(PASSAGES), &store);
    assert_eq!(total(&evaluator).unwrap(), 111);
    assert_eq!(
        double.runs.load(Ordering::Relaxed),
        0,
        "nobody asked for what the swap replaces"
    );
}

#[test]
fn an_unknown_artifact_is_an_error() {
    let graph = Graph::new().with(Total);
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&graph, &[], Grid::new(1), &store);
    assert!(
        matches!(evaluator.artifact("total"), Err(EvaluateError::UnknownArtifact(name)) if name == "sums")
    );
}

#[test]
fn progress_tells_what_was_computed_and_what_was_found() {
    #[derive(Default)]
    struct Counts(AtomicUsize, AtomicUsize);
    impl Progress for Counts {
        fn advanced(&self, _: &str, done: u64, total: u64, _: &str) {
            assert!(done <= total);
        }
        fn reused(&self, _: &str, _: usize) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn computed(&self, _: &str, _: usize) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let bench = bench(Double::default(), Sum::default());
    let store = MemoryStore::new();
    for expected in [(0, 7), (7, 0)] {
        let counts = Counts::default();
        let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store)
            .reporting_to(&counts);
        total(&evaluator).unwrap();
        assert_eq!((counts.0.into_inner(), counts.1.into_inner()), expected);
    }
}

#[test]
fn observers_hear_of_each_chunk_once_and_taps_are_taken_even_of_known_work() {
    #[derive(Default)]
    struct Listener {
        heard: Mutex<Vec<(String, usize)>>,
        taps: AtomicUsize,
    }
    impl Observer for Listener {
        fn wants_value(&self, _: &str) -> bool {
            true
        }
        fn artifact(&self, event: &ArtifactEvent, value: Option<&Value>) -> Result<(), StageError> {
            assert_eq!(value.unwrap().record(), event.record);
            self.heard
                .lock()
                .unwrap()
                .push((event.artifact.clone(), event.chunk));
            Ok(())
        }
        fn taps(&self) -> Option<&dyn TapSink> {
            Some(self)
        }
    }
    impl TapSink for Listener {
        fn wants_passage(&self, _: usize) -> bool {
            true
        }
        fn wants_path(&self, path: &str) -> bool {
            path == "inside"
        }
        fn wants_rows(&self) -> bool {
            true
        }
        fn tap(&self, _: Tap) -> Result<(), StageError> {
            self.taps.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    let bench = bench(Double::default(), Sum::default());
    let store = MemoryStore::new();
    for _ in 0..2 {
        let listener = Listener::default();
        let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store)
            .observed_by(&listener);
        total(&evaluator).unwrap();
        let mut heard = listener.heard.into_inner().unwrap();
        let count = heard.len();
        heard.sort();
        heard.dedup();
        assert_eq!((count, heard.len()), (10, 10));
        assert_eq!(listener.taps.into_inner(), 3);
    }
}

#[test]
fn a_recorded_run_reads_back_with_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let capture = Capture {
        artifact_values: true,
        taps: vec![],
        tap_values: false,
        passages: None,
        ..Capture::default()
    };
    let bench = bench(Double::default(), Sum::default());
    let writer = RunWriter::create(&out, capture).unwrap();
    let store = MemoryStore::new();
    let evaluator = Evaluator::new(&bench.graph, &[&Numbers(5)], Grid::new(PASSAGES), &store)
        .observed_by(&writer);
    let sums = evaluator.artifact("sums").unwrap();
    total(&evaluator).unwrap();
    writer
        .finish(&RunManifest::new(
            "toy".into(),
            None,
            Default::default(),
            Default::default(),
        ))
        .unwrap();
    let run = RecordedRun::open(&out).unwrap();
    assert_eq!(run.manifest().subject, "toy");
    assert_eq!(
        run.artifacts().iter().find(|a| a.name == "sums"),
        Some(&sums)
    );
    let tensor = run
        .tensor(sums.chunks[2].hash)
        .unwrap()
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(tensor.as_slice::<i64>().unwrap(), [14]);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no staging folder is left"
    );
    assert!(
        RunWriter::create(&out, Capture::default()).is_err(),
        "a run is not overwritten"
    );
}

/// Its hashes are of another kind, which must not pass for damage, let alone for a difference.
#[test]
fn a_run_of_version_1_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let inputs = [("collection".to_owned(), BitHash::of_bytes(b"passages"))];
    RunWriter::create(&out, Capture::default())
        .unwrap()
        .finish(&RunManifest::new(
            "toy".into(),
            None,
            inputs.into(),
            Default::default(),
        ))
        .unwrap();
    RecordedRun::open(&out).unwrap();
    let path = out.join("manifest.json");
    let current = std::fs::read_to_string(&path).unwrap();
    let old = current.replace("sha256:", "blake3:").replace(
        &format!("\"version\": {MANIFEST_VERSION}"),
        "\"version\": 1",
    );
    std::fs::write(&path, old).unwrap();
    let error = RecordedRun::open(&out).err().unwrap();
    assert!(
        matches!(&error, RunError::NotARun { found, version: 1, .. } if found == "run"),
        "{error}"
    );
}

#[test]
fn an_abandoned_recording_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(RunWriter::create(&folder.path().join("run"), Capture::default()).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
