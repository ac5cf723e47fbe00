//! Which side is nearer the truth: the same module in double precision, on the same inputs.

use concord_pipeline::{Forcing, ModulePattern, RecordedRun, Replacements};
use concord_tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::error::ExplainError;

/// How far both sides are from double precision at one module.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// The mean absolute error of the first side.
    pub mean_a: f64,
    /// Of the second.
    pub mean_b: f64,
    /// The largest absolute error of the first side.
    pub max_a: f64,
    /// Of the second.
    pub max_b: f64,
}

/// The errors of both sides at a module, over all passages that the three probes have. `None` where the
/// referee did not compute it.
pub(super) fn errors(
    module: &str,
    [truth, a, b]: [&RecordedRun; 3],
) -> Result<Option<Errors>, ExplainError> {
    let taps = truth.taps().iter().filter(|tap| tap.tap == module);
    let pids = taps.flat_map(|tap| tap.passages.iter().map(|rows| rows.pid));
    let pids: Vec<usize> = pids.collect();
    if pids.is_empty() {
        return Ok(None);
    }
    let values = |run| Forcing::new(run, vec![ModulePattern::new(module)]);
    let (truth, a, b) = (values(truth)?, values(a)?, values(b)?);
    let (mut sums, mut largest, mut count) = ([0.0f64; 2], [0.0f64; 2], 0usize);
    for pid in pids {
        let (exact, of_a, of_b) = (
            truth.rows(module, pid)?,
            a.rows(module, pid)?,
            b.rows(module, pid)?,
        );
        let (Some(exact), Some(of_a), Some(of_b)) = (exact, of_a, of_b) else {
            continue;
        };
        let exact = wide(&exact)?;
        for (side, rows) in [of_a, of_b].iter().enumerate() {
            for (value, exact) in wide(rows)?.iter().zip(&exact) {
                let error = (value - exact).abs();
                sums[side] += error;
                largest[side] = largest[side].max(error);
            }
        }
        count += exact.len();
    }
    if count == 0 {
        return Ok(None);
    }
    let count = count as f64;
    Ok(Some(Errors {
        mean_a: sums[0] / count,
        mean_b: sums[1] / count,
        max_a: largest[0],
        max_b: largest[1],
    }))
}

fn wide(rows: &Tensor) -> Result<Vec<f64>, ExplainError> {
    let rows = rows.cast(DType::F64)?;
    Ok(rows.as_slice::<f64>()?.to_vec())
}
