//! In which way each side computes what a culprit computes: the order of additions of a linear layer, the
//! formula of a short operation.

use concord_model::architecture::{Architecture, Operation};
use concord_pipeline::RecordedRun;
use concord_subject::operations::{OperationError, Operations};
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use super::batches::Batch;
use super::culprit::Culprit;
use super::error::ExplainError;
use crate::formula::{FormulaError, FoundFormula, ShortOperation, find_formula};
use crate::reveal::{LinearShape, OrderSummary, RecoverOptions, find_linear_orders};

/// Of the inputs that a formula is found with.
const SEED: u64 = 1;

/// How both sides add the products of linear layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The culprits of this shape that add so.
    pub modules: Vec<String>,
    /// Rows of the batch: M.
    pub rows: usize,
    /// What is added up: K.
    pub inputs: usize,
    /// Columns: N.
    pub outputs: usize,
    /// The orders of the first side, that of the most sums first.
    pub a: Vec<OrderSummary>,
    /// Of the second side.
    pub b: Vec<OrderSummary>,
}

impl Orders {
    /// Whether both sides add in the same orders, as many sums in each.
    pub fn same(&self) -> bool {
        let of = |side: &[OrderSummary]| -> Vec<_> {
            side.iter().map(|order| (order.hash, order.sums)).collect()
        };
        of(&self.a) == of(&self.b)
    }
}

/// How both sides compute a short operation, on numbers made up for the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formulas {
    /// The culprits that compute so.
    pub modules: Vec<String>,
    /// The operation that was asked; of attention it is the softmax.
    pub operation: ShortOperation,
    /// The values of a row.
    pub width: usize,
    /// Results that were held against formulas.
    pub samples: usize,
    /// Results that both sides have in common, bit for bit.
    pub shared: usize,
    /// What the first side probably computes.
    pub a: Way,
    /// What the second side probably computes.
    pub b: Way,
}

/// The formula that reproduces most of a side's results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// In words.
    pub formula: String,
    /// The results that it gives bit for bit.
    pub reproduced: usize,
}

impl Way {
    fn of(found: &FoundFormula) -> Way {
        Way {
            formula: found.recognition.best.formula.clone(),
            reproduced: found.recognition.best.reproduced,
        }
    }
}

/// A side whose operations are asked; of PyTorch one process for all.
struct Side<'a> {
    runner: &'a Runner,
    operations: Operations,
}

impl<'a> Side<'a> {
    fn new(runner: &'a Runner) -> Result<Side<'a>, ExplainError> {
        let operations = Operations::of(runner, "")?;
        Ok(Side { runner, operations })
    }

    /// Its operations as the module at `module` computes them.
    fn at(&mut self, module: &str) -> Result<&mut Operations, ExplainError> {
        // In one process of PyTorch all modules compute alike.
        if let Runner::Native(_) = self.runner {
            self.operations = Operations::of(self.runner, module)?;
        }
        Ok(&mut self.operations)
    }
}

/// What the ways of all culprits are asked with.
pub(super) struct WaysOf<'a> {
    a: Side<'a>,
    b: Side<'a>,
    /// The rows of the largest batch that was looked at.
    rows: usize,
    /// The tokens of its longest passage.
    tokens: usize,
}

/// Culprits that are asked together, because both sides compute them in one way.
struct Alike<'a, T> {
    of: T,
    culprits: Vec<&'a Culprit>,
}

