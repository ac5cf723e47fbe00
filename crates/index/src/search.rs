//! Search in stages, as the reference does it: cells, two approximate filters, exact scores.
//!
//! 1. Each query token picks its nearest centroids; the passages listed under any of them are candidates.
//! 2. Candidates are scored by their centroids alone, looking only at centroids that come near enough to
//!    some query token; the best `ndocs` stay.
//! 3. They are scored by all their centroids; the best `ndocs / 4` stay.
//! 4. Their embeddings are decompressed and scored by MaxSim.
//!
//! Between equal approximate scores the larger pid stays, as in the reference's filter. Results are
//! ordered by score, and by pid where scores are equal, where the reference leaves the order open.

mod filter;

use std::sync::Arc;

use concord_kernels::compute::Compute;
use concord_kernels::linear::{PackedWeights, linear};
use concord_kernels::maxsim::{Floor, maxsim};
use concord_kernels::normalize::{Normalize, normalize};

use crate::codec::Unpacker;
use crate::format::Index;
use filter::{Scored, Tie, keep_best, passage_score};

/// What decides how much is searched. Unset values follow from `k` at every call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SearchOptions {
    /// Centroids that each query token picks.
    pub ncells: Option<usize>,
    /// How near a centroid must come to some query token to count in the first filter.
    pub centroid_score_threshold: Option<f32>,
    /// Candidates that the first filter keeps.
    pub ndocs: Option<usize>,
    /// Where the maximum over a passage's tokens starts; [`Floor::Zero`] is what the reference does on
    /// a CPU.
    pub floor: Floor,
}

/// [`SearchOptions`] with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchPlan {
    /// Centroids per query token.
    pub ncells: usize,
    /// The threshold of the first filter.
    pub centroid_score_threshold: f32,
    /// Candidates that the first filter keeps.
    pub ndocs: usize,
    /// Where maxima start.
    pub floor: Floor,
}

impl SearchOptions {
    /// The options for `k` results: what is unset is the reference's default for that `k`.
    pub fn for_k(&self, k: usize) -> SearchPlan {
        let (ncells, threshold, ndocs) = match k {
            0..=10 => (1, 0.5, 256),
            11..=100 => (2, 0.45, 1024),
            _ => (4, 0.4, k.saturating_mul(4).max(4096)),
        };
        SearchPlan {
            ncells: self.ncells.unwrap_or(ncells),
            centroid_score_threshold: self.centroid_score_threshold.unwrap_or(threshold),
            ndocs: self.ndocs.unwrap_or(ndocs),
            floor: self.floor,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub pid: u32,
    /// Its MaxSim score.
    pub score: f32,
}

/// What a search found, and how much it looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The best `k`, best first, by pid where scores are equal; fewer, if fewer were scored.
    pub hits: Vec<Hit>,
    /// Passages that are listed under the cells that were picked.
    pub candidates: usize,
    /// Those of them that the filters kept and that have an exact score.
    pub scored: usize,
    /// Whether a passage that was left out has the score of the last one.
    pub tied_with_left_out: bool,
}

/// What a token of a query contributes to the score of a passage, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenMatch {
    /// The passage's token that is nearest, among those with embeddings.
    pub token: usize,
    /// Their similarity; the score is the sum of these.
    pub similarity: f32,
}

/// Searches one index, which it shares with whoever else needs it.
pub struct Searcher {
    index: Arc<Index>,
    centroids: PackedWeights,
    unpacker: Unpacker,
    compute: Compute,
}

