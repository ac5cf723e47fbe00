//! How far what is added lies from what the codec was made for.

use concord_index::codec::Unpacker;
use concord_tensor::Tensor;
use serde::Serialize;

/// From this ratio on it is said that the codec no longer fits.
pub const RETRAIN_FROM: f64 = 1.25;

/// The residual norms of what was added beside those of the sample that the codec was trained on.
///
/// Both are root mean squares over embeddings of the norm of a residual as the index holds it, each value being the
/// weight of its bucket. The buckets divide the held-out residuals of the sample into equal parts, so each weight counts
/// the same there: `√(d · Σ w² / 2^nbits)`. Of what was added it is counted how often each byte stands there. Whole
/// numbers are counted and the squares summed in the order of the bytes, so the figures are the same in every run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// The root mean square norm of the residuals of what was added.
    pub added: f64,
    /// That of the sample.
    pub sample: f64,
    /// The first by the second; 1 where the sample's is 0.
    pub ratio: f64,
    /// [`RETRAIN_FROM`].
    pub threshold: f64,
    /// Whether the ratio reaches the threshold.
    pub retrain: bool,
}

/// Counts the bytes of packed residuals.
pub(super) struct Bytes([u64; 256]);

impl Bytes {
    pub(super) fn none() -> Bytes {
        Bytes([0; 256])
    }

    pub(super) fn count(&mut self, residuals: &Tensor) -> Result<(), concord_tensor::TensorError> {
        for &byte in residuals.as_slice::<u8>()? {
            self.0[usize::from(byte)] += 1;
        }
        Ok(())
    }

    /// What they come to: embeddings have `dim` values of `nbits` bits, `weights` are the buckets'. `None` of no
    /// embeddings.
    pub(super) fn drift(&self, dim: usize, nbits: usize, weights: &[f32]) -> Option<Drift> {
        let square = |&weight: &f32| f64::from(weight) * f64::from(weight);
        let mean = weights.iter().map(square).sum::<f64>() / weights.len() as f64;
        let sample = (dim as f64 * mean).sqrt();
        let per_embedding = (dim / 8 * nbits) as f64;
        let embeddings = self.0.iter().sum::<u64>() as f64 / per_embedding;
        if embeddings == 0.0 {
            return None;
        }
        let unpacker = Unpacker::new(nbits, weights);
        let mut values = vec![0.0; 8 / nbits];
        let zero = values.clone();
        let mut sum = 0.0;
        for (byte, &count) in (0..=u8::MAX).zip(&self.0) {
            unpacker.add(&[byte], &zero, &mut values);
            sum += count as f64 * values.iter().map(square).sum::<f64>();
        }
        let added = (sum / embeddings).sqrt();
        let ratio = if sample > 0.0 { added / sample } else { 1.0 };
        Some(Drift {
            added,
            sample,
            ratio,
            threshold: RETRAIN_FROM,
            retrain: ratio >= RETRAIN_FROM,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_spread_as_the_sample_have_its_norm() {
        let weights = [-0.3, -0.1, 0.1, 0.3];
        let mut bytes = Bytes::none();
        // Every byte once: every bucket as often as any other.
        bytes
            .count(&Tensor::vector((0..=u8::MAX).collect::<Vec<_>>()))
            .unwrap();
        let drift = bytes.drift(32, 2, &weights).unwrap();
        assert!((drift.ratio - 1.0).abs() < 1e-12, "{drift:?}");
        assert!(!drift.retrain);
        assert!((drift.sample - (32.0f64 * 0.05).sqrt()).abs() < 1e-7);
        // The outermost bucket alone.
        let mut bytes = Bytes::none();
        bytes.count(&Tensor::vector(vec![255u8; 16])).unwrap();
        let drift = bytes.drift(32, 2, &weights).unwrap();
        assert!(
            (drift.ratio - 0.3 / 0.05f64.sqrt()).abs() < 1e-6,
            "{drift:?}"
        );
        assert!(drift.retrain);
        assert_eq!(Bytes::none().drift(32, 2, &weights), None);
    }
}
