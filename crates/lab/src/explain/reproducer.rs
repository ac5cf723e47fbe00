//! A script that shows a difference without Concord: PyTorch and numpy alone.
//!
//! The numbers it computes on are made by a rule that every version of numpy follows to the bit, so no
//! tensors have to go with it. That the difference shows on them is measured here, on both sides, before
//! the script is written.
//!
//! Each side computes in its own shape: where batches are of other sizes, or padded otherwise, the rows that both
//! have are computed on the same numbers.

use concord_model::architecture::Operation;
use concord_subject::operations::{OperationError, Operations, RowOperation};
use concord_subject::runner::Runner;
use concord_subject::specification::Pad;
use concord_subject::torch::Torch;
use concord_tensor::{DType, Tensor};

use super::culprit::Culprit;
use super::encoder::Forced;
use super::error::ExplainError;
use super::script::{Reproducer, Shown, SideOfScript, script};

/// An operation of a culprit for which there is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unshown {
    pub operation: Operation,
    pub why: String,
}

/// The step whose result is looked at.
struct Case {
    name: &'static str,
    operation: Operation,
    /// The line of Python that computes `y`.
    call: String,
    /// The lines that make its operands on each side.
    operands: [Vec<String>; 2],
    results: [Tensor; 2],
    /// The rows and columns of each matrix of the results that both sides compute on the same numbers, where there are
    /// others.
    part: Option<[usize; 2]>,
}

