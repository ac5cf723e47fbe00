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
}

impl Case {
    /// The elements that both sides compute on the same numbers, in f32: of the rows of both, in order, those that the
    /// side with fewer has.
    fn common(&self) -> Result<[Vec<f32>; 2], ExplainError> {
        let wide = |tensor: &Tensor| -> Result<Vec<f32>, ExplainError> {
            Ok(tensor.cast(DType::F32)?.as_slice::<f32>()?.to_vec())
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
    let shapes = batches.iter().map(|batch| {
        let passages = batch.pids.len().max(1);
        let of_b = Shape {
            passages,
            tokens: (batch.rows / passages).max(1),
        };
        let of_a = Shape {
            passages: match a.batch() == b.batch() {
                true => passages,
                false => a.batch().min(a.passages()),
            },
            tokens: match (a.pad(), b.pad()) {
                (Pad::List, Pad::Batch) => longest.unwrap_or(1),
                (Pad::Batch, Pad::List) => batch.longest,
                _ => of_b.tokens,
            },
        };
        [of_a, of_b]
    });
    let shapes: Vec<_> = shapes.collect();
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
        // In another length the same numbers would not be those of the same tokens.
        Operation::Attention if shapes[0].tokens != shapes[1].tokens => Vec::new(),
        Operation::Attention => attention(shapes, width, forced.heads, sides)?,
    })
}

/// The three steps of attention, each on numbers of its own; passages have as many tokens on both sides.
fn attention(
    shapes: [Shape; 2],
    width: usize,
    heads: usize,
    sides: &mut [Operations; 2],
) -> Result<Vec<Case>, ExplainError> {
    let of_head = width / heads.max(1);
    let [a, b] = sides;
    let mut cases = Vec::new();
    let mut step = |name, call: &str, operands: &dyn Fn(Shape) -> Vec<Operand>| {
        let operands = shapes.map(operands);
        let tensors = |side: usize| -> Result<Vec<Tensor>, ExplainError> {
            let operands = operands[side].iter();
            let made = operands.map(|of| Ok(numbers(of.seed, of.scale, &of.shape)?));
            made.collect()
        };
        let result = |operations: &mut Operations, side| -> Result<Tensor, ExplainError> {
            Ok(match tensors(side)?.as_slice() {
                [s] => operations.by_rows(RowOperation::Softmax, s)?,
                [p, v, ..] => operations.matmul(p, v)?,
                [] => Tensor::vector(Vec::<f32>::new()),
            })
        };
        let results = [result(a, 0)?, result(b, 1)?];
        cases.push(Case {
            name,
            operation: Operation::Attention,
            call: call.to_owned(),
            operands: operands.map(|operands| operands.iter().map(Operand::line).collect()),
            results,
        });
        Ok::<(), ExplainError>(())
    };
    let rows = |shape: Shape| [shape.passages, heads, shape.tokens, of_head];
    let scores = |shape: Shape| [shape.passages, heads, shape.tokens, shape.tokens];
    let columns = |shape: Shape| [shape.passages, heads, of_head, shape.tokens];
    let operand = |name, seed, scale, shape: [usize; 4]| Operand {
        name,
        seed,
        scale,
        shape,
    };
    step("attention-softmax", "torch.softmax(s, dim=-1)", &|shape| {
        vec![operand("s", 3, 8.0, scores(shape))]
    })?;
    step("attention-scores", "torch.matmul(q, k)", &|shape| {
        vec![
            operand("q", 1, 2.0, rows(shape)),
            operand("k", 2, 2.0, columns(shape)),
        ]
    })?;
    step("attention-context", "torch.matmul(p, v)", &|shape| {
        vec![
            operand("p", 4, 1.0, scores(shape)),
            operand("v", 5, 2.0, rows(shape)),
        ]
    })?;
    Ok(cases)
}

/// An operand of a step of attention, by the rule that makes it.
struct Operand {
    name: &'static str,
    seed: u64,
    scale: f32,
    shape: [usize; 4],
}

impl Operand {
    fn line(&self) -> String {
        made(self.name, self.seed, self.scale, &self.shape)
    }
}