impl<'a> WaysOf<'a> {
    pub(super) fn new(
        a: &'a Runner,
        b: &'a Runner,
        batches: &[&Batch],
    ) -> Result<WaysOf<'a>, ExplainError> {
        let largest = batches.iter().max_by_key(|batch| batch.rows);
        Ok(WaysOf {
            a: Side::new(a)?,
            b: Side::new(b)?,
            rows: largest.map_or(1, |batch| batch.rows),
            tokens: largest.map_or(1, |batch| batch.longest),
        })
    }

    /// The orders in which both sides add the products of linear layers that are culprits. `run` has taps
    /// at what they read.
    pub(super) fn orders(
        &mut self,
        culprits: &[Culprit],
        architecture: &Architecture,
        run: &RecordedRun,
    ) -> Result<Vec<Orders>, ExplainError> {
        let width = |path: &str| {
            let mut taps = run.taps().iter();
            taps.find(|tap| tap.tap == path).map(|tap| tap.width)
        };
        let shape = |culprit: &Culprit| {
            let module = architecture.module(&culprit.module)?;
            let read = module.reads.first()?;
            Some((width(read)?, culprit.width))
        };
        let linear = culprits
            .iter()
            .filter(|culprit| culprit.operation == Operation::Linear && computes(culprit));
        let mut found = Vec::new();
        for alike in self.alike(linear.filter_map(|culprit| Some((shape(culprit)?, culprit)))) {
            let (inputs, outputs) = alike.of;
            let shape = LinearShape {
                rows: self.rows,
                inputs,
                outputs,
            };
            let module = &alike.culprits[0].module;
            let order = |side: &mut Side<'_>| -> Result<Vec<OrderSummary>, ExplainError> {
                let subject = side.runner.specification();
                let operations = side.at(module)?;
                let options = RecoverOptions::default();
                Ok(find_linear_orders(operations, subject, shape, &options)?.summaries())
            };
            found.push(Orders {
                rows: self.rows,
                inputs,
                outputs,
                a: order(&mut self.a)?,
                b: order(&mut self.b)?,
                modules: alike.paths(),
            });
        }
        Ok(found)
    }

    /// The formulas of the short operations among the culprits. Those that a side does not compute apart
    /// from others are left out.
    pub(super) fn formulas(&mut self, culprits: &[Culprit]) -> Result<Vec<Formulas>, ExplainError> {
        let short = |culprit: &Culprit| {
            Some(match culprit.operation {
                Operation::Gelu => (ShortOperation::Gelu, 1),
                Operation::LayerNorm => (ShortOperation::LayerNorm, culprit.width),
                Operation::Normalize => (ShortOperation::Normalize, culprit.width),
                Operation::Attention => (ShortOperation::Softmax, self.tokens),
                Operation::Lookup | Operation::Linear | Operation::Mask => return None,
            })
        };
        let asked = culprits.iter().filter(|culprit| computes(culprit));
        let asked: Vec<_> = asked.filter_map(|c| Some((short(c)?, c))).collect();
        let mut found = Vec::new();
        for alike in self.alike(asked.into_iter()) {
            let (operation, width) = alike.of;
            let module = &alike.culprits[0].module;
            let formula = |side: &mut Side<'_>| -> Result<Option<FoundFormula>, ExplainError> {
                let subject = side.runner.specification();
                match find_formula(side.at(module)?, subject, operation, width, SEED) {
                    Ok(found) => Ok(Some(found)),
                    Err(FormulaError::Operation(OperationError::NotApart(_))) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            };
            if let (Some(a), Some(b)) = (formula(&mut self.a)?, formula(&mut self.b)?) {
                found.push(Formulas {
                    operation,
                    width,
                    samples: a.recognition.samples,
                    shared: a.shared(&b),
                    a: Way::of(&a),
                    b: Way::of(&b),
                    modules: alike.paths(),
                });
            }
        }
        Ok(found)
    }

    /// Culprits by what they are and by the ways in which both sides compute them.
    fn alike<'c, T: PartialEq>(
        &self,
        culprits: impl Iterator<Item = (T, &'c Culprit)>,
    ) -> Vec<Alike<'c, T>> {
        let mut all: Vec<Alike<'c, T>> = Vec::new();
        for (of, culprit) in culprits {
            let known = all.iter_mut().find(|alike| {
                let other = &alike.culprits[0].module;
                let as_other = |side: &Side<'_>| side.runner.computes_alike(other, &culprit.module);
                alike.of == of && as_other(&self.a) && as_other(&self.b)
            });
            match known {
                Some(alike) => alike.culprits.push(culprit),
                None => all.push(Alike {
                    of,
                    culprits: vec![culprit],
                }),
            }
        }
        all
    }
}

/// Whether both sides compute anything at the culprit: one that is cut out has no way of doing it.
fn computes(culprit: &Culprit) -> bool {
    culprit.cut_out == [false; 2]
}

impl<T> Alike<'_, T> {
    fn paths(&self) -> Vec<String> {
        let culprits = self.culprits.iter();
        culprits.map(|culprit| culprit.module.clone()).collect()
    }
}
