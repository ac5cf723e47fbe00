//! With the reference's embeddings and centroids in place of our own, the index is the reference's, bit
//! for bit.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use concord_engine::build::Layout;
use concord_engine::native::Native;
use concord_engine::settings::IndexSettings;
use concord_engine::swap::Swap;
use concord_index::format::{Index, IndexTensors};
use concord_index::plan::Plan;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, EMBS, IVF,
    IVF_LENGTHS, LOCAL_SAMPLE_EMBS, PLAN, RESIDUALS, SAMPLE, SAMPLE_HELDOUT, SAMPLED_PIDS,
};
use concord_tensor::{DType, Tensor, pt};
use serde::Deserialize;
use serde_json::Value as Json;

use engine::{built, engine, evaluated, swap, tensor};
use golden::{Golden, OLD, VERSIONS, sha256};

/// The layout of the reference.
const AS_REFERENCE: Layout = Layout {
    pad_ivf: true,
    absolute_paths: false,
};

/// The tensor files of an index in one chunk.
const TENSOR_FILES: [&str; 6] = [
    "0.codes.pt",
    "0.residuals.pt",
    "avg_residual.pt",
    "buckets.pt",
    "centroids.pt",
    "ivf.pid.pt",
];

/// What the reference's stages handed on.
#[derive(Deserialize)]
struct Build {
    sampled_pids: Vec<i64>,
    doclens: Vec<i64>,
    sample_rows: usize,
    heldout_rows: usize,
    sha256: BTreeMap<String, String>,
}

/// What the reference encoded.
fn encoded(golden: &Golden) -> Vec<Swap> {
    vec![
        swap(EMBS, &golden.path("embs.npy")),
        swap(DOCLENS, &golden.path("index/doclens.0.json")),
    ]
}

/// The engine from the reference's embeddings and centroids on.
fn behind_kmeans(golden: &Golden, nbits: Option<usize>) -> Native {
    let mut swaps = encoded(golden);
    swaps.push(swap(CENTROIDS, &golden.path("centroids.npy")));
    let settings = IndexSettings {
        nbits,
        swaps,
        ..IndexSettings::default()
    };
    engine("native", settings).unwrap()
}

fn assert_same_bits(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.dtype(), expected.dtype(), "{what}");
    assert_eq!(found.shape(), expected.shape(), "{what}");
    assert!(found.bytes() == expected.bytes(), "{what}: other bits");
}

/// The tensors of a file, in order.
fn tensors(path: &Path) -> Vec<Tensor> {
    pt::read_tensors(path).unwrap()
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_tensor_of_the_index_has_the_bits_of_the_reference() {
    for golden in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("index");
        built(&behind_kmeans(&golden, None), AS_REFERENCE, &out);
        for file in TENSOR_FILES {
            let (found, expected) = (out.join(file), golden.path("index").join(file));
            let (found, expected) = (tensors(&found), tensors(&expected));
            assert_eq!(found.len(), expected.len(), "{file}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_same_bits(found, expected, &format!("torch {}, {file}", golden.torch));
            }
        }
    }
}

