//! What the engine computes from the texts on, against what the reference computed.
//!
//! Two implementations that add in different orders cannot agree bit for bit; each test states how near
//! they come, and prints what it measured.

#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/engine/mod.rs"]
mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::{BTreeMap, BTreeSet};

use concord_corpus::Queries;
use concord_engine::settings::IndexSettings;
use concord_kernels::compute::Compute;
use concord_model::config::ColbertConfig;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::query::QueryEncoder;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, D, DOCLENS, EMBS, TENSORIZE_OUTPUT,
};
use concord_pipeline::{Capture, ModulePattern, NoProgress, RecordedRun};
use concord_subject::record::record;
use concord_tensor::{DType, Tensor, pt, safetensors};

use engine::{checkpoint, engine, evaluated, swap, tensor};
use golden::{NEW, VERSIONS, input, largest_difference};

/// How far a value of an embedding, of unit length, may be from the reference's.
const EMBEDDING_TOLERANCE: f32 = 1e-6;

/// How far an output inside the encoder may be from the reference's, relative to the largest value of the
/// same module: sums of up to 256 products, 24 bits each, through two layers.
const TAP_TOLERANCE: f32 = 1e-6;

/// How far a value of a centroid may be from the reference's where the means are the same and only the
/// squares under the norm were added in another order: one rounding.
const CENTROID_TOLERANCE: f32 = f32::EPSILON;

/// How far cutoffs, weights and the mean residual may be from the reference's, all below 0.1.
const BUCKET_TOLERANCE: f32 = 1e-7;

/// The passages whose taps were kept, both in one batch of `(2, 10)` tokens.
const TAPPED: [usize; 2] = [14, 23];

fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_slice().unwrap()
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}

#[test]
fn embeddings_are_those_of_the_reference_within_a_millionth() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let (embeddings, doclens) = evaluated(&native, |evaluator| {
        Ok((tensor(evaluator, D, "")?, tensor(evaluator, DOCLENS, "")?))
    });
    for golden in VERSIONS {
        let expected = golden.array("embs.npy");
        assert_eq!(embeddings.shape(), expected.shape());
        let difference = largest_difference(floats(&embeddings), floats(&expected));
        println!(
            "torch {}: D differs by at most {difference:e}",
            golden.torch
        );
        assert!(difference <= EMBEDDING_TOLERANCE, "{difference:e}");
        let expected: Vec<i64> = golden.json("index/doclens.0.json");
        assert_eq!(doclens.as_slice::<i64>().unwrap(), expected);
    }
}

#[test]
fn query_embeddings_are_those_of_the_reference_within_a_millionth() {
    let checkpoint = checkpoint();
    let config: ColbertConfig = checkpoint.colbert_config([]).unwrap();
    let encoder = QueryEncoder::new(
        &checkpoint,
        &config,
        &Numerics::default(),
        Precision::F32,
        &Compute::fastest(),
    )
    .unwrap();
    let queries = Queries::open(input("queries.tsv")).unwrap();
    let found: Vec<f32> = queries
        .iter()
        .flat_map(|query| encoder.encode(query.text).unwrap())
        .collect();
    for golden in VERSIONS {
        let expected = golden.array("query_embs.npy");
        let difference = largest_difference(&found, floats(&expected));
        println!(
            "torch {}: queries differ by at most {difference:e}",
            golden.torch
        );
        assert!(difference <= EMBEDDING_TOLERANCE, "{difference:e}");
    }
}

/// The taps that the reference left, by path, without the rows of padding.
fn reference_taps() -> BTreeMap<String, Tensor> {
    let mut taps: BTreeMap<String, Tensor> = safetensors::read(NEW.path("taps.safetensors"))
        .unwrap()
        .into_iter()
        .collect();
    let mask = taps.remove("attention_mask").unwrap();
    let tokens = mask.len();
    let real: Vec<usize> = (0..tokens)
        .filter(|&token| mask.as_slice::<i64>().unwrap()[token] == 1)
        .collect();
    for tap in taps.values_mut() {
        let rows = tap.reshape([tokens, tap.len() / tokens]).unwrap();
        let rows = real
            .iter()
            .map(|&token| rows.slice_rows(token..token + 1).unwrap());
        *tap = Tensor::concat_rows(&rows.collect::<Vec<_>>()).unwrap();
    }
    taps
}

