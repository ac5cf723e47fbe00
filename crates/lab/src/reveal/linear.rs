//! Asking a linear layer.

use concord_tensor::DType;

use super::mask::{MaskError, Masks};
use super::probe::{Probe, Summation};
use super::random::Random;
use super::replay::Sample;

/// The shape of `y = x · Wᵀ`: `x` is `(rows, inputs)`, `W` `(outputs, inputs)`, `y` `(rows, outputs)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of `x` and `y`: M.
    pub rows: usize,
    /// What is added up: K.
    pub inputs: usize,
    /// Columns of `y`: N.
    pub outputs: usize,
}

/// The operand that probes are written into; the other one is all ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masked {
    /// Rows of the weights: each output column is a probe, and every row of `y` answers it. Shows whether
    /// rows add differently, as those of edge tiles do.
    #[default]
    Weights,
    /// Rows of `x`: each row is a probe, and every output column answers it. Shows whether columns do.
    Inputs,
}

/// The operands of a launch. Values are exact in the dtype that the operation has.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// `x`, row-major.
    pub x: &'a [f32],
    /// `W`, row-major.
    pub w: &'a [f32],
    pub shape: LinearShape,
}

/// Anything that computes linear layers, as an operation that can be asked.
///
/// `run` is given the operands and returns `y`, row-major, widened to `f32` if it is of a narrower dtype.
/// It must compute without a bias, or with one of zeros.
pub struct LinearProbes<F> {
    shape: LinearShape,
    masked: Masked,
    operands: DType,
    masks: Masks,
    run: F,
    x: Vec<f32>,
    w: Vec<f32>,
}

impl<F> LinearProbes<F> {
    /// A layer of this shape, whose operands are `dtype`, whose sums are kept as `accumulator`, and whose
    /// result is `output`.
    ///
    /// # Errors
    /// When a dtype is not a floating-point one.
    pub fn new(
        shape: LinearShape,
        masked: Masked,
        [dtype, accumulator, output]: [DType; 3],
        run: F,
    ) -> Result<LinearProbes<F>, MaskError> {
        Ok(LinearProbes {
            shape,
            masked,
            operands: dtype,
            masks: Masks::new(dtype, accumulator, output)?,
            run,
            x: vec![1.0; shape.rows * shape.inputs],
            w: vec![1.0; shape.outputs * shape.inputs],
        })
    }

    /// Computes the layer on ordinary numbers: the same for the same seed, of mixed size and sign, so that
    /// sums round and their order shows.
    ///
    /// # Errors
    /// When `run` fails.
    pub fn trial<E>(&mut self, seed: u64) -> Result<LinearTrial, E>
    where
        F: FnMut(Operands<'_>) -> Result<Vec<f32>, E>,
    {
        let shape = self.shape;
        let mut random = Random::new(seed);
        // As many bits as every dtype of the operands holds.
        let bits = match self.operands {
            DType::BF16 => 8,
            DType::F16 => 11,
            _ => 24,
        };
        let x = random.numbers(shape.rows * shape.inputs, bits);
        let w = random.numbers(shape.outputs * shape.inputs, bits);
        let (x_ref, w_ref) = (&x, &w);
        let y = (self.run)(Operands {
            x: x_ref,
            w: w_ref,
            shape,
        })?;
        Ok(LinearTrial {
            shape,
            masked: self.masked,
            x,
            w,
            y,
        })
    }
}

impl<F, E> Summation for LinearProbes<F>
where
    F: FnMut(Operands<'_>) -> Result<Vec<f32>, E>,
    E: std::error::Error + 'static,
{
    type Error = E;

    fn terms(&self) -> usize {
        self.shape.inputs
    }

    fn slots(&self) -> usize {
        match self.masked {
            Masked::Weights => self.shape.outputs,
            Masked::Inputs => self.shape.rows,
        }
    }

    fn places(&self) -> usize {
        match self.masked {
            Masked::Weights => self.shape.rows,
            Masked::Inputs => self.shape.outputs,
        }
    }

    fn masks(&self) -> Masks {
        self.masks
    }

    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, E> {
        let masked = match self.masked {
            Masked::Weights => &mut self.w,
            Masked::Inputs => &mut self.x,
        };
        let rows = masked.chunks_exact_mut(self.shape.inputs.max(1));
        for (row, probe) in rows.zip(probes) {
            match probe {
                Some(probe) => probe.write(self.masks, row),
                None => row.fill(0.0),
            }
        }
        let y = (self.run)(Operands {
            x: &self.x,
            w: &self.w,
            shape: self.shape,
        })?;
        let (slots, places) = (self.slots(), self.places());
        if self.masked == Masked::Weights || y.len() != slots * places {
            return Ok(y.into_iter().map(f64::from).collect());
        }
        let by_place = (0..places).flat_map(|place| {
            let column = y.iter().skip(place).step_by(places);
            column.copied().map(f64::from)
        });
        Ok(by_place.collect())
    }
}

/// Operands of ordinary numbers, and the layer's result.
#[derive(Clone, Debug)]
pub struct LinearTrial {
    shape: LinearShape,
    masked: Masked,
    x: Vec<f32>,
    w: Vec<f32>,
    y: Vec<f32>,
}

impl LinearTrial {
    /// Some of the sums, with their place and slot: one for each row and one for each column at least, so
    /// that every tile is among them. None where the layer gave a result of another shape.
    pub fn samples(&self) -> Vec<(usize, usize, Sample<'_>)> {
        let LinearShape {
            rows,
            inputs,
            outputs,
        } = self.shape;
        if self.y.len() != rows * outputs {
            return Vec::new();
        }
        // A step through columns that is no power of two comes by all residues of the tile sizes.
        let by_row = (0..rows).map(|row| (row, row * 37 % outputs));
        let by_column = (0..outputs).map(|column| (column * 37 % rows, column));
        by_row
            .chain(by_column)
            .map(|(row, column)| {
                let sample = Sample {
                    a: &self.x[row * inputs..][..inputs],
                    b: &self.w[column * inputs..][..inputs],
                    bias: None,
                    result: self.y[row * outputs + column],
                };
                match self.masked {
                    Masked::Weights => (row, column, sample),
                    Masked::Inputs => (column, row, sample),
                }
            })
            .collect()
    }
}
