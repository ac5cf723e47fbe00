//! The reference's stages.

use concord_kernels::approximate::{
    self, Approximated, BLOCK, Survey, approximate_scores, packed_in_rows, row_of, survey,
};
use concord_kernels::linear::PackedWeights;

use super::filter::Tie;
use super::hit::Hit;
use super::passages::{PassageSet, ids, insert};
use super::plan::Request;
use super::scoring::Scorer;
use super::spread::{Pool, each};

/// Blocks of centroids that one thread surveys.
const BLOCKS_PER_PART: usize = 8;

/// Passages that one thread scores by their centroids.
const PASSAGES_PER_PART: usize = 256;

/// What a query needs, reused by the next.
#[derive(Default)]
pub(super) struct Scratch {
    /// `(C, row)`: the products of centroids and query tokens.
    scores: Vec<f32>,
    /// `(blocks, row)`: the largest of each block of centroids.
    largest: Vec<f32>,
    /// A bit for each centroid that is near a token.
    near: Vec<u64>,
    /// A bit for each centroid that a token picked.
    cells: Vec<u64>,
    /// A bit for each passage that is a candidate.
    listed: Vec<u64>,
    pids: Vec<u32>,
    ranks: Vec<u64>,
    ids: Vec<u32>,
    parts: Pool<approximate::Scratch>,
}

/// The exact scores of the passages that are left, best first, and how many candidates there were.
pub(super) fn hits(
    scorer: &Scorer,
    query: &[f32],
    query_maxlen: usize,
    request: &Request<'_>,
    scratch: &mut Scratch,
) -> (Vec<Hit>, usize) {
    let (plan, dim) = (request.options.for_k(request.k), scorer.index.dim);
    let choosing = &query[..query.len().min(query_maxlen.saturating_mul(dim))];
    let tokens = choosing.len() / dim;
    scratch.survey(scorer, choosing, plan.centroid_score_threshold);
    scratch.pick_cells(tokens, plan.ncells);
    scratch.list(scorer, request.among);
    let candidates = scratch.pids.len();
    scratch.filter(scorer, tokens, true, plan.ndocs);
    scratch.filter(scorer, tokens, false, plan.ndocs / 4);
    let query = PackedWeights::pack(query, query.len() / dim, dim);
    let mut hits = scorer.score(&query, &scratch.pids, plan.floor);
    hits.sort_by(Hit::order);
    (hits, candidates)
}

impl Scratch {
    /// The products of all centroids with a query `(tokens, dim)`, and what is found of them block by block.
    fn survey(&mut self, scorer: &Scorer, query: &[f32], threshold: f32) {
        let index = scorer.index.as_ref();
        let tokens = query.len() / index.dim;
        let query = packed_in_rows(query, index.dim);
        let (row, count) = (query.outputs(), index.centroids());
        let blocks = count.div_ceil(BLOCK);
        self.scores.resize(count * row, 0.0);
        self.largest.resize(blocks * row, 0.0);
        self.near.resize(blocks, 0);
        if row == 0 {
            return;
        }
        let of_centroids = BLOCK * index.dim;
        let parts = (self.scores)
            .chunks_mut(BLOCKS_PER_PART * BLOCK * row)
            .zip(self.largest.chunks_mut(BLOCKS_PER_PART * row))
            .zip(self.near.chunks_mut(BLOCKS_PER_PART))
            .zip(index.centroids.chunks(BLOCKS_PER_PART * of_centroids));
        each(
            &scorer.compute,
            parts,
            |(((scores, largest), near), centroids)| {
                let blocks = (scores.chunks_mut(BLOCK * row))
                    .zip(largest.chunks_mut(row))
                    .zip(near)
                    .zip(centroids.chunks(of_centroids));
                for (((scores, largest), near), centroids) in blocks {
                    let found = Survey {
                        scores,
                        largest,
                        near,
                    };
                    survey(&scorer.compute, centroids, &query, tokens, threshold, found);
                }
            },
        );
    }

