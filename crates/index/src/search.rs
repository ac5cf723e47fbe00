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

//!
//! An exact search finds the best of all passages for certain instead: see [`Searcher::answer`].

mod exact;
mod filter;
mod hit;
mod passages;
mod plan;
mod scoring;
mod spread;
mod stages;

use std::sync::{Arc, OnceLock};

use concord_kernels::compute::Compute;
use concord_kernels::linear::{PackedWeights, linear};
use concord_kernels::maxsim::Floor;

use crate::format::Index;
use exact::{Buffers, Norms};
pub use hit::Hit;
pub use passages::{PassageSet, UnknownPassage};
pub use plan::{Request, SearchOptions, SearchPlan};
use scoring::Scorer;
use spread::Pool;
use stages::Scratch;

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
///
/// What is searched for one query is divided among the threads of the pool that the caller is in, if it is in one; they
/// decide nothing about results. What a query needs is kept for the next one.
pub struct Searcher {
    scorer: Scorer,
    scratch: Pool<Scratch>,
    /// For exact searches, made by the first.
    norms: OnceLock<Norms>,
    buffers: Pool<Buffers>,
}

impl Searcher {
    pub fn new(index: Arc<Index>, compute: &Compute) -> Searcher {
        Searcher {
            scorer: Scorer::new(index, compute),
            scratch: Pool::default(),
            norms: OnceLock::new(),
            buffers: Pool::default(),
        }
    }

    pub fn index(&self) -> &Index {
        &self.scorer.index
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
        self.answer(query, query_maxlen, &Request::new(k, options))
    }

    /// What is found for a query `(tokens, dim)` as the request says.
    ///
    /// An exact search finds what [`Searcher::score`] of all passages would begin with, to the bit. `candidates` are then
    /// the passages that are searched, `scored` those whose scores had to be computed because bounds did not rule them out.
    /// The first one computes the norm of every embedding of the index, 4 bytes each, and the centroids in 8 bits, which are
    /// kept.
    pub fn answer(&self, query: &[f32], query_maxlen: usize, request: &Request<'_>) -> Found {
        let (mut hits, candidates) = if request.exact {
            let norms = self.norms.get_or_init(|| Norms::of(&self.scorer));
            let buffers = &self.buffers;
            buffers.with(|buffers| exact::hits(&self.scorer, norms, query, request, buffers))
        } else {
            let scratch = &self.scratch;
            scratch
                .with(|scratch| stages::hits(&self.scorer, query, query_maxlen, request, scratch))
        };
        let (k, scored) = (request.k, hits.len());
        let last = k.checked_sub(1).and_then(|last| hits.get(last));
        let tied_with_left_out = match (last, hits.get(k)) {
            (Some(last), Some(next)) => last.score == next.score,
            _ => false,
        };
        hits.truncate(k);
        Found {
            hits,
            candidates,
            scored,
            tied_with_left_out,
        }
    }

    /// The exact scores of the passages given, best first.
    pub fn score(&self, query: &[f32], pids: &[u32], floor: Floor) -> Vec<Hit> {
        let dim = self.index().dim;
        let query = PackedWeights::pack(query, query.len() / dim, dim);
        let mut hits = self.scorer.score(&query, pids, floor);
        hits.sort_by(Hit::order);
        hits
    }

    /// For each token of a query `(tokens, dim)` the nearest token of a passage, the first of those
    /// equally near. None if the passage has no embeddings.
    pub fn matches(&self, query: &[f32], pid: u32) -> Vec<TokenMatch> {
        let dim = self.index().dim;
        let passage = self.embeddings(pid);
        if passage.is_empty() {
            return Vec::new();
        }
        let passage = PackedWeights::pack(&passage, passage.len() / dim, dim);
        let width = passage.outputs();
        let mut similarities = vec![0.0; query.len() / dim * width];
        linear(
            &self.scorer.compute,
            query,
            &passage,
            None,
            &mut similarities,
        );
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
        self.scorer.embeddings(pid)
    }
}
