//! No index is built of numbers that are not finite.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::build::{BuildError, Layout, build};
use concord_engine::finite::{NotFinite, Place};
use concord_engine::native::Native;
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_engine::swap::Swap;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_pipeline::{EvaluateError, MemoryStore, NoProgress};
use concord_tensor::{Tensor, npy, safetensors};

use engine::{engine, engine_over, options, swap};
use golden::input;

fn refused(native: &Native, out: &Path) -> NotFinite {
    let built = build(
        native,
        Layout::default(),
        &Origin::default(),
        out,
        &NoProgress,
    );
    assert!(!out.exists(), "nothing is left of what is refused");
    match built.unwrap_err() {
        BuildError::NotFinite(found) => *found,
        other => panic!("{other}"),
    }
}

fn given(folder: &Path, artifact: &str, tensor: &Tensor) -> Swap {
    let path = folder.join("given.npy");
    npy::write(&path, tensor).unwrap();
    swap(artifact, &path)
}

fn with(swap: Swap) -> IndexSettings {
    IndexSettings {
        swaps: vec![swap],
        ..IndexSettings::default()
    }
}

#[test]
fn what_is_given_has_to_be_finite_to_be_built_of() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    for (artifact, shape, at, index) in [
        ("centroids", &[512, 32][..], 33, vec![1, 1]),
        ("sample", &[1995, 32], 31, vec![0, 31]),
        ("bucket_cutoffs", &[3], 2, vec![2]),
        ("avg_residual", &[], 0, vec![]),
        ("embs", &[2099, 32], 64, vec![2, 0]),
    ] {
        for value in [f32::NAN, f32::INFINITY] {
            let mut values = vec![0.5f32; shape.iter().product()];
            values[at] = value;
            let tensor = Tensor::new(shape, values).unwrap();
            let swap = given(folder.path(), artifact, &tensor);
            let found = refused(&engine("native", with(swap)).unwrap(), &out);
            let artifact = artifact.to_owned();
            let index = index.clone();
            assert_eq!(found.place, Place::Element { artifact, index }, "{found}");
        }
    }
    // A number that is infinite in the dtype that the artifact has.
    let tensor = Tensor::new([2099, 32], vec![1e6f32; 2099 * 32]).unwrap();
    let swap = given(folder.path(), "embs", &tensor);
    refused(&engine("native", with(swap)).unwrap(), &out);
}

#[test]
fn a_run_may_hold_what_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = Tensor::new([3], vec![0.0, f32::NAN, 1.0]).unwrap();
    let swap = given(folder.path(), "bucket_cutoffs", &tensor);
    let native = engine("native", with(swap)).unwrap();
    let store = MemoryStore::new();
    native
        .evaluate(&store, None, &NoProgress, |_| Ok::<_, EvaluateError>(()))
        .unwrap();
}

/// The golden checkpoint with the row of one token in the word table changed by `change`.
fn spoiled(folder: &Path, id: usize, change: impl Fn(&mut f32)) -> Checkpoint {
    let checkpoint = engine::checkpoint();
    for file in fs::read_dir(input("checkpoint")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let _ = fs::remove_file(folder.join("pytorch_model.bin"));
    let weights: Vec<(String, Tensor)> = checkpoint
        .weights()
        .iter()
        .map(|(name, tensor)| {
            let mut tensor = tensor.clone();
            if name == "bert.embeddings.word_embeddings.weight" {
                let mut values = tensor.as_slice::<f32>().unwrap().to_vec();
                let width = tensor.row_len();
                values[id * width..][..width].iter_mut().for_each(&change);
                tensor = Tensor::new(tensor.shape(), values).unwrap();
            }
            (name.to_owned(), tensor)
        })
        .collect();
    safetensors::write(folder.join("model.safetensors"), &weights).unwrap();
    Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

#[test]
fn an_embedding_that_comes_out_as_no_number_is_named_with_passage_and_token() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    fs::create_dir(&checkpoint).unwrap();
    let pieces = engine::checkpoint();
    let pieces = pieces.word_pieces();
    // Which word is spoiled is asked of the collection itself: one that stands in the third passage and not before.
    let collection = engine::collection();
    let ids = |pid: u32| pieces.raw(collection.text(pid).unwrap()).unwrap();
    let known = [ids(0), ids(1)].concat();
    let id = *ids(2).iter().find(|id| !known.contains(id)).unwrap();
    // Values that are finite, and whose mean in the layer normalisation is not.
    let checkpoint = spoiled(&checkpoint, id as usize, |value| *value = f32::MAX);
    let native = Native::new(
        Arc::new(checkpoint),
        Arc::new(engine::collection()),
        options("native"),
        IndexSettings::default(),
    );
    let found = refused(&native.unwrap(), &folder.path().join("index"));
    assert_eq!(found.artifact, "embs");
    let Place::Token { pid, token, .. } = &found.place else {
        panic!("{found}");
    };
    // Attention carries it on to every token of the passage, so the first is the first kept.
    assert_eq!((*pid, token.is_some()), (2, true), "{found}");
}

#[test]
fn a_finite_build_has_the_bits_that_an_unwatched_evaluation_has() {
    let folder = tempfile::tempdir().unwrap();
    let few = engine::collection();
    let few = Collection::from_passages((0..40).map(|pid| few.text(pid).unwrap()));
    let native = engine_over(few, "native", IndexSettings::default()).unwrap();
    let report = engine::built(&native, Layout::default(), &folder.path().join("index"));
    let store = MemoryStore::new();
    let artifacts = native.evaluate(&store, None, &NoProgress, |evaluator| {
        evaluator.known_artifacts()
    });
    assert_eq!(report.manifest.artifacts, artifacts.unwrap());
}
