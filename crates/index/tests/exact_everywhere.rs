//! An exact search finds what scoring every passage finds, one product after another, whatever the index is made of.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use concord_index::format::Index;
use concord_index::search::{Hit, PassageSet, Request, SearchOptions, Searcher};
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_kernels::linear::RUN;
use concord_kernels::maxsim::Floor;
use concord_tensor::Tensor;
use concord_tensor::pt::{self, PtValue};
use half::f16;
use proptest::prelude::*;
use serde_json::json;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    /// From −1 to 1.
    fn value(&mut self) -> f32 {
        self.bits() as f32 / (1u64 << 30) as f32 - 1.0
    }

    fn values(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.value() * size).collect()
    }
}

/// What is particular about an index.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ordinary,
    /// Few different embeddings, so that many passages score alike.
    Duplicates,
    /// Some centroids are zero, and so are some weights: there are embeddings of zeros.
    Zeros,
    Huge,
    Tiny,
    /// Centroids of sizes from 2^-20 to 2^12.
    AllSizes,
    /// All buckets have one weight.
    EqualBuckets,
    OneCentroid,
    /// A residual is about minus its centroid: what is left is nearly nothing.
    Cancelling,
}

#[derive(Clone, Debug)]
struct Made {
    kind: Kind,
    nbits: usize,
    /// Width in units of what fills whole bytes.
    width: usize,
    passages: usize,
    tokens: usize,
    seed: u64,
}

fn made() -> impl Strategy<Value = Made> {
    let kinds = prop_oneof![
        Just(Kind::Ordinary),
        Just(Kind::Duplicates),
        Just(Kind::Zeros),
        Just(Kind::Huge),
        Just(Kind::Tiny),
        Just(Kind::AllSizes),
        Just(Kind::EqualBuckets),
        Just(Kind::OneCentroid),
        Just(Kind::Cancelling),
    ];
    let nbits = prop_oneof![Just(1usize), Just(2), Just(4), Just(8)];
    (
        kinds,
        nbits,
        1usize..5,
        2usize..90,
        0usize..40,
        any::<u64>(),
    )
        .prop_map(|(kind, nbits, width, passages, tokens, seed)| Made {
            kind,
            nbits,
            width,
            passages,
            tokens,
            seed,
        })
}

fn tensor(values: Tensor) -> PtValue<Tensor> {
    PtValue::Tensor(values)
}

/// Writes an index and hands out a query for it.
fn write(folder: &Path, made: &Made) -> Vec<f32> {
    let mut random = Random(made.seed | 1);
    let nbits = made.nbits;
    let dim = (8 * nbits * made.width).max(16);
    let count = match made.kind {
        Kind::OneCentroid => 1,
        _ => 1 + random.below(12),
    };
    let size = match made.kind {
        Kind::Huge => 3e4,
        Kind::Tiny => 1e-4,
        _ => 0.3,
    };
    let mut centroids = random.values(count * dim, size);
    let mut weights = random.values(1 << nbits, size * 0.4);
    match made.kind {
        Kind::Zeros => {
            centroids[..dim].fill(0.0);
            weights[0] = 0.0;
        }
        Kind::AllSizes => {
            for centroid in centroids.chunks_exact_mut(dim) {
                let size = 2f32.powi(random.below(33) as i32 - 20);
                centroid.iter_mut().for_each(|value| *value *= size);
            }
        }
        Kind::EqualBuckets => weights.fill(0.01),
        Kind::Cancelling => {
            let weight = f16::from_f32(weights[0]).to_f32();
            weights[0] = weight;
            centroids.fill(-weight);
            weights[1..]
                .iter_mut()
                .for_each(|other| *other = weight * (1.0 + 1e-6));
        }
        _ => {}
    }
    // Passages of one and of three hundred tokens, and deleted ones.
    let lengths: Vec<usize> = (0..made.passages)
        .map(|_| match random.below(20) {
            0 => 300,
            1..4 => 0,
            4..7 => 1,
            _ => 1 + random.below(30),
        })
        .collect();
    let embeddings: usize = lengths.iter().sum();
    let bytes = dim / 8 * nbits;
    let mut codes: Vec<i32> = (0..embeddings)
        .map(|_| random.below(count) as i32)
        .collect();
    let mut residuals: Vec<u8> = (0..embeddings * bytes)
        .map(|_| random.bits() as u8)
        .collect();
    match made.kind {
        Kind::Duplicates => {
            for at in 0..embeddings {
                let of = random.below(embeddings.min(3));
                codes[at] = codes[of];
                residuals.copy_within(of * bytes..(of + 1) * bytes, at * bytes);
            }
        }
        Kind::Zeros | Kind::Cancelling => {
            for at in 0..embeddings {
                if random.below(3) == 0 {
                    residuals[at * bytes..(at + 1) * bytes].fill(0);
                }
            }
        }
        _ => {}
    }
    let halves: Vec<f16> = centroids
        .iter()
        .map(|&value| f16::from_f32(value))
        .collect();
    let write = |name: &str, value: &PtValue<Tensor>| pt::write(folder.join(name), value).unwrap();
    write(
        "centroids.pt",
        &tensor(Tensor::new(vec![count, dim], halves).unwrap()),
    );
    write("0.codes.pt", &tensor(Tensor::vector(codes.clone())));
    write(
        "0.residuals.pt",
        &tensor(Tensor::new(vec![embeddings, bytes], residuals).unwrap()),
    );
    let cutoffs: Vec<f32> = (1..1 << nbits).map(|at| at as f32).collect();
    let buckets = vec![
        tensor(Tensor::vector(cutoffs)),
        tensor(Tensor::vector(weights)),
    ];
    write("buckets.pt", &PtValue::Tuple(buckets));
    write("avg_residual.pt", &tensor(Tensor::scalar(0.1f32)));
    // Every centroid lists every passage: an exact search does not look there.
    let listed: Vec<i32> = (0..count).flat_map(|_| 0..made.passages as i32).collect();
    let listed = vec![
        tensor(Tensor::vector(listed)),
        tensor(Tensor::vector(vec![made.passages as i64; count])),
    ];
    write("ivf.pid.pt", &PtValue::Tuple(listed));
    let json = |name: &str, value: serde_json::Value| {
        fs::write(folder.join(name), value.to_string()).unwrap();
    };
    json("doclens.0.json", json!(lengths));
    json(
        "0.metadata.json",
        json!({"passage_offset": 0, "num_passages": lengths.len(), "num_embeddings": embeddings, "embedding_offset": 0}),
    );
    json(
        "metadata.json",
        json!({
            "config": {"dim": dim, "nbits": nbits}, "num_chunks": 1, "num_partitions": count,
            "num_embeddings": embeddings, "avg_doclen": 1.0
        }),
    );
    json("plan.json", json!({"num_chunks": 1}));
    let mut query = random.values(made.tokens * dim, 1.0);
    for (at, token) in query.chunks_exact_mut(dim).enumerate() {
        let size = match (at % 7, made.kind) {
            (0, Kind::AllSizes | Kind::Zeros) => 0.0,
            (1, Kind::AllSizes | Kind::Tiny) => 1e-33,
            (2, Kind::AllSizes | Kind::Huge) => 1e12,
            _ => 0.1,
        };
        token.iter_mut().for_each(|value| *value *= size);
    }
    query
}

