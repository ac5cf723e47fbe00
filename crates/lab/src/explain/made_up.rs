//! Steps of a computation on numbers that are made by a rule, so that a script can make them again.

use concord_model::architecture::Operation;
use concord_subject::operations::OperationError;
use concord_tensor::{DType, Tensor};

use super::error::ExplainError;

/// The step whose result is looked at.
pub(super) struct Case {
    pub name: &'static str,
    pub operation: Operation,
    /// The line of Python that computes `y`.
    pub call: String,
    /// The lines that make its operands on each side.
    pub operands: [Vec<String>; 2],
    pub results: [Tensor; 2],
    /// The rows and columns of each matrix of the results that both sides compute on the same numbers, where there are
    /// others.
    pub part: Option<[usize; 2]>,
}

impl Case {
    /// The elements that both sides compute on the same numbers, in f32: of the rows of both, in order, those that the
    /// side with fewer has.
    pub(super) fn common(&self) -> Result<[Vec<f32>; 2], ExplainError> {
        let wide = |tensor: &Tensor| -> Result<Vec<f32>, ExplainError> {
            let values = tensor.cast(DType::F32)?.as_slice::<f32>()?.to_vec();
            let (Some([rows, columns]), &[.., height, width]) = (self.part, tensor.shape()) else {
                return Ok(values);
            };
            let matrices = values.chunks(height.saturating_mul(width).max(1));
            let rows = matrices.flat_map(|matrix| matrix.chunks(width.max(1)).take(rows));
            Ok(rows
                .flat_map(|row| row.iter().take(columns).copied())
                .collect())
        };
        let [mut a, mut b] = [wide(&self.results[0])?, wide(&self.results[1])?];
        let common = a.len().min(b.len());
        a.truncate(common);
        b.truncate(common);
        Ok([a, b])
    }
}

/// What a batch is on one side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub passages: usize,
    /// Of each passage, padding included.
    pub tokens: usize,
}

/// Numbers between −½ and ½ times `scale`, the same as `numbers` of the script makes.
pub(super) fn numbers(seed: u64, scale: f32, shape: &[usize]) -> Result<Tensor, OperationError> {
    let count: usize = shape.iter().product();
    let number = |at: usize| {
        let mixed = (at as u64)
            .wrapping_add(seed << 32)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let unit = (mixed >> 40) as f32 / (1u32 << 24) as f32;
        (unit - 0.5) * scale
    };
    Ok(Tensor::new(
        shape.to_vec(),
        (0..count).map(number).collect::<Vec<f32>>(),
    )?)
}

/// The line of the script that makes such numbers.
pub(super) fn made(name: &str, seed: u64, scale: f32, shape: &[usize]) -> String {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("{name} = numbers({seed}, {scale:?}, {})", shape.join(", "))
}