/// The taps of the engine for the same passages, by path.
fn own_taps() -> BTreeMap<String, Tensor> {
    let native = engine("native", IndexSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let capture = Capture {
        artifact_values: false,
        taps: vec![ModulePattern::new("*")],
        tap_values: true,
        passages: Some(BTreeSet::from(TAPPED)),
        ..Capture::default()
    };
    record(&native, capture, &out, &NoProgress).unwrap();
    let run = RecordedRun::open(&out).unwrap();
    // Passages 14 and 23 may have landed in two batches.
    let mut parts: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
    for tap in run.taps() {
        let rows = run
            .tensor(tap.blob.unwrap())
            .unwrap()
            .unwrap()
            .read()
            .unwrap();
        let mut row = 0;
        for passage in &tap.passages {
            let own = rows.slice_rows(row..row + passage.tokens).unwrap();
            row += passage.tokens;
            let before = parts
                .entry(tap.tap.clone())
                .or_default()
                .insert(passage.pid, own);
            assert!(
                before.is_none(),
                "{} of passage {} twice",
                tap.tap,
                passage.pid
            );
        }
    }
    let whole = |parts: BTreeMap<usize, Tensor>| {
        let parts: Vec<Tensor> = parts.into_values().collect();
        Tensor::concat_rows(&parts).unwrap()
    };
    parts
        .into_iter()
        .map(|(path, parts)| (path, whole(parts)))
        .collect()
}

/// The last component of a module's path, with the layer's part before it.
fn kind(path: &str) -> &str {
    path.strip_prefix("bert.encoder.layer.")
        .and_then(|rest| rest.split_once('.'))
        .map_or(path, |(_, module)| module)
}

#[test]
fn every_module_computes_what_it_computes_in_the_reference() {
    let own = own_taps();
    let mut reference = reference_taps();
    reference.remove("input_ids");
    assert_eq!(reference.len(), 24, "the modules that the reference kept");
    let mut of_kind: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
    for (path, expected) in &reference {
        let (found, expected) = (floats(&own[path]), floats(expected));
        let (difference, scale) = (largest_difference(found, expected), largest(expected));
        assert!(
            difference <= TAP_TOLERANCE * scale,
            "{path}: differs by {difference:e} of {scale}"
        );
        let (most, relative) = of_kind.entry(kind(path)).or_default();
        *most = most.max(difference);
        *relative = relative.max(difference / scale);
    }
    for (kind, (difference, relative)) in of_kind {
        println!("{kind} differs by at most {difference:e}, {relative:e} of the largest");
    }
}

#[test]
fn the_taps_are_of_the_tokens_that_the_reference_saw() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let (ids, lengths) = evaluated(&native, |evaluator| {
        let field = |name| tensor(evaluator, TENSORIZE_OUTPUT, name);
        Ok((field("ids")?, field("lengths")?))
    });
    let (ids, lengths) = (
        ids.as_slice::<i64>().unwrap(),
        lengths.as_slice::<i64>().unwrap(),
    );
    let found: Vec<i64> = TAPPED
        .iter()
        .flat_map(|&pid| {
            let start = lengths[..pid].iter().sum::<i64>() as usize;
            &ids[start..start + lengths[pid] as usize]
        })
        .copied()
        .collect();
    let expected = &reference_taps()["input_ids"];
    assert_eq!(found, expected.as_slice::<i64>().unwrap());
}

/// How many rows of two matrices have the same bits.
fn equal_rows(a: &Tensor, b: &Tensor) -> usize {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    let row_bytes = a.bytes().len() / a.rows();
    let rows = |tensor: &Tensor| {
        tensor
            .bytes()
            .chunks_exact(row_bytes)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    rows(a).iter().zip(rows(b)).filter(|(a, b)| *a == b).count()
}

#[test]
fn kmeans_on_the_embeddings_of_the_reference_gives_its_centroids_to_the_last_rounding() {
    for golden in VERSIONS {
        let settings = IndexSettings {
            swaps: vec![
                swap(EMBS, &golden.path("embs.npy")),
                swap(DOCLENS, &golden.path("index/doclens.0.json")),
            ],
            ..IndexSettings::default()
        };
        let native = engine("native", settings).unwrap();
        let centroids = evaluated(&native, |evaluator| tensor(evaluator, CENTROIDS, ""));
        let expected = golden.array("centroids.npy");
        let difference = largest_difference(floats(&centroids), floats(&expected));
        println!(
            "torch {}: {} of {} centroids have the same bits, the others differ by at most {difference:e}",
            golden.torch,
            equal_rows(&centroids, &expected),
            centroids.rows()
        );
        assert!(difference <= CENTROID_TOLERANCE, "{difference:e}");
    }
}

#[test]
fn an_index_from_the_texts_has_nearly_all_centroids_of_the_reference() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let centroids = evaluated(&native, |evaluator| tensor(evaluator, CENTROIDS, ""));
    let centroids = centroids.cast(DType::F16).unwrap();
    for golden in VERSIONS {
        let expected = pt::read_tensor(golden.path("index/centroids.pt")).unwrap();
        let equal = equal_rows(&centroids, &expected);
        println!(
            "torch {}: {equal} of {} centroids have the same bits in f16",
            golden.torch,
            centroids.rows()
        );
        // A value within an ULP of f32 of the middle between two of f16 goes to either.
        assert!(equal >= 470, "{equal}");
        let [found, expected] = [&centroids, &expected].map(|t| t.cast(DType::F32).unwrap());
        let difference = largest_difference(floats(&found), floats(&expected));
        assert!(
            difference <= 2.0_f32.powi(-11),
            "one ULP of f16 below 1: {difference:e}"
        );
    }
}

#[test]
fn an_index_from_the_texts_has_the_buckets_of_the_reference() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let found = evaluated(&native, |evaluator| {
        [BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL]
            .into_iter()
            .map(|name| tensor(evaluator, name, ""))
            .collect::<Result<Vec<_>, _>>()
    });
    for golden in VERSIONS {
        let mut expected = pt::read_tensors(golden.path("index/buckets.pt")).unwrap();
        expected.push(pt::read_tensor(golden.path("index/avg_residual.pt")).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            let (found, expected) = (floats(found), floats(expected));
            println!("torch {}: {found:?} for {expected:?}", golden.torch);
            assert!(largest_difference(found, expected) <= BUCKET_TOLERANCE);
        }
    }
}