/// MaxSim as the contract adds.
fn score(query: &[f32], passage: &[f32], dim: usize, floor: Floor) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (at, token) in query.chunks_exact(dim).enumerate() {
        let mut best = match floor {
            Floor::None => f32::NEG_INFINITY,
            Floor::Zero => 0.0,
        };
        for embedding in passage.chunks_exact(dim) {
            let runs = embedding.chunks(RUN).zip(token.chunks(RUN));
            let runs = runs.map(|(x, w)| {
                let terms = x.iter().zip(w);
                terms.fold(0.0f32, |sum, (x, w)| x.mul_add(*w, sum))
            });
            let product = runs.reduce(|total, sum| total + sum).unwrap();
            if product > best {
                best = product;
            }
        }
        lanes[at % 16] += best;
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

fn bits(hits: &[Hit]) -> Vec<(u32, u32)> {
    let bits = |hit: &Hit| (hit.pid, hit.score.to_bits());
    hits.iter().map(bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_best_of_any_index_are_found_to_the_bit(made in made()) {
        let folder = tempfile::tempdir().unwrap();
        let query = write(folder.path(), &made);
        let index = Arc::new(Index::open(folder.path()).unwrap());
        let dim = index.dim();
        let searcher = Searcher::new(Arc::clone(&index), &Compute::scalar());
        let pids = 0..index.passages() as u32;
        let passages: Vec<(u32, Vec<f32>)> = pids.map(|pid| (pid, searcher.embeddings(pid))).collect();
        let some: Vec<u32> = (0..made.passages as u32).filter(|pid| pid % 3 != 1).collect();
        let set = PassageSet::of(some.iter().copied(), made.passages).unwrap();
        let computes: Vec<Compute> = Compute::available()
            .iter()
            .flat_map(|compute| [1, 2, 3].map(|threads| {
                let options = ComputeOptions::default().with_threads(NonZeroUsize::new(threads));
                Compute::new(&options.with_isa(compute.isa_name()).unwrap()).unwrap()
            }))
            .collect();
        let searchers: Vec<Searcher> = computes.iter().map(|compute| Searcher::new(Arc::clone(&index), compute)).collect();
        for floor in [Floor::None, Floor::Zero] {
            for among in [None, Some(&set)] {
                let searched = passages.iter().filter(|(pid, passage)| {
                    !passage.is_empty() && among.is_none_or(|among| among.contains(*pid))
                });
                let mut every: Vec<Hit> = searched
                    .map(|(pid, passage)| Hit { pid: *pid, score: score(&query, passage, dim, floor) })
                    .collect();
                every.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.pid.cmp(&b.pid)));
                let all = every.len();
                for (compute, searcher) in computes.iter().zip(&searchers) {
                    for k in [0, 1, 2, 10, all / 2, all.saturating_sub(1), all, all + 9] {
                        let options = SearchOptions { floor, ..SearchOptions::default() };
                        let request = Request { k, options, exact: true, among };
                        let found = compute.install(|| searcher.answer(&query, 32, &request));
                        let best = &every[..k.min(all)];
                        prop_assert_eq!(bits(&found.hits), bits(best), "{}, k = {}", compute, k);
                        prop_assert_eq!(found.candidates, all);
                    }
                }
            }
        }
    }
}
