//! Asking a sum of a vector.

use concord_tensor::DType;

use super::mask::{MaskError, Masks};
use super::probe::{Probe, Summation};
use super::random::Random;
use super::replay::Sample;

/// How many vectors one launch has.
const SLOTS: usize = 256;

/// Anything that sums vectors of `f32`, as an operation that can be asked.
///
/// `run` is given vectors of the same length one behind the other, and returns the sum of each.
pub struct SumProbes<F> {
    terms: usize,
    masks: Masks,
    run: F,
    vectors: Vec<f32>,
}

impl<F> SumProbes<F> {
    /// Sums of `terms` terms.
    ///
    /// # Errors
    /// Never for `f32`, whose probes are known.
    pub fn new(terms: usize, run: F) -> Result<SumProbes<F>, MaskError> {
        Ok(SumProbes {
            terms,
            masks: Masks::new(DType::F32, DType::F32, DType::F32)?,
            run,
            vectors: vec![0.0; SLOTS * terms],
        })
    }

    /// Sums vectors of ordinary numbers, the same for the same seed.
    ///
    /// # Errors
    /// When `run` fails.
    pub fn trial<E>(&mut self, seed: u64) -> Result<SumTrial, E>
    where
        F: FnMut(&[f32]) -> Result<Vec<f32>, E>,
    {
        let vectors = Random::new(seed).numbers(SLOTS * self.terms, 24);
        let sums = (self.run)(&vectors)?;
        Ok(SumTrial {
            ones: vec![1.0; self.terms],
            vectors,
            sums,
        })
    }
}

impl<F, E> Summation for SumProbes<F>
where
    F: FnMut(&[f32]) -> Result<Vec<f32>, E>,
    E: std::error::Error + 'static,
{
    type Error = E;

    fn terms(&self) -> usize {
        self.terms
    }

    fn slots(&self) -> usize {
        SLOTS
    }

    fn places(&self) -> usize {
        1
    }

    fn masks(&self) -> Masks {
        self.masks
    }

    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, E> {
        let vectors = self.vectors.chunks_exact_mut(self.terms.max(1));
        for (vector, probe) in vectors.zip(probes) {
            match probe {
                Some(probe) => probe.write(self.masks, vector),
                None => vector.fill(0.0),
            }
        }
        let sums = (self.run)(&self.vectors)?;
        Ok(sums.into_iter().map(f64::from).collect())
    }
}

/// Vectors of ordinary numbers, and their sums.
#[derive(Clone, Debug)]
pub struct SumTrial {
    ones: Vec<f32>,
    vectors: Vec<f32>,
    sums: Vec<f32>,
}

impl SumTrial {
    /// The sums, as sums of products with ones.
    pub fn samples(&self) -> Vec<Sample<'_>> {
        let vectors = self.vectors.chunks_exact(self.ones.len().max(1));
        vectors
            .zip(&self.sums)
            .map(|(vector, &result)| Sample {
                a: vector,
                b: &self.ones,
                bias: None,
                result,
            })
            .collect()
    }
}
