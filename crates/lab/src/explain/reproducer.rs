//! A script that shows a difference without Concord: PyTorch and numpy alone.
//!
//! The numbers it computes on are made by a rule that every version of numpy follows to the bit, so no
//! tensors have to go with it. That the difference shows on them is measured here, on both sides, before
//! the script is written.

use concord_model::architecture::Operation;
use concord_subject::operations::{OperationError, Operations, RowOperation};
use concord_subject::runner::Runner;
use concord_tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::culprit::Culprit;
use super::encoder::Forced;
use super::error::ExplainError;

/// A script and what it prints on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reproducer {
    pub operation: Operation,
    /// A name for its folder.
    pub name: String,
    /// The Python script.
    pub script: String,
    /// What it prints on the first side.
    pub expected_a: String,
    /// On the second.
    pub expected_b: String,
    /// Elements of the result that differ.
    pub differing: usize,
    /// Of how many.
    pub of: usize,
}

/// The step whose result is looked at.
struct Case {
    name: &'static str,
    operation: Operation,
    /// The line of Python that computes `y`.
    call: String,
    /// The lines that make its operands.
    operands: Vec<String>,
    results: [Tensor; 2],
}

/// Scripts for the operations of the culprits, as far as the difference shows on made-up numbers. The
/// second value names the operations for which it does not.
///
/// Both sides must be PyTorch; others have no script.
///
/// # Errors
/// When a process cannot be asked.
pub fn reproducers(
    forced: &Forced,
    a: &Runner,
    b: &Runner,
) -> Result<(Vec<Reproducer>, Vec<Operation>), ExplainError> {
    let (Runner::Torch(torch_a), Runner::Torch(torch_b)) = (a, b) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let mut sides = [Operations::of(a, "")?, Operations::of(b, "")?];
    let batch = forced.batches.iter().max_by_key(|batch| batch.rows);
    let (passages, tokens) = batch.map_or((1, 1), |batch| (batch.pids.len(), batch.longest));
    let (mut scripts, mut silent) = (Vec::new(), Vec::new());
    let mut seen: Vec<Operation> = Vec::new();
    for culprit in &forced.culprits {
        if seen.contains(&culprit.operation) {
            continue;
        }
        seen.push(culprit.operation);
        let shape = Shape {
            passages,
            tokens,
            width: culprit.width,
            heads: forced.heads,
        };
        let cases = cases(culprit, forced, shape, &mut sides)?;
        let shown: Vec<Case> = cases
            .into_iter()
            .filter(|case| case.results[0].hash() != case.results[1].hash())
            .take(1)
            .collect();
        if shown.is_empty() && culprit.operation != Operation::Lookup {
            silent.push(culprit.operation);
        }
        for case in shown {
            let setting = Setting {
                autocast: [torch_a.amp(), torch_b.amp()].map(|amp| amp.to_string()),
                // A single operation is the same with either engine.
                subjects: [a, b].map(|runner| runner.specification().replace(",engine=bert", "")),
            };
            scripts.push(script(&case, &setting)?);
        }
    }
    Ok((scripts, silent))
}

#[derive(Clone, Copy)]
struct Shape {
    passages: usize,
    tokens: usize,
    width: usize,
    heads: usize,
}

struct Setting {
    autocast: [String; 2],
    subjects: [String; 2],
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

fn cases(
    culprit: &Culprit,
    forced: &Forced,
    shape: Shape,
    sides: &mut [Operations; 2],
) -> Result<Vec<Case>, ExplainError> {
    let Shape {
        passages,
        tokens,
        width,
        heads,
    } = shape;
    let batch = [passages, tokens, width];
    let mut on_rows =
        |operation: RowOperation<'_>, x: &Tensor| -> Result<[Tensor; 2], ExplainError> {
            let [a, b] = sides;
            Ok([a.by_rows(operation, x)?, b.by_rows(operation, x)?])
        };
    Ok(match culprit.operation {
        Operation::Lookup | Operation::Mask => Vec::new(),
        Operation::Linear => {
            let orders = forced
                .orders
                .iter()
                .find(|orders| orders.modules.contains(&culprit.module));
            let inputs = orders.map_or(width, |orders| orders.inputs);
            let x = numbers(1, 2.0, &[passages, tokens, inputs])?;
            let w = numbers(2, 0.2, &[width, inputs])?;
            let bias = numbers(3, 0.2, &[width])?;
            let [a, b] = sides;
            vec![Case {
                name: "linear",
                operation: Operation::Linear,
                call: "torch.nn.functional.linear(x, w, bias)".to_owned(),
                operands: vec![
                    made("x", 1, 2.0, &[passages, tokens, inputs]),
                    made("w", 2, 0.2, &[width, inputs]),
                    made("bias", 3, 0.2, &[width]),
                ],
                results: [a.layer(&x, &w, &bias)?, b.layer(&x, &w, &bias)?],
            }]
        }
        Operation::LayerNorm => {
            let x = numbers(1, 2.0, &batch)?;
            let (gamma, beta) = (numbers(2, 1.0, &[width])?, numbers(3, 0.2, &[width])?);
            let operation = RowOperation::LayerNorm {
                gamma: gamma.as_slice()?,
                beta: beta.as_slice()?,
                eps: 1e-12,
            };
            vec![Case {
                name: "layer-norm",
                operation: Operation::LayerNorm,
                call: format!("torch.nn.functional.layer_norm(x, ({width},), gamma, beta, 1e-12)"),
                operands: vec![
                    made("x", 1, 2.0, &batch),
                    made("gamma", 2, 1.0, &[width]),
                    made("beta", 3, 0.2, &[width]),
                ],
                results: on_rows(operation, &x)?,
            }]
        }
        Operation::Gelu => vec![Case {
            name: "gelu",
            operation: Operation::Gelu,
            call: "torch.nn.functional.gelu(x)".to_owned(),
            operands: vec![made("x", 1, 8.0, &batch)],
            results: on_rows(RowOperation::Gelu, &numbers(1, 8.0, &batch)?)?,
        }],
        Operation::Normalize => vec![Case {
            name: "normalize",
            operation: Operation::Normalize,
            call: "torch.nn.functional.normalize(x, p=2, dim=-1)".to_owned(),
            operands: vec![made("x", 1, 2.0, &batch)],
            results: on_rows(RowOperation::Normalize, &numbers(1, 2.0, &batch)?)?,
        }],
        Operation::Attention => attention(passages, tokens, width, heads, sides)?,
    })
}

