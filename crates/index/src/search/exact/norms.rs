//! What bounds need of an index, whatever the query.

use concord_kernels::approximate::BLOCK;
use concord_kernels::ceilings::Levels;
use concord_kernels::int8::Int8Rows;

use crate::search::scoring::Scorer;
use crate::search::spread::each;

/// Embeddings that one thread looks at.
const EMBEDDINGS_PER_PART: usize = 16 * BLOCK;

/// Centroids that one thread bounds.
pub(super) const CENTROIDS_PER_PART: usize = 512;

/// A centroid's product with a token has fewer than 2^24 units where a unit is not below this part of the longest
/// centroid: a token's norm is at most `127 √dim` of its steps, and no index has more than 1,024 dimensions.
const LEAST_UNIT: f64 = 1.0 / 2048.0;

/// Centroids and residuals longer than this are not bounded: sums of their squares leave `f32`.
const HUGE: f64 = 1e15;

/// The norms of an index's embeddings, centroids and residuals.
pub(crate) struct Norms {
    /// Of each embedding what it is multiplied by to have unit length; zero where it is zero.
    pub(super) reciprocals: Vec<f32>,
    pub(super) largest_centroid: f64,
    /// At least the norm of any residual.
    pub(super) largest_residual: f64,
    /// Centroids as whole numbers of 8 bits, some in each part.
    pub(super) centroids: Vec<Int8Rows>,
    /// At least the norm of what the whole numbers of any centroid miss.
    pub(super) largest_missed: f64,
    /// Weights as whole numbers.
    pub(super) levels: Levels,
    /// At least the norm of what the levels of any residual miss.
    pub(super) largest_error: f64,
}

impl Norms {
    pub(crate) fn of(scorer: &Scorer) -> Norms {
        let index = scorer.index.as_ref();
        let (dim, embeddings) = (index.dim, index.embeddings());
        let mut reciprocals = vec![0.0; embeddings];
        let mut to_find = &mut reciprocals[..];
        let mut parts = Vec::new();
        for chunk in index.chunks.iter() {
            let coded = scorer.of(&chunk.codes, &chunk.residuals);
            for first in (0..coded.codes.len()).step_by(EMBEDDINGS_PER_PART) {
                let end = coded.codes.len().min(first + EMBEDDINGS_PER_PART);
                let found;
                (found, to_find) = to_find.split_at_mut(end - first);
                parts.push((scorer.part(coded, first..end), found));
            }
        }
        each(
            &scorer.compute,
            parts.into_iter(),
            |(coded, reciprocals)| {
                let mut rows = vec![0.0; reciprocals.len() * dim];
                scorer.decompress(coded, &mut rows, reciprocals);
                for (norm, row) in reciprocals.iter_mut().zip(rows.chunks_exact(dim)) {
                    let zero = row.iter().all(|value| *value == 0.0);
                    *norm = if zero { 0.0 } else { 1.0 / *norm };
                }
            },
        );
        let norms = index.centroids.chunks_exact(dim).map(|centroid| {
            let squares = centroid.iter().map(|&value| f64::from(value).powi(2));
            squares.sum::<f64>()
        });
        // More than the sums can have lost.
        let largest_centroid = norms.fold(0.0, f64::max).sqrt() * 1.000_01;
        let parts = index.centroids.chunks(CENTROIDS_PER_PART * dim);
        let quantised = parts.map(|part| {
            let rows = Int8Rows::quantise(&scorer.compute, part, dim);
            (rows.largest_error(part), rows)
        });
        let (errors, centroids): (Vec<f64>, Vec<Int8Rows>) = quantised.unzip();
        let weights = &index.bucket_weights;
        let levels = Levels::new(index.nbits, weights, largest_centroid * LEAST_UNIT);
        let magnitudes = weights.iter().map(|&weight| f64::from(weight).abs());
        let of_all = |largest: f64| (dim as f64).sqrt() * 1.000_01 * largest;
        Norms {
            reciprocals,
            largest_centroid,
            centroids,
            largest_missed: errors.into_iter().fold(0.0, f64::max) * 1.000_01,
            largest_residual: of_all(magnitudes.fold(0.0, f64::max)),
            largest_error: of_all(levels.largest_error()),
            levels,
        }
    }

    /// Whether all norms are of a size that bounds hold for.
    pub(super) fn are_bounded(&self) -> bool {
        self.largest_centroid < HUGE && self.largest_residual < HUGE
    }
}
