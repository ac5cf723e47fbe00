//! Artifacts that are given instead of computed, and those that do not fit.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;

use concord_engine::build::Layout;
use concord_engine::native::NativeError;
use concord_engine::settings::IndexSettings;
use concord_engine::swap::{Misfit, Swap, SwapError};
use concord_index::format::Index;
use concord_pipeline::{
    ArtifactEvent, Capture, EvaluateError, MemoryStore, NoProgress, Observer, RunManifest,
    RunWriter, Value,
};
use concord_tensor::{DType, Tensor, npy, safetensors};

use engine::{built, engine, swap};
use golden::OLD;

/// A swap of an artifact for `tensor`.
fn given(artifact: &str, tensor: &Tensor) -> Swap {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.npy");
    npy::write(&path, tensor).unwrap();
    swap(artifact, &path)
}

fn with(swaps: Vec<Swap>) -> IndexSettings {
    IndexSettings {
        swaps,
        ..IndexSettings::default()
    }
}

/// What is wrong with `tensor` in the place of an artifact, before anything is computed.
fn misfit(artifact: &str, tensor: &Tensor) -> Misfit {
    let swap = given(artifact, tensor);
    let error = engine("native", with(vec![swap])).err();
    match error {
        Some(NativeError::Swap(SwapError::Misfit {
            artifact: named,
            problem,
        })) => {
            assert_eq!(named, artifact);
            problem
        }
        other => panic!("{artifact}: {other:?}"),
    }
}

/// What the evaluation with `tensor` in the place of an artifact fails with.
fn failure(artifact: &str, tensor: &Tensor) -> String {
    let native = engine("native", with(vec![given(artifact, tensor)])).unwrap();
    let store = MemoryStore::new();
    let result = native.evaluate(&store, None, &NoProgress, |_| Ok::<_, EvaluateError>(()));
    result.unwrap_err().to_string()
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::new(shape, vec![0.0f32; shape.iter().product()]).unwrap()
}

#[test]
fn a_shape_that_the_artifact_cannot_have_is_refused_with_the_one_it_has() {
    for (artifact, shape, needed) in [
        ("sampled_pids", &[3, 1][..], "any"),
        ("doclens", &[10], "120"),
        ("embs", &[2099, 16], "any, 32"),
        ("embs", &[2099], "any, 32"),
        ("local_sample_embs", &[2099, 16], "any, 32"),
        ("sample", &[1995, 16], "any, 32"),
        ("sample_heldout", &[104, 2, 16], "any, 32"),
        ("centroids", &[512, 16], "any, 32"),
        ("centroids", &[512], "any, 32"),
        ("bucket_cutoffs", &[300], "3"),
        ("bucket_weights", &[2], "4"),
        ("avg_residual", &[3], ""),
        ("codes", &[2099, 2], "any"),
        ("residuals", &[2099, 3], "any, 8"),
    ] {
        let tensor = match artifact {
            "sampled_pids" | "doclens" => zeros(shape).cast(DType::I64),
            "codes" => zeros(shape).cast(DType::I32),
            "residuals" => zeros(shape).cast(DType::U8),
            _ => Ok(zeros(shape)),
        };
        let expected = Misfit::Shape {
            found: shape.to_vec(),
            needed: needed.to_owned(),
        };
        assert_eq!(misfit(artifact, &tensor.unwrap()), expected, "{artifact}");
    }
}

#[test]
fn nothing_cannot_take_the_place_of_something() {
    for artifact in [
        "embs",
        "local_sample_embs",
        "sample",
        "sample_heldout",
        "centroids",
    ] {
        assert_eq!(
            misfit(artifact, &zeros(&[0, 32])),
            Misfit::Empty,
            "{artifact}"
        );
    }
    assert_eq!(
        misfit("sampled_pids", &Tensor::vector(Vec::<i64>::new())),
        Misfit::Empty
    );
}

#[test]
fn sampled_passages_ascend_and_exist() {
    for (pids, row) in [
        (vec![0, 120], 1),
        (vec![-1], 0),
        (vec![5, 1], 1),
        (vec![2, 2], 1),
    ] {
        let expected = Misfit::Passage {
            row,
            pid: pids[row],
            passages: 120,
        };
        assert_eq!(misfit("sampled_pids", &Tensor::vector(pids)), expected);
    }
}

#[test]
fn a_passage_has_no_negative_and_no_gigantic_length() {
    for doclen in [-5, i64::MAX] {
        let mut doclens = vec![17i64; 120];
        doclens[3] = doclen;
        assert_eq!(
            misfit("doclens", &Tensor::vector(doclens)),
            Misfit::Doclen { pid: 3, doclen }
        );
    }
}