#[test]
fn the_files_are_those_of_torch_1_13_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    built(&behind_kmeans(&OLD, None), AS_REFERENCE, &out);
    for file in TENSOR_FILES
        .into_iter()
        .chain(["doclens.0.json", "0.metadata.json"])
    {
        let (found, expected) = (out.join(file), OLD.path("index").join(file));
        assert!(
            fs::read(found).unwrap() == fs::read(expected).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn the_sizes_in_plan_and_metadata_are_those_of_the_reference() {
    for golden in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("index");
        built(&behind_kmeans(&golden, None), AS_REFERENCE, &out);
        for file in ["plan.json", "metadata.json"] {
            let (mut found, mut expected) = (
                json(&out.join(file)),
                json(&golden.path("index").join(file)),
            );
            let (found, expected) = (
                found.as_object_mut().unwrap(),
                expected.as_object_mut().unwrap(),
            );
            let (ours, theirs) = (
                found.remove("config").unwrap(),
                expected.remove("config").unwrap(),
            );
            assert_eq!(found, expected, "{file}");
            let keys = |config: &Json| -> Vec<String> {
                config.as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(keys(&ours), keys(&theirs), "{file}");
            for key in [
                "dim",
                "nbits",
                "doc_maxlen",
                "query_maxlen",
                "kmeans_niters",
                "index_bsize",
            ] {
                assert_eq!(ours[key], theirs[key], "{file}, {key}");
            }
        }
    }
}

#[test]
fn other_numbers_of_bits_give_the_buckets_and_residuals_of_the_reference() {
    for nbits in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("index");
        built(&behind_kmeans(&OLD, Some(nbits)), AS_REFERENCE, &out);
        let variant = OLD.path(&format!("index-nbits-{nbits}"));
        for (file, expected) in [
            ("buckets.pt", variant.join("buckets.pt")),
            ("0.residuals.pt", variant.join("0.residuals.pt")),
            ("0.codes.pt", OLD.path("index/0.codes.pt")),
        ] {
            let found = fs::read(out.join(file)).unwrap();
            assert!(found == fs::read(expected).unwrap(), "{nbits} bits, {file}");
        }
        Index::open(&out).unwrap();
    }
}

#[test]
fn the_inverted_file_of_several_chunks_is_that_of_the_reference() {
    let chunks = OLD.path("index-chunks-of-50");
    let swaps = [DOCLENS, CENTROIDS, CODES, RESIDUALS].map(|artifact| swap(artifact, &chunks));
    let settings = IndexSettings {
        swaps: swaps.into(),
        ..IndexSettings::default()
    };
    let native = engine("native", settings).unwrap();
    let (ivf, lengths) = evaluated(&native, |evaluator| {
        Ok((
            tensor(evaluator, IVF, "")?,
            tensor(evaluator, IVF_LENGTHS, "")?,
        ))
    });
    let expected = tensors(&chunks.join("ivf.pid.pt"));
    assert_same_bits(&lengths, &expected[1], "ivf_lengths");
    // What follows the listed passages in the file is padding.
    let listed = expected[0].slice_rows(0..ivf.rows()).unwrap();
    assert_same_bits(&ivf, &listed, "ivf");
    assert!(
        expected[0].as_slice::<i32>().unwrap()[ivf.rows()..]
            .iter()
            .all(|&pid| pid == 0)
    );
}

#[test]
fn sample_split_and_plan_are_those_of_the_reference() {
    for golden in VERSIONS {
        let expected: Build = golden.json("build.json");
        let plan_file = json(&golden.path("index/plan.json"));
        let settings = IndexSettings {
            swaps: encoded(&golden),
            ..IndexSettings::default()
        };
        let native = engine("native", settings).unwrap();
        evaluated(&native, |evaluator| {
            let pids = tensor(evaluator, SAMPLED_PIDS, "")?;
            assert_eq!(pids.as_slice::<i64>().unwrap(), expected.sampled_pids);
            let doclens = tensor(evaluator, DOCLENS, "")?;
            assert_eq!(doclens.as_slice::<i64>().unwrap(), expected.doclens);

            let sample_embs = tensor(evaluator, LOCAL_SAMPLE_EMBS, "")?;
            let reference = golden.array("embs.npy");
            assert_eq!(
                sha256(reference.bytes()),
                expected.sha256[LOCAL_SAMPLE_EMBS]
            );
            let rounded = reference.cast(DType::F16).unwrap();
            assert_same_bits(&sample_embs, &rounded, LOCAL_SAMPLE_EMBS);
            for (name, rows) in [
                (SAMPLE, expected.sample_rows),
                (SAMPLE_HELDOUT, expected.heldout_rows),
            ] {
                let part = tensor(evaluator, name, "")?;
                assert_eq!(part.rows(), rows, "{name}");
                assert_eq!(sha256(part.bytes()), expected.sha256[name], "{name}");
            }

            let plan = Plan::from_value(&evaluator.load(PLAN, 0)?).unwrap();
            assert_eq!(plan.num_partitions, plan.num_partitions_by_rule);
            assert_eq!(plan_file["num_partitions"], plan.num_partitions);
            assert_eq!(plan_file["num_embeddings_est"], plan.num_embeddings_est);
            assert_eq!(plan_file["avg_doclen_est"], plan.avg_doclen_est);
            Ok(())
        });
    }
}

#[test]
fn what_is_swapped_in_comes_out_of_an_index_of_the_reference_as_well() {
    let index = OLD.path("index");
    let artifacts = [
        DOCLENS,
        CENTROIDS,
        BUCKET_CUTOFFS,
        BUCKET_WEIGHTS,
        AVG_RESIDUAL,
        CODES,
        RESIDUALS,
    ];
    let settings = IndexSettings {
        swaps: artifacts.map(|artifact| swap(artifact, &index)).into(),
        ..IndexSettings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    built(&engine("native", settings).unwrap(), AS_REFERENCE, &out);
    for file in TENSOR_FILES {
        assert!(
            fs::read(out.join(file)).unwrap() == fs::read(index.join(file)).unwrap(),
            "{file}"
        );
    }
    assert_eq!(IndexTensors::open(&out).unwrap().chunks(), 1);
}
