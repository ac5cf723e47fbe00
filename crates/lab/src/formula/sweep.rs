//! The inputs that a short operation is asked with.

use std::fmt;

use concord_subject::operations::RowOperation;
use concord_tensor::{Tensor, TensorError};
use serde::{Deserialize, Serialize};

use crate::reveal::random::Random;

/// What layer normalisation adds to the variance: BERT's.
const EPS: f64 = 1e-12;

/// Rows of each kind.
const ROWS: usize = 16;

/// Values of GELU for each exponent and sign, and in the range where it bends.
const PER_EXPONENT: usize = 64;
const DENSE: usize = 1 << 15;

/// The widest row: more would take all day.
const WIDEST: usize = 1 << 16;

/// An operation on the values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortOperation {
    /// GELU, `x · (1 + erf(x / √2)) / 2`.
    Gelu,
    /// Layer normalisation, with random weights and `eps = 1e-12`.
    LayerNorm,
    /// Division by the Euclidean length, or by `1e-12` where that is more.
    Normalize,
    Softmax,
}

impl fmt::Display for ShortOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShortOperation::Gelu => "GELU",
            ShortOperation::LayerNorm => "layer norm",
            ShortOperation::Normalize => "normalize",
            ShortOperation::Softmax => "softmax",
        })
    }
}

/// What a row of a sweep is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Values about zero, of size 1.
    Ordinary,
    /// Values of size 1 about a mean from 1 to 1,000.
    Offset,
    /// Values scaled down by a power of two, for softmax to 2^-10 at least, otherwise to 2^-40.
    Tiny,
    /// Values scaled up by a power of two, for softmax to 2^6 at most, otherwise to 2^40.
    Large,
    /// One value with its last four bits at random.
    NearConstant,
}

impl RowKind {
    /// All kinds, in the order in which a sweep has them.
    pub const ALL: [RowKind; 5] = [
        RowKind::Ordinary,
        RowKind::Offset,
        RowKind::Tiny,
        RowKind::Large,
        RowKind::NearConstant,
    ];
}

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A row of no values, or of very many.
    #[error("a row of {0} values cannot be swept: choose from 1 to {WIDEST}")]
    Width(usize),
    /// Inputs of one's own make no whole rows, or none.
    #[error("{given} values make no rows of {width}")]
    Rows { given: usize, width: usize },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Inputs of an operation, the same for the same seed on every machine.
///
/// For GELU all magnitudes and both signs, subnormal numbers among them, and as many values from −6 to 6,
/// where it bends. For the others [`RowKind`]s in turn, sixteen rows of each.
#[derive(Debug)]
pub struct Sweep {
    operation: ShortOperation,
    width: usize,
    values: Vec<f32>,
    tensor: Tensor,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Sweep {
    /// The sweep of an operation over rows of `width`; GELU sees no rows, and its values are many rows of
    /// one.
    ///
    /// # Errors
    /// [`SweepError`].
    pub fn new(operation: ShortOperation, width: usize, seed: u64) -> Result<Sweep, SweepError> {
        if !(1..=WIDEST).contains(&width) {
            return Err(SweepError::Width(width));
        }
        let mut random = Random::new(seed);
        let (values, width) = match operation {
            ShortOperation::Gelu => (elements(&mut random), 1),
            _ => (rows(operation, width, &mut random), width),
        };
        let (gamma, beta) = match operation {
            ShortOperation::LayerNorm => (0..width)
                .map(|_| {
                    let gamma = 0.5 + uniform(&mut random);
                    (gamma as f32, normal(&mut random) as f32)
                })
                .unzip(),
            _ => (Vec::new(), Vec::new()),
        };
        Ok(Sweep {
            operation,
            width,
            tensor: Tensor::new(vec![values.len() / width, width], values.clone())?,
            values,
            gamma,
            beta,
        })
    }

    /// The same operation, width and weights with other inputs, row after row.
    ///
    /// # Errors
    /// [`SweepError::Rows`].
    pub fn with_inputs(self, values: Vec<f32>) -> Result<Sweep, SweepError> {
        if values.is_empty() || !values.len().is_multiple_of(self.width) {
            return Err(SweepError::Rows {
                given: values.len(),
                width: self.width,
            });
        }
        Ok(Sweep {
            tensor: Tensor::new(vec![values.len() / self.width, self.width], values.clone())?,
            values,
            ..self
        })
    }

    /// The operation that is asked.
    pub fn operation(&self) -> ShortOperation {
        self.operation
    }

    /// The operation as a subject is asked for it.
    pub fn request(&self) -> RowOperation<'_> {
        match self.operation {
            ShortOperation::Gelu => RowOperation::Gelu,
            ShortOperation::LayerNorm => RowOperation::LayerNorm {
                gamma: &self.gamma,
                beta: &self.beta,
                eps: EPS,
            },
            ShortOperation::Normalize => RowOperation::Normalize,
            ShortOperation::Softmax => RowOperation::Softmax,
        }
    }