impl Case {
    /// The elements that both sides compute on the same numbers, in f32: of the rows of both, in order, those that the
    /// side with fewer has.
    fn common(&self) -> Result<[Vec<f32>; 2], ExplainError> {
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

/// Scripts for the operations of the culprits, as far as the difference shows on made-up numbers, and the operations for
/// which there is none.
///
/// Both sides must be PyTorch on the CPU; others have no script.
///
/// # Errors
/// When a process cannot be asked.
pub fn reproducers(
    forced: &Forced,
    a: &Runner,
    b: &Runner,
) -> Result<(Vec<Reproducer>, Vec<Unshown>), ExplainError> {
    let (Runner::Torch(torch_a), Runner::Torch(torch_b)) = (a, b) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let both = [torch_a.as_ref(), torch_b.as_ref()];
    let mut sides = [Operations::of(a, "")?, Operations::of(b, "")?];
    let shapes = shapes(forced, both);
    let (mut scripts, mut unshown) = (Vec::new(), Vec::new());
    let mut operations: Vec<Operation> = Vec::new();
    for culprit in &forced.culprits {
        if !operations.contains(&culprit.operation) {
            operations.push(culprit.operation);
        }
    }
    for operation in operations {
        let mut culprits = forced.culprits.iter();
        let culprits: Vec<&Culprit> = culprits
            .by_ref()
            .filter(|culprit| culprit.operation == operation)
            .collect();
        if let Some(why) = cannot_be_shown(operation, &culprits, both) {
            unshown.push(Unshown { operation, why });
            continue;
        }
        match shown(&culprits, forced, &shapes, &mut sides)? {
            Some(case) => {
                let [a, b] = case.common()?;
                let side = |torch: &Torch, operands: &[String], values: Vec<f32>| SideOfScript {
                    subject: torch.operation_specification(),
                    autocast: torch.amp(),
                    threads: torch.threads(),
                    variables: torch.variables(),
                    operands: operands.to_vec(),
                    values,
                };
                scripts.push(script(&Shown {
                    name: case.name,
                    operation: case.operation,
                    call: &case.call,
                    part: case.part,
                    sides: [
                        side(torch_a, &case.operands[0], a),
                        side(torch_b, &case.operands[1], b),
                    ],
                }));
            }
            None => unshown.push(Unshown {
                operation,
                why: "it does not show on made-up numbers".to_owned(),
            }),
        }
    }
    Ok((scripts, unshown))
}

/// Why a script of one operation cannot show what these culprits do, if that is clear from what they are.
fn cannot_be_shown(
    operation: Operation,
    culprits: &[&Culprit],
    sides: [&Torch; 2],
) -> Option<String> {
    if culprits.iter().all(|culprit| culprit.cut_out != [false; 2]) {
        return Some("one side does not compute it".to_owned());
    }
    let [a, b] = sides.map(Torch::attention);
    match operation {
        Operation::Lookup => Some("it takes rows out of the checkpoint's tables".to_owned()),
        Operation::Mask => Some("it takes what the tokenizer made".to_owned()),
        Operation::Attention if a != b => Some(format!(
            "A computes it by attention={a} and B by attention={b}, and a script shows one operation of PyTorch"
        )),
        _ => None,
    }
}

/// The first step of a culprit, in the first shape, whose results are not the same.
fn shown(
    culprits: &[&Culprit],
    forced: &Forced,
    shapes: &[[Shape; 2]],
    sides: &mut [Operations; 2],
) -> Result<Option<Case>, ExplainError> {
    let mut asked: Vec<(usize, usize)> = Vec::new();
    for culprit in culprits
        .iter()
        .filter(|culprit| culprit.cut_out == [false; 2])
    {
        let sizes = (culprit.width, inputs(culprit, forced));
        if asked.contains(&sizes) {
            continue;
        }
        asked.push(sizes);
        for &shape in shapes {
            for case in cases(culprit, forced, shape, sides)? {
                let [a, b] = case.common()?;
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
                if !a.iter().zip(&b).all(same) {
                    return Ok(Some(case));
                }
            }
        }
    }
    Ok(None)
}

/// What a batch is on one side.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    passages: usize,
    /// Of each passage, padding included.
    tokens: usize,
}

/// The shapes of the batches that were looked at, on both sides; the largest first. Where the first side makes batches
/// of another size, the passages of its batch are as many as it puts into one.
fn shapes(forced: &Forced, [a, b]: [&Torch; 2]) -> Vec<[Shape; 2]> {
    let mut batches: Vec<_> = forced.batches.iter().collect();
    batches.sort_by_key(|batch| std::cmp::Reverse(batch.rows));
    let longest = batches.iter().map(|batch| batch.longest).max();
    let longest = longest.unwrap_or(1);
    let mut shapes: Vec<[Shape; 2]> = Vec::new();
    for batch in batches {
        let passages = batch.pids.len().max(1);
        let of_b = Shape {
            passages,
            tokens: (batch.rows / passages).max(1),
        };
        let same_batches = a.batch() == b.batch();
        let passages = match same_batches {
            true => passages,
            false => a.batch().min(a.passages()),
        };
        // A smaller batch of the same passages is padded to as few tokens as a passage has on average, or to as many
        // as the longest.
        let mean = (batch.tokens / batch.pids.len().max(1)).max(1);
        let tokens = match (a.pad(), b.pad()) {
            (Pad::List, Pad::Batch) => vec![longest],
            (Pad::Batch, Pad::List) => vec![batch.longest, mean],
            (Pad::Batch, Pad::Batch) if !same_batches => vec![of_b.tokens, mean, longest],
            _ => vec![of_b.tokens],
        };
        for tokens in tokens {
            let of_a = Shape { passages, tokens };
            if !shapes.contains(&[of_a, of_b]) {
                shapes.push([of_a, of_b]);
            }
        }
    }
    match shapes.is_empty() {
        true => vec![
            [Shape {
                passages: 1,
                tokens: 1,
            }; 2],
        ],
        false => shapes,
    }
}

/// What a linear layer adds up, where its order of additions is known; else the width of what it makes.
fn inputs(culprit: &Culprit, forced: &Forced) -> usize {
    let mut orders = forced.orders.iter();
    let orders = orders.find(|orders| orders.modules.contains(&culprit.module));
    orders.map_or(culprit.width, |orders| orders.inputs)
}

/// Numbers between −½ and ½ times `scale`, the same as `numbers` of the script makes.
fn numbers(seed: u64, scale: f32, shape: &[usize]) -> Result<Tensor, OperationError> {
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
fn made(name: &str, seed: u64, scale: f32, shape: &[usize]) -> String {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("{name} = numbers({seed}, {scale:?}, {})", shape.join(", "))
}

/// A step that takes rows `(passages, tokens, …)`, on both sides.
fn cases(
    culprit: &Culprit,
    forced: &Forced,
    shapes: [Shape; 2],
    sides: &mut [Operations; 2],
) -> Result<Vec<Case>, ExplainError> {
    let width = culprit.width;
    let operation = culprit.operation;
    let batch = |of: usize| shapes.map(|shape| [shape.passages, shape.tokens, of]);
    // What an operation makes of its first operand, which is as large as the batch, and of others that are the same on
    // both sides.
    let rows = |name, call: String, of, scale, others: Vec<String>, y: [Tensor; 2]| {
        let operands = batch(of).map(|shape| {
            let first = made("x", 1, scale, &shape);
            [vec![first], others.clone()].concat()
        });
        vec![Case {
            name,
            operation,
            call,
            operands,
            results: y,
            part: None,
        }]
    };
    let x = |of: usize, scale: f32| -> Result<[Tensor; 2], ExplainError> {
        let [a, b] = batch(of);
        Ok([numbers(1, scale, &a)?, numbers(1, scale, &b)?])
    };
    let [a, b] = sides;
    let mut on_rows = |operation: RowOperation<'_>, [x, y]: [Tensor; 2]| {
        let both = [a.by_rows(operation, &x)?, b.by_rows(operation, &y)?];
        Ok::<_, ExplainError>(both)
    };
    Ok(match operation {
        Operation::Lookup | Operation::Mask => Vec::new(),
        Operation::LayerNorm => {
            let (gamma, beta) = (numbers(2, 1.0, &[width])?, numbers(3, 0.2, &[width])?);
            let layer_norm = RowOperation::LayerNorm {
                gamma: gamma.as_slice()?,
                beta: beta.as_slice()?,
                eps: 1e-12,
            };
            let others = vec![
                made("gamma", 2, 1.0, &[width]),
                made("beta", 3, 0.2, &[width]),
            ];
            let call = format!("torch.nn.functional.layer_norm(x, ({width},), gamma, beta, 1e-12)");
            let y = on_rows(layer_norm, x(width, 2.0)?)?;
            rows("layer-norm", call, width, 2.0, others, y)
        }
        Operation::Gelu => {
            let y = on_rows(RowOperation::Gelu, x(width, 8.0)?)?;
            let call = "torch.nn.functional.gelu(x)".to_owned();
            rows("gelu", call, width, 8.0, Vec::new(), y)
        }
        Operation::Normalize => {
            let y = on_rows(RowOperation::Normalize, x(width, 2.0)?)?;
            let call = "torch.nn.functional.normalize(x, p=2, dim=-1)".to_owned();
            rows("normalize", call, width, 2.0, Vec::new(), y)
        }
        Operation::Linear => {
            let inputs = inputs(culprit, forced);
            let (w, bias) = (
                numbers(2, 0.2, &[width, inputs])?,
                numbers(3, 0.2, &[width])?,
            );
            let [x_a, x_b] = x(inputs, 2.0)?;
            let y = [a.layer(&x_a, &w, &bias)?, b.layer(&x_b, &w, &bias)?];
            let others = vec![
                made("w", 2, 0.2, &[width, inputs]),
                made("bias", 3, 0.2, &[width]),
            ];
            let call = "torch.nn.functional.linear(x, w, bias)".to_owned();
            rows("linear", call, inputs, 2.0, others, y)
        }
        Operation::Attention => attention(shapes, width, forced.heads, sides)?,
    })
}

/// The three steps of attention, each on numbers of its own. Where one side pads further, its operands are those of the
/// other with padding behind them, which a mask makes count for nothing.
fn attention(
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
