//! What bounds need of an index, whatever the query.

use concord_kernels::approximate::BLOCK;

use crate::codec::Unpacker;
use crate::search::scoring::Scorer;
use crate::search::spread::each;

/// Embeddings that one thread looks at.
const EMBEDDINGS_PER_PART: usize = 16 * BLOCK;

/// Norms below this have been replaced by the least that rows are divided by, or nearly.
const TINY: f32 = 1e-11;

/// Norms and residuals beyond this are not bounded: sums of their squares leave `f32`.
const HUGE: f64 = 1e15;

/// The norms of an index's embeddings, centroids and residuals.
pub(crate) struct Norms {
    /// Of each embedding what it is multiplied by to have unit length; zero where it is zero.
    pub(super) reciprocals: Vec<f32>,
    /// Of each centroid at most the cosine between it and any embedding that belongs to it.
    pub(super) cosines: Vec<f32>,
    /// Of each centroid.
    pub(super) centroids: Vec<f32>,
    pub(super) largest_centroid: f64,
    /// At least the norm of any residual.
    pub(super) largest_residual: f64,
    /// Weights as whole numbers.
    pub(super) levels: Levels,
}

/// The weights of buckets as whole numbers of a unit.
pub(super) struct Levels {
    /// For each byte of a residual the levels of its dimensions, each 128 more than it is: `(256, per_byte)`.
    pub(super) of_bytes: Vec<u8>,
    pub(super) per_byte: usize,
    /// What a level is worth.
    pub(super) unit: f32,
    /// At least the norm of what the levels of any residual miss.
    pub(super) largest_error: f64,
}