impl Searcher {
    pub fn new(index: Arc<Index>, compute: &Compute) -> Searcher {
        let count = index.centroids.len() / index.dim;
        Searcher {
            centroids: PackedWeights::pack(&index.centroids, count, index.dim),
            unpacker: Unpacker::new(index.nbits, &index.bucket_weights),
            index,
            compute: compute.clone(),
        }
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The best `k` passages for a query `(tokens, dim)`, best first: the hits of [`Searcher::find`].
    pub fn search(
        &self,
        query: &[f32],
        query_maxlen: usize,
        k: usize,
        options: &SearchOptions,
    ) -> Vec<Hit> {
        self.find(query, query_maxlen, k, options).hits
    }

    /// The best `k` passages for a query `(tokens, dim)`. The first `query_maxlen` tokens choose the candidates, all
    /// tokens score them.
    pub fn find(
        &self,
        query: &[f32],
        query_maxlen: usize,
        k: usize,
        options: &SearchOptions,
    ) -> Found {
        let plan = options.for_k(k);
        let choosing = &query[..query.len().min(query_maxlen.saturating_mul(self.index.dim))];
        let scores = self.centroid_scores(choosing);
        let tokens = choosing.len() / self.index.dim;
        let candidates = self.candidates(&scores, tokens, plan.ncells);
        let near: Vec<bool> = scores
            .chunks_exact(tokens.max(1))
            .map(|of_tokens| {
                of_tokens
                    .iter()
                    .any(|&s| s >= plan.centroid_score_threshold)
            })
            .collect();
        let filtered = self.filter(&candidates, &scores, tokens, Some(&near), plan.ndocs);
        let filtered = self.filter(&filtered, &scores, tokens, None, plan.ndocs / 4);
        let mut hits = self.score(query, &filtered, plan.floor);
        let scored = hits.len();
        let tied_with_left_out = match (
            k.checked_sub(1).and_then(|last| hits.get(last)),
            hits.get(k),
        ) {
            (Some(last), Some(next)) => last.score == next.score,
            _ => false,
        };
        hits.truncate(k);
        Found {
            hits,
            candidates: candidates.len(),
            scored,
            tied_with_left_out,
        }
    }

    /// The exact scores of the passages given, best first.
    pub fn score(&self, query: &[f32], pids: &[u32], floor: Floor) -> Vec<Hit> {
        let query = PackedWeights::pack(query, query.len() / self.index.dim, self.index.dim);
        let mut hits: Vec<Hit> = pids
            .iter()
            .map(|&pid| Hit {
                pid,
                score: maxsim(&self.compute, &query, &self.embeddings(pid), floor),
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.pid.cmp(&b.pid)));
        hits
    }

    /// For each token of a query `(tokens, dim)` the nearest token of a passage, the first of those
    /// equally near. None if the passage has no embeddings.
    pub fn matches(&self, query: &[f32], pid: u32) -> Vec<TokenMatch> {
        let dim = self.index.dim;
        let passage = self.embeddings(pid);
        if passage.is_empty() {
            return Vec::new();
        }
        let passage = PackedWeights::pack(&passage, passage.len() / dim, dim);
        let width = passage.outputs();
        let mut similarities = vec![0.0; query.len() / dim * width];
        linear(&self.compute, query, &passage, None, &mut similarities);
        let nearest = |of_token: &[f32]| {
            let nearest = |a: TokenMatch, b: TokenMatch| match b.similarity > a.similarity {
                true => b,
                false => a,
            };
            let all = of_token.iter().enumerate();
            all.map(|(token, &similarity)| TokenMatch { token, similarity })
                .reduce(nearest)
        };
        let rows = similarities.chunks_exact(width);
        rows.filter_map(nearest).collect()
    }

    /// The decompressed embeddings `(tokens, dim)` of a passage: centroid plus the weights of the
    /// residual, brought to unit length.
    pub fn embeddings(&self, pid: u32) -> Vec<f32> {
        let Index { dim, nbits, .. } = *self.index.as_ref();
        let tokens = self.tokens(pid);
        let width = dim / 8 * nbits;
        let mut embeddings = vec![0.0; tokens.len() * dim];
        let residuals =
            self.index.residuals[tokens.start * width..tokens.end * width].chunks_exact(width);
        let codes = &self.index.codes[tokens];
        for ((embedding, residual), &code) in
            embeddings.chunks_exact_mut(dim).zip(residuals).zip(codes)
        {
            let centroid = &self.index.centroids[code as usize * dim..][..dim];
            self.unpacker.add(residual, centroid, embedding);
        }
        normalize(&self.compute, Normalize::Divide, &mut embeddings, dim);
        embeddings
    }

    fn tokens(&self, pid: u32) -> std::ops::Range<usize> {
        self.index.offsets[pid as usize]..self.index.offsets[pid as usize + 1]
    }

    /// The products of all centroids and query tokens: `(C, tokens)`.
    fn centroid_scores(&self, query: &[f32]) -> Vec<f32> {
        let (count, tokens) = (self.centroids.outputs(), query.len() / self.index.dim);
        let mut by_token = vec![0.0; tokens * count];
        linear(&self.compute, query, &self.centroids, None, &mut by_token);
        let mut scores = vec![0.0; by_token.len()];
        for (token, of_token) in by_token.chunks_exact(count.max(1)).enumerate() {
            for (centroid, &score) in of_token.iter().enumerate() {
                scores[centroid * tokens + token] = score;
            }
        }
        scores
    }

    /// The passages listed under the `ncells` nearest centroids of any token, ascending.
    fn candidates(&self, scores: &[f32], tokens: usize, ncells: usize) -> Vec<u32> {
        let count = self.centroids.outputs();
        let mut cells = vec![false; count];
        for token in 0..tokens {
            let of_token = (0..count).map(|c| Scored {
                score: scores[c * tokens + token],
                id: c as u32,
            });
            for cell in keep_best(of_token, ncells, Tie::SmallerId) {
                cells[cell as usize] = true;
            }
        }
        let mut candidates: Vec<u32> = (0..count)
            .filter(|&cell| cells[cell])
            .flat_map(|cell| {
                &self.index.ivf[self.index.ivf_offsets[cell]..self.index.ivf_offsets[cell + 1]]
            })
            .map(|&pid| pid as u32)
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The best `count` of `pids` by the scores of their centroids, those that are `near` if given.
    fn filter(
        &self,
        pids: &[u32],
        scores: &[f32],
        tokens: usize,
        near: Option<&[bool]>,
        count: usize,
    ) -> Vec<u32> {
        let mut best = vec![0.0; tokens];
        let scored = pids.iter().map(|&pid| {
            let codes = &self.index.codes[self.tokens(pid)];
            Scored {
                score: passage_score(codes, scores, near, &mut best),
                id: pid,
            }
        });
        keep_best(scored, count, Tie::LargerId)
    }
}