/// The three steps of attention, each on numbers of its own.
fn attention(
    passages: usize,
    tokens: usize,
    width: usize,
    heads: usize,
    sides: &mut [Operations; 2],
) -> Result<Vec<Case>, ExplainError> {
    let of_head = width / heads.max(1);
    let rows = [passages, heads, tokens, of_head];
    let scores = [passages, heads, tokens, tokens];
    let columns = [passages, heads, of_head, tokens];
    let [a, b] = sides;
    let case = |name, call: &str, operands, results| Case {
        name,
        operation: Operation::Attention,
        call: call.to_owned(),
        operands,
        results,
    };
    let (q, k) = (numbers(1, 2.0, &rows)?, numbers(2, 2.0, &columns)?);
    let s = numbers(3, 8.0, &scores)?;
    let (p, v) = (numbers(4, 1.0, &scores)?, numbers(5, 2.0, &rows)?);
    Ok(vec![
        case(
            "attention-softmax",
            "torch.softmax(s, dim=-1)",
            vec![made("s", 3, 8.0, &scores)],
            [
                a.by_rows(RowOperation::Softmax, &s)?,
                b.by_rows(RowOperation::Softmax, &s)?,
            ],
        ),
        case(
            "attention-scores",
            "torch.matmul(q, k)",
            vec![made("q", 1, 2.0, &rows), made("k", 2, 2.0, &columns)],
            [a.matmul(&q, &k)?, b.matmul(&q, &k)?],
        ),
        case(
            "attention-context",
            "torch.matmul(p, v)",
            vec![made("p", 4, 1.0, &scores), made("v", 5, 2.0, &rows)],
            [a.matmul(&p, &v)?, b.matmul(&p, &v)?],
        ),
    ])
}

fn script(case: &Case, setting: &Setting) -> Result<Reproducer, ExplainError> {
    let wide = |tensor: &Tensor| -> Result<Vec<f32>, ExplainError> {
        Ok(tensor.cast(DType::F32)?.as_slice::<f32>()?.to_vec())
    };
    let (a, b) = (wide(&case.results[0])?, wide(&case.results[1])?);
    let places = || {
        let pairs = a.iter().zip(&b).enumerate();
        pairs.filter(|(_, (a, b))| a.to_bits() != b.to_bits())
    };
    let differing = places().count();
    let place = places().next().map_or(0, |(at, _)| at);
    let hash = |values: &[f32]| {
        let mut hasher = Sha256::new();
        values
            .iter()
            .for_each(|value| hasher.update(value.to_le_bytes()));
        let digest = hasher.finalize();
        digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let line = |values: &[f32]| {
        format!(
            "sha256 {} y[{place}] {:08x}",
            hash(values),
            values[place].to_bits()
        )
    };
    let (expected_a, expected_b) = (line(&a), line(&b));
    let [subject_a, subject_b] = &setting.subjects;
    let autocast = match setting.autocast[1].as_str() {
        "bf16" => ", torch.autocast(\"cpu\", dtype=torch.bfloat16)",
        "fp16" => ", torch.autocast(\"cpu\", dtype=torch.float16)",
        _ => "",
    };
    let script = format!(
        r#"#!/usr/bin/env python3
"""`{call}` has other bits in {subject_b} than in {subject_a}.

{differing} of {of} elements differ. Needs torch and numpy alone; computes on the CPU.
"""
import hashlib

import numpy as np
import torch


def numbers(seed, scale, *shape):
    """Numbers from -scale/2 to scale/2, the same to the bit in every version."""
    n = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed << 32)
    n = n * np.uint64(0x9E3779B97F4A7C15)
    n = (n ^ (n >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    unit = (n >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return torch.from_numpy(((unit - np.float32(0.5)) * np.float32(scale)).reshape(shape))


{operands}
with torch.no_grad(){autocast}:
    y = {call}.float().contiguous().numpy().reshape(-1)
found = "sha256 %s y[%d] %08x" % (hashlib.sha256(y.tobytes()).hexdigest()[:16], {place}, y.view(np.uint32)[{place}])
expected = {{
    "{subject_a}": "{expected_a}",
    "{subject_b}": "{expected_b}",
}}
print("torch", torch.__version__, found)
print("as", " and ".join(name for name, line in expected.items() if line == found) or "neither")
"#,
        call = case.call,
        of = a.len(),
        operands = case.operands.join("\n"),
    );
    Ok(Reproducer {
        operation: case.operation,
        name: case.name.to_owned(),
        script,
        expected_a,
        expected_b,
        differing,
        of: a.len(),
    })
}