impl Norms {
    pub(crate) fn of(scorer: &Scorer) -> Norms {
        let index = scorer.index.as_ref();
        let (dim, embeddings) = (index.dim, index.embeddings());
        let norm = |row: &[f32]| {
            let squares = row.iter().map(|&value| f64::from(value).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let centroids: Vec<f32> = (index.centroids.chunks_exact(dim))
            .map(|row| norm(row) as f32)
            .collect();
        let largest_centroid = centroids.iter().copied().fold(0.0, f32::max);
        let (mut levels, misses) = Levels::of(index.nbits, &index.bucket_weights);
        let squares: Vec<f32> = index.bucket_weights.iter().map(|w| w * w).collect();
        let squares = of_bytes(index.nbits, &squares);

        let mut reciprocals = vec![0.0; embeddings];
        // Cosine, square of the residual, square of what levels miss.
        let mut found = vec![[0.0f32; 3]; embeddings];
        let (mut to_norm, mut to_find) = (&mut reciprocals[..], &mut found[..]);
        let mut parts = Vec::new();
        for chunk in index.chunks.iter() {
            let coded = scorer.of(&chunk.codes, &chunk.residuals);
            for first in (0..coded.codes.len()).step_by(EMBEDDINGS_PER_PART) {
                let end = coded.codes.len().min(first + EMBEDDINGS_PER_PART);
                let (reciprocals, found);
                (reciprocals, to_norm) = to_norm.split_at_mut(end - first);
                (found, to_find) = to_find.split_at_mut(end - first);
                parts.push((scorer.part(coded, first..end), reciprocals, found));
            }
        }
        each(parts.into_iter(), |(coded, reciprocals, found)| {
            let count = reciprocals.len();
            let (mut rows, mut norms) = (vec![0.0; count * dim], vec![0.0; count]);
            scorer.decompress(coded, &mut rows, &mut norms);
            let bytes = coded.residuals.chunks_exact(coded.residuals.len() / count);
            for (at, residual) in bytes.enumerate() {
                let sum =
                    |of: &[f64]| -> f64 { residual.iter().map(|b| of[usize::from(*b)]).sum() };
                let (residual, missed) = (sum(&squares), sum(&misses));
                let zero = rows[at * dim..][..dim].iter().all(|value| *value == 0.0);
                reciprocals[at] = if zero { 0.0 } else { 1.0 / norms[at] };
                let centroid = f64::from(centroids[coded.codes[at] as usize]);
                let cosine = cosine(f64::from(norms[at]), centroid, residual);
                found[at] = [cosine, residual as f32, missed as f32];
            }
        });
        let mut cosines = vec![1.0f32; centroids.len()];
        let (mut residual, mut missed) = (0.0f32, 0.0f32);
        let codes = index.chunks.iter().flat_map(|chunk| chunk.codes.iter());
        for (&code, found) in codes.zip(&found) {
            let cosine = &mut cosines[code as usize];
            *cosine = cosine.min(found[0]);
            residual = residual.max(found[1]);
            missed = missed.max(found[2]);
        }
        // More than the sums and casts can have lost.
        let root = |squares: f32| f64::from(squares).sqrt() * 1.000_01 + 1e-20;
        levels.largest_error = root(missed);
        Norms {
            reciprocals,
            cosines,
            largest_centroid: f64::from(largest_centroid) * 1.000_01,
            centroids,
            largest_residual: root(residual),
            levels,
        }
    }

    /// Whether all norms are of a size that bounds hold for.
    pub(super) fn are_bounded(&self) -> bool {
        self.largest_centroid < HUGE && self.largest_residual < HUGE
    }
}

/// At most the cosine between a centroid and its sum with a residual, by the law of cosines; −1 where the norms say
/// nothing of it.
fn cosine(norm: f64, centroid: f64, squared_residual: f64) -> f32 {
    if norm < f64::from(TINY) || centroid < f64::from(TINY) {
        return -1.0;
    }
    let (sum, twice) = (norm * norm + centroid * centroid, 2.0 * norm * centroid);
    let lost = 1e-3 * f64::from(f32::EPSILON).sqrt();
    let cosine = (sum - squared_residual) / twice - lost - 1e-5 * (sum + squared_residual) / twice;
    cosine.clamp(-1.0, 1.0) as f32
}

impl Levels {
    /// The levels of weights, and for each byte the sum of the squares of what they miss.
    fn of(nbits: usize, weights: &[f32]) -> (Levels, Vec<f64>) {
        let largest = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        let unit = if largest > 1e-30 {
            largest / 127.0
        } else {
            1.0
        };
        let level = |weight: f32| (weight / unit).round_ties_even().clamp(-127.0, 127.0);
        let shifted: Vec<f32> = weights.iter().map(|&w| level(w) + 128.0).collect();
        let missed =
            |&w: &f32| (f64::from(w) - f64::from(level(w)) * f64::from(unit)).powi(2) as f32;
        let misses: Vec<f32> = weights.iter().map(missed).collect();
        let table = Unpacker::new(nbits, &shifted);
        let levels = Levels {
            of_bytes: table
                .of_bytes()
                .flatten()
                .map(|&level| level as u8)
                .collect(),
            per_byte: 8 / nbits,
            unit,
            largest_error: 0.0,
        };
        (levels, of_bytes(nbits, &misses))
    }

    /// Writes the levels of residuals.
    pub(super) fn unpack(&self, residuals: &[u8], levels: &mut [u8]) {
        match self.per_byte {
            1 => self.unpack_by::<1>(residuals, levels),
            2 => self.unpack_by::<2>(residuals, levels),
            4 => self.unpack_by::<4>(residuals, levels),
            _ => self.unpack_by::<8>(residuals, levels),
        }
    }

    fn unpack_by<const PER_BYTE: usize>(&self, residuals: &[u8], levels: &mut [u8]) {
        let (table, _) = self.of_bytes.as_chunks::<PER_BYTE>();
        let (levels, _) = levels.as_chunks_mut::<PER_BYTE>();
        for (levels, byte) in levels.iter_mut().zip(residuals) {
            *levels = table[usize::from(*byte)];
        }
    }
}

/// For each byte of a residual the sum of its buckets' `values`.
fn of_bytes(nbits: usize, values: &[f32]) -> Vec<f64> {
    let table = Unpacker::new(nbits, values);
    let sums = table.of_bytes();
    sums.map(|values| values.iter().map(|&v| f64::from(v)).sum())
        .collect()
}
