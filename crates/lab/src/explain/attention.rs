//! The steps of attention, on made-up numbers.

use concord_model::architecture::Operation;
use concord_subject::operations::{OperationError, Operations, RowOperation};
use concord_tensor::Tensor;

use super::error::ExplainError;
use super::made_up::{Case, Shape, made, numbers};

/// The three steps of attention, each on numbers of its own. Where one side pads further, its operands are those of the
/// other with padding behind them, which a mask makes count for nothing.
pub(super) fn attention(
    shapes: [Shape; 2],
    width: usize,
    heads: usize,
    sides: &mut [Operations; 2],
) -> Result<Vec<Case>, ExplainError> {
    let of_head = width / heads.max(1);
    let tokens = shapes[0].tokens.min(shapes[1].tokens);
    let operand = |name, seed, scale, rows, columns, fill| Operand {
        name,
        seed,
        scale,
        matrices: heads,
        rows,
        columns,
        fill,
    };
    let (long, wide) = (Size::Tokens, Size::Of(of_head));
    let steps = [
        (
            "attention-softmax",
            "torch.softmax(s, dim=-1)",
            vec![operand("s", 3, 8.0, long, long, f32::MIN)],
            [tokens, tokens],
        ),
        (
            "attention-scores",
            "torch.matmul(q, k)",
            vec![
                operand("q", 1, 2.0, long, wide, 0.0),
                operand("k", 2, 2.0, wide, long, 0.0),
            ],
            [tokens, tokens],
        ),
        (
            "attention-context",
            "torch.matmul(p, v)",
            vec![
                operand("p", 4, 1.0, long, long, 0.0),
                operand("v", 5, 2.0, long, wide, 0.0),
            ],
            [tokens, of_head],
        ),
    ];
    let padded = shapes[0].tokens != shapes[1].tokens;
    let mut cases = Vec::new();
    for (name, call, operands, part) in steps {
        let mut results = Vec::new();
        for (operations, shape) in sides.iter_mut().zip(shapes) {
            let made = operands.iter().map(|of| of.tensor(shape, tokens));
            let made: Vec<Tensor> = made.collect::<Result<_, _>>()?;
            results.push(match made.as_slice() {
                [a, b] => operations.matmul(a, b)?,
                [s, ..] => operations.by_rows(RowOperation::Softmax, s)?,
                [] => continue,
            });
        }
        let Ok(results) = <[Tensor; 2]>::try_from(results) else {
            continue;
        };
        let lines = |shape| operands.iter().map(|of| of.line(shape, tokens)).collect();
        cases.push(Case {
            name,
            operation: Operation::Attention,
            call: call.to_owned(),
            operands: shapes.map(lines),
            results,
            part: padded.then_some(part),
        });
    }
    Ok(cases)
}

/// The size of a dimension of an operand.
#[derive(Clone, Copy)]
enum Size {
    /// The tokens of a passage, padding included.
    Tokens,
    Of(usize),
}

impl Size {
    fn of(self, tokens: usize) -> usize {
        match self {
            Size::Tokens => tokens,
            Size::Of(size) => size,
        }
    }
}

/// An operand of a step of attention `(passages, matrices, rows, columns)`, by the rule that makes it.
struct Operand {
    name: &'static str,
    seed: u64,
    scale: f32,
    matrices: usize,
    rows: Size,
    columns: Size,
    /// What stands where there is padding.
    fill: f32,
}

impl Operand {
    fn shape(&self, shape: Shape, tokens: usize) -> [usize; 4] {
        let [rows, columns] = [self.rows, self.columns].map(|size| size.of(tokens));
        [shape.passages, self.matrices, rows, columns]
    }

    /// The numbers for `tokens` tokens, with padding up to those of `shape`.
    fn tensor(&self, shape: Shape, tokens: usize) -> Result<Tensor, ExplainError> {
        let own = self.shape(shape, tokens);
        let whole = numbers(self.seed, self.scale, &own)?;
        if tokens == shape.tokens {
            return Ok(whole);
        }
        let padded = self.shape(shape, shape.tokens);
        let mut values = vec![self.fill; padded.iter().product()];
        let (from, to) = (own[2] * own[3], padded[2] * padded[3]);
        let matrices = whole.as_slice::<f32>()?.chunks(from.max(1));
        for (matrix, place) in matrices.zip(values.chunks_mut(to.max(1))) {
            let rows = matrix.chunks(own[3].max(1));
            for (row, place) in rows.zip(place.chunks_mut(padded[3].max(1))) {
                place[..row.len()].copy_from_slice(row);
            }
        }
        Ok(Tensor::new(padded.to_vec(), values).map_err(OperationError::from)?)
    }

    /// The line of the script that makes it.
    fn line(&self, shape: Shape, tokens: usize) -> String {
        let line = made(self.name, self.seed, self.scale, &self.shape(shape, tokens));
        let (own, padded) = (self.shape(shape, tokens), self.shape(shape, shape.tokens));
        let [rows, columns] = [2, 3].map(|dimension| padded[dimension] - own[dimension]);
        match (self.name, line.split_once(" = ")) {
            (name, Some((_, numbers))) if rows + columns > 0 => {
                // How Python writes the smallest number of f32, which is what a mask adds.
                let fill = match self.fill == f32::MIN {
                    true => "torch.finfo(torch.float32).min".to_owned(),
                    false => format!("{:?}", self.fill),
                };
                format!(
                    "{name} = torch.nn.functional.pad({numbers}, (0, {columns}, 0, {rows}), value={fill})"
                )
            }
            _ => line,
        }
    }
}
