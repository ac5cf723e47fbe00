//! An embedding is the same in every batch, on every instruction set and with any number of threads, in each
//! precision of the contract, and near what double precision gives.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use concord_kernels::compute::Compute;
use concord_model::checkpoint::Checkpoint;
use concord_model::document::AnyEncoder;
use concord_model::encoder::{PackedRows, TapsOfBatch};
use concord_model::hub::HubOptions;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;

/// Tokens of the passages: one, few, and more than go through an operation at once.
const LENGTHS: [usize; 9] = [1, 7, 30, 2, 31, 33, 40, 3, 32];

fn checkpoint() -> Checkpoint {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    Checkpoint::load(golden.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

fn ids(checkpoint: &Checkpoint) -> Vec<u32> {
    let vocabulary = checkpoint.bert_config().vocab_size as u32;
    let tokens = LENGTHS.iter().sum::<usize>() as u32;
    (0..tokens).map(|at| at * 7919 % vocabulary).collect()
}

fn embeddings(encoder: &AnyEncoder, ids: &[u32], lengths: &[usize]) -> Vec<f32> {
    let rows = PackedRows {
        ids,
        lengths,
        attend: None,
        keep: None,
    };
    encoder.encode(&rows, &mut TapsOfBatch::none())
}

fn with_threads<T: Send>(threads: usize, compute: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(compute)
}

#[test]
fn every_precision_has_one_set_of_bits_and_is_near_the_truth() {
    let checkpoint = checkpoint();
    let ids = ids(&checkpoint);
    let build = |precision, compute: &Compute| {
        AnyEncoder::build(&checkpoint, &Numerics::default(), precision, compute).unwrap()
    };
    let truth = embeddings(&build(Precision::F64, &Compute::scalar()), &ids, &LENGTHS);
    for (precision, tolerance) in [
        (Precision::F32, 1e-6),
        (Precision::F16, 2e-3),
        (Precision::Bf16, 2e-2),
        (Precision::Int8, 1e-1),
    ] {
        let together = with_threads(1, || {
            embeddings(&build(precision, &Compute::fastest()), &ids, &LENGTHS)
        });
        let error = (together.iter().zip(&truth)).map(|(y, truth)| (y - truth).abs());
        let error = error.fold(0.0, f32::max);
        assert!(error > 0.0 && error < tolerance, "{precision}: {error:e}");
        for compute in &Compute::available() {
            let encoder = build(precision, compute);
            for threads in [1, 2, 3, 8] {
                let alone: Vec<f32> = with_threads(threads, || {
                    let mut first = 0;
                    let mut all = Vec::new();
                    for &length in &LENGTHS {
                        let own = &ids[first..first + length];
                        all.extend(embeddings(&encoder, own, &[length]));
                        first += length;
                    }
                    all
                });
                assert!(
                    alone == together,
                    "{precision} on {compute} with {threads} threads"
                );
            }
        }
    }
}
