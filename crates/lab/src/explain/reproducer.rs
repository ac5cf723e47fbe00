//! A script that shows a difference without Concord: PyTorch and numpy alone.
//!
//! The numbers it computes on are made by a rule that every version of numpy follows to the bit, so no
//! tensors have to go with it. That the difference shows on them is measured here, on both sides, before
//! the script is written.
//!
//! Each side computes in its own shape: where batches are of other sizes, or padded otherwise, the rows that both
//! have are computed on the same numbers.

use concord_model::architecture::Operation;
use concord_subject::operations::{Operations, RowOperation};
use concord_subject::runner::Runner;
use concord_subject::torch::Torch;
use concord_tensor::Tensor;

use super::attention::attention;
use super::culprit::Culprit;
use super::encoder::Forced;
use super::error::ExplainError;
use super::made_up::{Case, Shape, made, numbers};
use super::script::{Reproducer, Shown, SideOfScript, script};

/// An operation of a culprit for which there is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unshown {
    pub operation: Operation,
    pub why: String,
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
    let shapes = shapes(forced);
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
    if culprits.iter().all(|culprit| has_other_masks(culprit)) {
        return Some("it shows where the two have other attention masks alone".to_owned());
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

/// Whether other masks are all by which it differs.
fn has_other_masks(culprit: &Culprit) -> bool {
    culprit
        .other_masks
        .as_ref()
        .is_some_and(|masks| masks.wholly)
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

/// The shapes of the batches in which both sides had a passage that shows a culprit; and, where it is their code that
/// differs, the first side's for both.
fn shapes(forced: &Forced) -> Vec<[Shape; 2]> {
    let mut shapes: Vec<[Shape; 2]> = Vec::new();
    for culprit in &forced.culprits {
        let Some(pair) = culprit.shapes else {
            continue;
        };
        let [a, b] = [pair.a, pair.b].map(|shape| Shape {
            passages: shape.passages.max(1),
            tokens: shape.tokens.max(1),
        });
        let same = culprit.by_code().then_some([a, a]);
        for shape in same.into_iter().chain([[a, b]]) {
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
    }
    shapes
}

/// What a linear layer adds up, where its order of additions is known; else the width of what it makes.
fn inputs(culprit: &Culprit, forced: &Forced) -> usize {
    let mut orders = forced.orders.iter();
    let orders = orders.find(|orders| orders.modules.contains(&culprit.module));
    orders.map_or(culprit.width, |orders| orders.inputs)
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
