//! Exact scores of passages: their embeddings decompressed, and MaxSim.

use std::ops::Range;
use std::sync::Arc;

use concord_kernels::compute::Compute;
use concord_kernels::linear::PackedWeights;
use concord_kernels::maxsim::{Floor, Maxima};
use concord_kernels::residual::{BucketWeights, Coded, decompress};

use super::hit::Hit;
use super::spread::{Pool, each};
use crate::format::Index;

/// Embeddings that are decompressed before their products are taken: few enough to stay in a core's nearest cache.
const AT_ONCE: usize = 24;

/// Passages that one thread scores.
const PASSAGES_PER_PART: usize = 4;

/// An index with what its embeddings are made with.
pub(super) struct Scorer {
    pub(super) index: Arc<Index>,
    pub(super) compute: Compute,
    weights: BucketWeights,
    buffers: Pool<Buffers>,
}

/// What is reused from passage to passage.
#[derive(Default)]
struct Buffers {
    embeddings: Vec<f32>,
    norms: Vec<f32>,
    maxima: Maxima,
}

impl Scorer {
    pub(super) fn new(index: Arc<Index>, compute: &Compute) -> Scorer {
        Scorer {
            weights: BucketWeights::new(index.nbits, &index.bucket_weights),
            index,
            compute: compute.clone(),
            buffers: Pool::default(),
        }
    }

    /// What a passage's embeddings are made of.
    pub(super) fn coded(&self, pid: u32) -> Coded<'_> {
        let (codes, residuals) = self.index.coded(pid);
        self.of(codes, residuals)
    }

    /// What embeddings of these codes and residuals are made of.
    pub(super) fn of<'a>(&'a self, codes: &'a [i32], residuals: &'a [u8]) -> Coded<'a> {
        Coded {
            centroids: &self.index.centroids,
            width: self.index.dim,
            codes,
            residuals,
        }
    }

    /// Some of the embeddings.
    pub(super) fn part<'a>(&self, coded: Coded<'a>, part: Range<usize>) -> Coded<'a> {
        let bytes = self.index.residual_bytes();
        Coded {
            codes: &coded.codes[part.clone()],
            residuals: &coded.residuals[part.start * bytes..part.end * bytes],
            ..coded
        }
    }

    /// Writes embeddings, and what each was divided by.
    pub(super) fn decompress(&self, coded: Coded<'_>, out: &mut [f32], norms: &mut [f32]) {
        decompress(&self.compute, &self.weights, coded, out, norms);
    }

    /// The decompressed embeddings `(tokens, dim)` of a passage.
    pub(super) fn embeddings(&self, pid: u32) -> Vec<f32> {
        let coded = self.coded(pid);
        let mut embeddings = vec![0.0; coded.codes.len() * self.index.dim];
        let mut norms = vec![0.0; coded.codes.len()];
        self.decompress(coded, &mut embeddings, &mut norms);
        embeddings
    }

    /// The exact scores of passages, in the order of `pids`.
    pub(super) fn score(&self, query: &PackedWeights, pids: &[u32], floor: Floor) -> Vec<Hit> {
        let unscored = |&pid: &u32| Hit { pid, score: 0.0 };
        let mut hits: Vec<Hit> = pids.iter().map(unscored).collect();
        each(&self.compute, hits.chunks_mut(PASSAGES_PER_PART), |hits| {
            self.buffers.with(|buffers| {
                for hit in hits {
                    hit.score = self.score_one(query, hit.pid, floor, buffers);
                }
            });
        });
        hits
    }

    fn score_one(
        &self,
        query: &PackedWeights,
        pid: u32,
        floor: Floor,
        buffers: &mut Buffers,
    ) -> f32 {
        let Buffers {
            embeddings,
            norms,
            maxima,
        } = buffers;
        let (coded, dim) = (self.coded(pid), self.index.dim);
        let tokens = coded.codes.len();
        embeddings.resize(AT_ONCE * dim, 0.0);
        norms.resize(AT_ONCE, 0.0);
        maxima.restart(query, floor);
        for first in (0..tokens).step_by(AT_ONCE) {
            let part = first..tokens.min(first + AT_ONCE);
            let out = &mut embeddings[..part.len() * dim];
            let norms = &mut norms[..part.len()];
            self.decompress(self.part(coded, part), out, norms);
            maxima.take(&self.compute, query, out);
        }
        maxima.score()
    }
}
