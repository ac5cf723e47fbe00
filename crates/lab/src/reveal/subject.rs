//! The additions of a subject.

use std::fmt;

use concord_subject::operations::{OperationError, Operations, SumOf};
use concord_subject::runner::Runner;
use concord_tensor::{BitHash, DType, Tensor};
use serde::{Deserialize, Serialize};

use super::label::label;
use super::linear::{LinearProbes, LinearShape, Masked, Operands};
use super::mask::MaskError;
use super::recover::{RecoverError, RecoverOptions, Recovery, recover};
use super::replay::{Replay, Sample, replay};
use super::vectors::SumProbes;

/// Why the order of a subject's additions cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum RevealError {
    #[error(transparent)]
    Agent(#[from] concord_subject::agent::AgentError),
    /// The dtype has no order to find.
    #[error(transparent)]
    Mask(#[from] MaskError),
    #[error(transparent)]
    Recover(#[from] RecoverError<OperationError>),
    /// The layer cannot be computed on ordinary numbers.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// What adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    Linear(LinearShape),
    /// The sum of a vector.
    Sum {
        /// Whose.
        of: SumOf,
        /// The length of the vector.
        terms: usize,
    },
}

/// The orders in which an operation adds.
#[derive(Debug)]
pub struct Revealed {
    pub subject: String,
    pub operation: Adding,
    /// The orders, that of the most sums first.
    pub recovery: Recovery,
    /// For each order, whether ordinary numbers added in it give the operation's bits; `None` where that
    /// cannot be said: additions of more than two terms.
    pub replays: Vec<Option<Replay>>,
}

/// An order in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSummary {
    /// In words.
    pub label: String,
    /// The hash of the canonical tree.
    pub hash: BitHash,
    /// The sums that are added so.
    pub sums: usize,
    /// Results on ordinary numbers that were compared, and how many the order reproduces bit for bit;
    /// `None` where it cannot be replayed.
    pub replayed: Option<(usize, usize)>,
}

impl Revealed {
    /// The orders in short.
    pub fn summaries(&self) -> Vec<OrderSummary> {
        let orders = self.recovery.orders.iter().zip(&self.replays);
        orders
            .map(|(order, replay)| OrderSummary {
                label: label(&order.tree),
                hash: order.tree.hash(),
                sums: order.sums,
                replayed: replay
                    .as_ref()
                    .map(|replay| (replay.compared, replay.reproduced)),
            })
            .collect()
    }
}

/// Finds the orders in which the linear layers of `runner` add, for operands of this shape, as the module at
/// `module` computes them.
///
/// # Errors
/// [`RevealError`].
pub fn reveal_linear(
    runner: &Runner,
    module: &str,
    shape: LinearShape,
    options: &RecoverOptions,
) -> Result<Revealed, RevealError> {
    let mut operations = Operations::of(runner, module)?;
    find_linear_orders(&mut operations, runner.specification(), shape, options)
}

/// The same of operations that are ready to be asked, those of the subject named `subject`.
///
/// # Errors
/// [`RevealError`].
pub fn find_linear_orders(
    operations: &mut Operations,
    subject: String,
    shape: LinearShape,
    options: &RecoverOptions,
) -> Result<Revealed, RevealError> {
    let dtypes = operations.dtypes();
    let run =
        |operands: Operands<'_>| operations.linear(operands.x, operands.w, operands.shape.inputs);
    let mut layer = LinearProbes::new(shape, Masked::Weights, dtypes, run)?;
    let recovery = recover(&mut layer, options)?;
    let trial = layer.trial(options.seed)?;
    let samples = trial.samples();
    let replays = recovery
        .orders
        .iter()
        .map(|order| {
            let here: Vec<Sample<'_>> = samples
                .iter()
                .filter(|(place, slot, _)| recovery.order_at(*place, *slot) == Some(order))
                .map(|(_, _, sample)| *sample)
                .collect();
            replay(&order.tree, &here, dtypes[2]).ok()
        })
        .collect();
    Ok(Revealed {
        subject,
        operation: Adding::Linear(shape),
        recovery,
        replays,
    })
}

/// Finds the order in which `runner` sums a vector of `terms` numbers in `f32`, one vector to a call.
///
/// # Errors
/// [`RevealError`].
pub fn reveal_sum(
    runner: &Runner,
    of: SumOf,
    terms: usize,
    options: &RecoverOptions,
) -> Result<Revealed, RevealError> {
    let mut operations = Operations::of(runner, "")?;
    let run = |vectors: &[f32]| {
        let rows = vectors.len() / terms.max(1);
        operations.sums(of, &Tensor::new(vec![rows, terms], vectors.to_vec())?)
    };
    let mut sums = SumProbes::new(terms, run)?;
    let recovery = recover(&mut sums, options)?;
    let trial = sums.trial(options.seed)?;
    let samples = trial.samples();
    let orders = recovery.orders.iter();
    let replays = orders.map(|order| replay(&order.tree, &samples, DType::F32).ok());
    Ok(Revealed {
        subject: runner.specification(),
        operation: Adding::Sum { of, terms },
        replays: replays.collect(),
        recovery,
    })
}

impl fmt::Display for Adding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Adding::Linear(LinearShape {
                rows,
                inputs,
                outputs,
            }) => write!(f, "linear, M = {rows}, K = {inputs}, N = {outputs}"),
            Adding::Sum {
                of: SumOf::Torch,
                terms,
            } => write!(f, "sum of {terms} terms"),
            Adding::Sum {
                of: SumOf::Numpy,
                terms,
            } => write!(f, "NumPy's sum of {terms} terms"),
        }
    }
}