    /// The `ncells` nearest centroids of each token, the smaller number where scores are equal.
    fn pick_cells(&mut self, tokens: usize, ncells: usize) {
        let row = row_of(tokens);
        self.cells.clear();
        self.cells.resize(self.near.len(), 0);
        if ncells == 0 {
            return;
        }
        for token in 0..tokens {
            // So many blocks hold a score of at least this that no smaller one is among the best.
            let least = least_of_best(&self.largest, row, token, ncells, &mut self.ranks);
            self.ranks.clear();
            let blocks = self.scores.chunks(BLOCK * row);
            let blocks = blocks.zip(self.largest.chunks_exact(row)).enumerate();
            for (block, (scores, largest)) in blocks {
                if largest[token] < least {
                    continue;
                }
                for (at, scores) in scores.chunks_exact(row).enumerate() {
                    let score = scores[token];
                    if score >= least || score.is_nan() {
                        let id = (block * BLOCK + at) as u32;
                        self.ranks.push(Tie::SmallerId.rank(score, id));
                    }
                }
            }
            Tie::SmallerId.keep_best(&mut self.ranks, ncells, &mut self.ids);
            for &cell in &self.ids {
                insert(&mut self.cells, cell);
            }
        }
    }

    /// The passages listed under the cells, ascending, those of the set if there is one.
    fn list(&mut self, scorer: &Scorer, among: Option<&PassageSet>) {
        let index = scorer.index.as_ref();
        self.listed.clear();
        self.listed.resize(index.passages().div_ceil(BLOCK), 0);
        for cell in ids(&self.cells) {
            let cell = cell as usize;
            for &pid in &index.ivf[index.ivf_offsets[cell]..index.ivf_offsets[cell + 1]] {
                insert(&mut self.listed, pid as u32);
            }
        }
        if let Some(among) = among {
            among.keep_in(&mut self.listed);
        }
        self.pids.clear();
        self.pids.extend(ids(&self.listed));
    }

    /// Keeps the best `count` passages by the scores of their centroids, of those alone that are near if `near`, the
    /// larger pid where scores are equal.
    fn filter(&mut self, scorer: &Scorer, tokens: usize, near: bool, count: usize) {
        if count >= self.pids.len() {
            return;
        }
        let by = Approximated {
            scores: &self.scores,
            tokens,
            near: near.then_some(&self.near[..]),
        };
        self.ranks.resize(self.pids.len(), 0);
        let parts = self.ranks.chunks_mut(PASSAGES_PER_PART);
        let parts = parts.zip(self.pids.chunks(PASSAGES_PER_PART));
        each(&scorer.compute, parts, |(ranks, pids)| {
            self.parts.with(|scratch| {
                let mut ranked = ranks.iter_mut().zip(pids);
                let passages = pids.iter().map(|&pid| scorer.index.codes(pid));
                approximate_scores(&scorer.compute, by, passages, scratch, |score| {
                    if let Some((rank, &pid)) = ranked.next() {
                        *rank = Tie::LargerId.rank(score, pid);
                    }
                });
            });
        });
        Tie::LargerId.keep_best(&mut self.ranks, count, &mut self.pids);
    }
}

/// The `count`-th largest of a token's largest scores, or what is below all where there are fewer blocks.
fn least_of_best(
    largest: &[f32],
    row: usize,
    token: usize,
    count: usize,
    ranks: &mut Vec<u64>,
) -> f32 {
    let of_token = || largest.chunks_exact(row).map(|largest| largest[token]);
    if count == 1 {
        return of_token().fold(f32::NEG_INFINITY, f32::max);
    }
    ranks.clear();
    let rank = |(block, score)| Tie::SmallerId.rank(score, block as u32);
    ranks.extend(of_token().enumerate().map(rank));
    if count > ranks.len() {
        return f32::NEG_INFINITY;
    }
    let (_, &mut rank, _) = ranks.select_nth_unstable(count - 1);
    of_token()
        .nth(rank as u32 as usize)
        .unwrap_or(f32::NEG_INFINITY)
}
