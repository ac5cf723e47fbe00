//! What the folders of the targets are before the fuzzer alters them.

use std::num::NonZeroUsize;
use std::path::Path;

use concord::{Builder, Checkpoint};
use concord_pipeline::{
    ArtifactEvent, Capture, ModulePattern, Observer, RunManifest, RunWriter, Tap, TapSink,
    TappedPassage, Value,
};
use concord_tensor::{Durability, Tensor};

use crate::folder::golden;

const PASSAGES: [&str; 6] = [
    "Rain falls on the river.",
    "A stone bridge over the harbour.",
    "The garden in the early morning",
    "",
    "snow",
    "The teacher finds a letter on the market.",
];

/// A small index, built with the golden checkpoint.
///
/// # Panics
/// When it cannot be built.
pub fn build_index(out: &Path) {
    let checkpoint = Checkpoint::load(golden("checkpoint")).expect("the checkpoint is there");
    Builder::new(&checkpoint)
        .nbits(2)
        .kmeans_niters(1)
        .threads(NonZeroUsize::MIN)
        .build_passages(PASSAGES, out)
        .expect("the index can be built");
}

/// A small run: artifacts in one and in two chunks, of one tensor and of several, and taps.
///
/// # Panics
/// When it cannot be written.
pub fn record_run(out: &Path) {
    let capture = Capture {
        artifact_values: true,
        taps: vec![ModulePattern::new("*")],
        tap_values: true,
        passages: None,
        durability: Durability::Scratch,
    };
    let run = RunWriter::create(out, capture).expect("the run can be made");
    let halves = vec![0.5f32, -1.0, 0.0, f32::MIN_POSITIVE, 3.0, 1e9];
    let rows = Tensor::vector(halves.clone());
    let chunks = [
        ("num_passages", 0, Value::from(Tensor::scalar(3i64))),
        ("doclens", 0, Value::from(Tensor::vector(vec![2i64, 1]))),
        ("doclens", 1, Value::from(Tensor::vector(vec![3i64]))),
        ("bucket_cutoffs", 0, Value::from(rows.clone())),
        (
            "tensorize_output",
            0,
            Value::of_fields([
                ("ids", Tensor::vector(vec![101i64, 1, 102])),
                ("lengths", Tensor::vector(vec![3i64])),
            ]),
        ),
    ];
    for (artifact, chunk, value) in chunks {
        let event = ArtifactEvent {
            artifact: artifact.to_owned(),
            chunk,
            made_from: None,
            record: value.record(),
        };
        run.artifact(&event, Some(&value)).expect("it can be kept");
    }
    for path in ["bert.embeddings", "linear"] {
        let passages = [(0, 1), (1, 2)].map(|(pid, tokens)| TappedPassage { pid, tokens });
        let rows = Tensor::new([3, 2], halves.clone()).expect("six elements");
        let tap = Tap::of(path, 0, &passages, rows).expect("a row for each token");
        TapSink::tap(&run, tap).expect("it can be kept");
    }
    let options = [("nbits".to_owned(), 2.into())].into();
    let manifest = RunManifest::new("native".to_owned(), Some(2), [].into(), options);
    run.finish(&manifest).expect("the run can be published");
}