    /// The inputs, `(rows, width)`.
    pub fn inputs(&self) -> &Tensor {
        &self.tensor
    }

    /// The inputs, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The inputs, row by row.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// The values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What rows are multiplied by; empty but for layer normalisation.
    pub fn gamma(&self) -> &[f32] {
        &self.gamma
    }

    /// What is added to rows then; empty but for layer normalisation.
    pub fn beta(&self) -> &[f32] {
        &self.beta
    }

    /// What is added to the variance.
    pub fn eps(&self) -> f64 {
        EPS
    }
}

fn elements(random: &mut Random) -> Vec<f32> {
    let mut values = vec![0.0, -0.0, f32::MAX, f32::MIN];
    for exponent in 0..255u32 {
        for _ in 0..2 * PER_EXPONENT {
            let bits = random.next();
            let sign = (bits >> 63) as u32;
            values.push(f32::from_bits(
                sign << 31 | exponent << 23 | (bits as u32 & 0x7f_ffff),
            ));
        }
    }
    values.extend((0..DENSE).map(|_| (uniform(random) * 12.0 - 6.0) as f32));
    values
}

fn rows(operation: ShortOperation, width: usize, random: &mut Random) -> Vec<f32> {
    let mut values = Vec::with_capacity(RowKind::ALL.len() * ROWS * width);
    // Softmax has only zeros and ones to say about larger numbers.
    let (down, up) = match operation {
        ShortOperation::Softmax => (10, 6),
        _ => (40, 40),
    };
    for kind in RowKind::ALL {
        for _ in 0..ROWS {
            let mean = 1.0 + uniform(random) * 999.0;
            let scale = match kind {
                RowKind::Tiny => 2f64.powi(-1 - random.below(down) as i32),
                RowKind::Large => 2f64.powi(1 + random.below(up) as i32),
                _ => 1.0,
            };
            let one = normal(random) as f32;
            values.extend((0..width).map(|_| match kind {
                RowKind::Offset => (mean + normal(random)) as f32,
                RowKind::NearConstant => {
                    f32::from_bits(one.to_bits() & !15 | random.below(16) as u32)
                }
                _ => (scale * normal(random)) as f32,
            }));
        }
    }
    values
}

/// From 0 to 1, exclusive.
fn uniform(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 * 2f64.powi(-53)
}

/// Nearly normal, of variance 1: the sum of twelve uniform numbers less 6 (Irwin and Hall), which needs no
/// function that differs from machine to machine.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| uniform(random)).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_of_gelu_has_all_exponents_of_both_signs() {
        let sweep = Sweep::new(ShortOperation::Gelu, 384, 1).unwrap();
        let mut seen = [[false; 255]; 2];
        for value in sweep.values() {
            let exponent = (value.to_bits() >> 23 & 255) as usize;
            seen[usize::from(value.is_sign_negative())][exponent] = true;
        }
        assert!(seen.iter().flatten().all(|&seen| seen));
        assert!(sweep.values().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn the_rows_are_of_all_kinds_and_finite() {
        let sweep = Sweep::new(ShortOperation::Normalize, 100, 1).unwrap();
        assert_eq!(sweep.inputs().shape(), [RowKind::ALL.len() * ROWS, 100]);
        assert!(sweep.values().iter().all(|value| value.is_finite()));
        let last = sweep.rows().last().unwrap();
        let near = |value: &f32| (value / last[0] - 1.0).abs() < 1e-5;
        assert!(last.iter().all(near), "{last:?}");
    }

    #[test]
    fn the_seed_alone_decides() {
        let sweep = |seed| Sweep::new(ShortOperation::LayerNorm, 96, seed).unwrap();
        let (a, b, c) = (sweep(1), sweep(1), sweep(2));
        assert_eq!((a.values(), a.gamma()), (b.values(), b.gamma()));
        assert_ne!(a.values(), c.values());
    }

    #[test]
    fn a_row_without_values_is_refused() {
        let error = Sweep::new(ShortOperation::Softmax, 0, 1).unwrap_err();
        assert!(
            error.to_string().contains("choose from 1 to 65536"),
            "{error}"
        );
    }

    #[test]
    fn other_inputs_make_whole_rows() {
        let sweep = || Sweep::new(ShortOperation::LayerNorm, 3, 1).unwrap();
        let other = sweep().with_inputs(vec![1.0; 6]).unwrap();
        assert_eq!(other.inputs().shape(), [2, 3]);
        assert_eq!(other.gamma(), sweep().gamma());
        for count in [0, 5] {
            let error = sweep().with_inputs(vec![1.0; count]).unwrap_err();
            assert!(error.to_string().contains("make no rows of 3"), "{error}");
        }
    }
}
