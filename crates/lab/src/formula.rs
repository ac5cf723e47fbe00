//! Which formula a short operation computes, found from its outputs alone.
//!
//! GELU, layer normalisation, division by the length and softmax have no order of additions that probes
//! could bring out: they round in the middle, and call functions that no standard fixes. So an operation is
//! asked for a [`Sweep`] of inputs, and its results are held against two things: the true values, which
//! says how far it errs in units of the last place ([`UlpError`]), and every formula of a list that is
//! evaluated as a program would ([`recognise`]). The one that gives most of the results bit for bit is what
//! the operation probably computes; how many it gives is said, and where none gives all of them, that too.
//!
//! The list is a product of a few choices: how sums are added, whether products are fused into them, one
//! pass or two, a quotient or a reciprocal, which approximation of the exponential. The alternative, a
//! search over all programs, would find formulas that nobody has written.
//!
//! The arithmetic is plain `f32` and `f64` with the elementary functions of the kernels and the referee, so
//! that an evaluation is the same on every machine.

mod approximations;
mod choices;
mod error;
mod gelu;
mod layer_norm;
mod moments;
mod normalize;
mod piecewise;
mod reference;
mod softmax;
mod sums;
mod sweep;
#[cfg(test)]
mod torch_results;

pub use error::UlpError;
pub use reference::true_values;
pub use sweep::{RowKind, ShortOperation, Sweep, SweepError};

use concord_subject::operations::{OperationError, Operations};
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

/// Why the formula of a subject's operation cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum FormulaError {
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Agent(#[from] concord_subject::agent::AgentError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The results are not as many as the inputs.
    #[error("the operation was asked for {asked} results and gave {given}")]
    WrongCount { asked: usize, given: usize },
}

/// A formula of the list and how many results it reproduces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// The formula in words.
    pub formula: String,
    /// The results that it gives bit for bit.
    pub reproduced: usize,
}

/// What the list says of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognition {
    /// The results that were held against the formulas.
    pub samples: usize,
    /// The number of formulas in the list.
    pub formulas: usize,
    /// The formula that reproduces most results; of several, the first of the list.
    pub best: Guess,
    /// Formulas that reproduce as many, in the order of the list.
    pub as_many: Vec<String>,
    /// The best of those that reproduce fewer.
    pub runner_up: Option<Guess>,
}

impl Recognition {
    /// Whether a formula reproduces every result.
    pub fn is_complete(&self) -> bool {
        self.best.reproduced == self.samples
    }
}

/// A short operation of a subject: how far it errs, and what it probably computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundFormula {
    pub subject: String,
    pub operation: ShortOperation,
    /// The values of a row.
    pub width: usize,
    pub recognition: Recognition,
    /// The distance from the true values.
    pub error: UlpError,
    /// The results, for comparison with those of another subject.
    #[serde(skip)]
    pub results: Vec<f32>,
}

impl FoundFormula {
    /// How many results this one and `other` have in common, bit for bit.
    pub fn shared(&self, other: &FoundFormula) -> usize {
        equal_bits(&self.results, &other.results)
    }
}

/// Asks the operation of `runner`, as its module at `module` computes it, for the results of a sweep over
/// rows of `width`, and compares them with the true values and with the formulas of the list.
///
/// # Errors
/// [`FormulaError`].
pub fn reveal_formula(
    runner: &Runner,
    module: &str,
    operation: ShortOperation,
    width: usize,
    seed: u64,
) -> Result<FoundFormula, FormulaError> {
    let mut operations = Operations::of(runner, module)?;
    find_formula(
        &mut operations,
        runner.specification(),
        operation,
        width,
        seed,
    )
}

/// The same of operations that are ready to be asked, those of the subject named `subject`.
///
/// # Errors
/// [`FormulaError`].
pub fn find_formula(
    operations: &mut Operations,
    subject: String,
    operation: ShortOperation,
    width: usize,
    seed: u64,
) -> Result<FoundFormula, FormulaError> {
    let sweep = Sweep::new(operation, width, seed)?;
    let answer = operations.by_rows(sweep.request(), sweep.inputs())?;
    let results = answer
        .as_slice::<f32>()
        .map_err(OperationError::from)?
        .to_vec();
    Ok(FoundFormula {
        subject,
        operation,
        width,
        recognition: recognise(&sweep, &results)?,
        error: UlpError::between(&results, &true_values(&sweep)),
        results,
    })
}

/// Holds the results of an operation on a sweep against every formula of the list for it.
///
/// # Errors
/// [`FormulaError::WrongCount`].
pub fn recognise(sweep: &Sweep, results: &[f32]) -> Result<Recognition, FormulaError> {
    if results.len() != sweep.values().len() {
        return Err(FormulaError::WrongCount {
            asked: sweep.values().len(),
            given: results.len(),
        });
    }
    let mut guesses = Vec::new();
    evaluate(sweep, &mut |formula, values| {
        guesses.push(Guess {
            formula,
            reproduced: equal_bits(values, results),
        });
    });
    Ok(ranked(guesses, results.len()))
}

/// Gives the values of each formula of the list for a sweep to `hold`.
fn evaluate(sweep: &Sweep, hold: &mut choices::Hold<'_>) {
    match sweep.operation() {
        ShortOperation::Gelu => gelu::evaluate(sweep.values(), hold),
        ShortOperation::LayerNorm => layer_norm::evaluate(sweep, hold),
        ShortOperation::Normalize => normalize::evaluate(sweep, hold),
        ShortOperation::Softmax => softmax::evaluate(sweep, hold),
    }
}

fn ranked(mut guesses: Vec<Guess>, samples: usize) -> Recognition {
    let formulas = guesses.len();
    // A stable sort: of those that reproduce as many, the first of the list stays the first.
    guesses.sort_by_key(|guess| std::cmp::Reverse(guess.reproduced));
    let mut guesses = guesses.into_iter();
    let best = guesses.next().unwrap_or(Guess {
        formula: "none".to_owned(),
        reproduced: 0,
    });
    let mut as_many = Vec::new();
    let mut runner_up = None;
    for guess in guesses {
        if guess.reproduced < best.reproduced {
            runner_up = Some(guess);
            break;
        }
        as_many.push(guess.formula);
    }
    Recognition {
        samples,
        formulas,
        best,
        as_many,
        runner_up,
    }
}

/// How many values are the same, bit for bit. Any NaN is every other: which one comes out says more of the
/// processor than of the formula.
fn equal_bits(a: &[f32], b: &[f32]) -> usize {
    let same = |(a, b): &(&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    a.iter().zip(b).filter(same).count()
}