#[test]
fn lengths_and_rows_that_do_not_add_up_are_refused() {
    for doclen in [1i64, 17, 18] {
        let error = failure("doclens", &Tensor::vector(vec![doclen; 120]));
        let said = format!("passages 0 to 119 have {} embeddings", 120 * doclen);
        assert!(error.contains(&said) && error.contains("2099"), "{error}");
    }
    let error = failure("embs", &zeros(&[5, 32]));
    assert!(
        error.contains("`embs` given has 5 rows, and 2099 are needed"),
        "{error}"
    );
    let error = failure("codes", &Tensor::vector(vec![0i32; 7]));
    assert!(
        error.contains("`codes` given has 7 rows, and 2099 are needed"),
        "{error}"
    );
    let error = failure("codes", &Tensor::vector(vec![-1i32; 2099]));
    assert!(
        error.contains("passage 0 has code -1, but there are 512"),
        "{error}"
    );
    let error = failure("sample", &zeros(&[5, 32]));
    assert!(
        error.contains("512 centroids cannot be trained on 5 rows"),
        "{error}"
    );
}

#[test]
fn fewer_centroids_than_planned_make_an_index_that_says_how_many() {
    let centroids = OLD.array("centroids.npy").slice_rows(0..100).unwrap();
    let native = engine("native", with(vec![given("centroids", &centroids)])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    built(&native, Layout::default(), &out);
    let index = Index::open(&out).unwrap();
    assert_eq!(index.setting("num_partitions").unwrap(), 100);
}

#[test]
fn a_mean_residual_with_a_dimension_of_one_is_taken_as_a_scalar() {
    let scalar = given("avg_residual", &Tensor::scalar(0.05f32));
    let vector = given("avg_residual", &Tensor::vector(vec![0.05f32]));
    assert_eq!(vector.hash(), scalar.hash());
    engine("native", with(vec![vector])).unwrap();
}

#[test]
fn a_swap_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let read = |text: &str| Swap::read(text).unwrap_err();
    let error = read("centroids");
    assert!(matches!(error, SwapError::NotASwap(_)), "{error}");
    for artifact in ["ivf", "D", "centroid", ""] {
        let error = read(&format!("{artifact}=x.npy"));
        assert!(
            matches!(&error, SwapError::NotSwappable(name) if name == artifact),
            "{error}"
        );
        assert!(error.to_string().contains("bucket_cutoffs"), "{error}");
    }
    let error = read(&format!("doclens={}", path("a.json", "[1, 2")));
    assert!(matches!(error, SwapError::Json { .. }), "{error}");
    let error = read("doclens=nowhere.json");
    assert!(matches!(error, SwapError::Json { .. }), "{error}");
    for name in [
        "centroids=nowhere.npy".to_owned(),
        format!("centroids={}", path("b.npy", "no numbers")),
    ] {
        let error = read(&name);
        assert!(matches!(error, SwapError::File(_)), "{error}");
    }
    let error = read(&format!("embs={}", OLD.path("index").display()));
    assert!(
        matches!(&error, SwapError::NotThere { artifact, .. } if artifact == "embs"),
        "{error}"
    );
}

#[test]
fn of_a_file_with_several_tensors_one_must_have_the_artifacts_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("several.safetensors");
    let tensors = [("a", 32), ("b", 16)].map(|(name, width)| (name.to_owned(), zeros(&[2, width])));
    safetensors::write(&path, &tensors).unwrap();
    let text = format!("centroids={}", path.display());
    assert!(matches!(Swap::read(&text), Err(SwapError::NotThere { .. })));
    let named = [
        ("a".to_owned(), zeros(&[2, 16])),
        ("centroids".to_owned(), zeros(&[2, 32])),
    ];
    safetensors::write(&path, &named).unwrap();
    assert_eq!(Swap::read(&text).unwrap().hash(), zeros(&[2, 32]).hash());
}

#[test]
fn a_value_of_a_run_in_which_a_bit_was_flipped_is_not_swapped_in() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let capture = Capture {
        artifact_values: true,
        ..Capture::default()
    };
    let writer = RunWriter::create(&out, capture).unwrap();
    let value = Value::from(zeros(&[3, 32]));
    let event = ArtifactEvent {
        artifact: "embs".to_owned(),
        chunk: 0,
        made_from: None,
        record: value.record(),
    };
    writer.artifact(&event, Some(&value)).unwrap();
    let manifest = RunManifest::new("toy".into(), None, Default::default(), Default::default());
    writer.finish(&manifest).unwrap();
    Swap::of("embs", &out).unwrap();
    let digits = value.record().hash.to_string().replace("sha256:", "");
    let blob = out
        .join("blobs")
        .join(&digits[..2])
        .join(digits + ".safetensors");
    let mut bytes = fs::read(&blob).unwrap();
    for place in [2, 60, 150, bytes.len() - 1] {
        bytes[place] ^= 1;
        fs::write(&blob, &bytes).unwrap();
        let error = Swap::of("embs", &out).err().unwrap();
        assert!(matches!(error, SwapError::Store(_)), "{place}: {error:?}");
        assert!(error.to_string().contains(".safetensors"), "{error}");
        bytes[place] ^= 1;
    }
}
