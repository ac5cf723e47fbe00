//! In which way each side computes what a culprit computes: the order of additions of a linear layer, the
//! formula of a short operation.

use concord_model::architecture::{Architecture, Operation};
use concord_pipeline::RecordedRun;
use concord_subject::operations::{OperationError, Operations};
use concord_subject::runner::Runner;
use serde::{Deserialize, Serialize};

use super::culprit::Culprit;
use super::error::ExplainError;
use super::options::OptionKind;
use super::shapes::{BatchShape, ShapePair};
use crate::formula::{FormulaError, FoundFormula, ShortOperation, find_formula};
use crate::reveal::{LinearShape, OrderSummary, RecoverOptions, find_linear_orders};

/// Of the inputs that a formula is found with.
const SEED: u64 = 1;

/// What two orders, or two formulas, are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contrast {
    /// The first side and the second, in batches of one shape.
    Sides,
    /// The first side alone, in batches of its own shape and of the second side's.
    Shapes,
}

/// How the products of linear layers are added, in two cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// The culprits of this shape that add so.
    pub modules: Vec<String>,
    pub contrast: Contrast,
    /// Rows of the batch in both cases: M.
    pub rows: [usize; 2],
    /// What is added up: K.
    pub inputs: usize,
    /// Columns: N.
    pub outputs: usize,
    /// The orders in the first case, that of the most sums first.
    pub a: Vec<OrderSummary>,
    /// In the second case.
    pub b: Vec<OrderSummary>,
}

impl Orders {
    /// Whether both add in the same orders, as large a part of the sums in each.
    pub fn same(&self) -> bool {
        let all = |side: &[OrderSummary]| side.iter().map(|order| order.sums).sum::<usize>();
        let (all_a, all_b) = (all(&self.a), all(&self.b));
        self.a.len() == self.b.len()
            && self.a.iter().zip(&self.b).all(|(a, b)| {
                // Of shapes with other rows there are more sums or fewer.
                a.hash == b.hash && a.sums as u128 * all_b as u128 == b.sums as u128 * all_a as u128
            })
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

/// Both sides, to be asked for the ways of their culprits.
pub(super) struct WaysOf<'a> {
    a: Side<'a>,
    b: Side<'a>,
    /// The kinds of options that differ and decide how a module computes.
    options: &'a [OptionKind],
}

/// Culprits that are asked together, because both sides compute them in one way.
struct Alike<'a, T> {
    of: T,
    culprits: Vec<&'a Culprit>,
}

/// A question about a linear layer.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked {
    contrast: Contrast,
    rows: [usize; 2],
    inputs: usize,
    outputs: usize,
}

impl<'a> WaysOf<'a> {
    pub(super) fn new(
        a: &'a Runner,
        b: &'a Runner,
        options: &'a [OptionKind],
    ) -> Result<WaysOf<'a>, ExplainError> {
        Ok(WaysOf {
            a: Side::new(a)?,
            b: Side::new(b)?,
            options,
        })
    }

    /// Whether a difference in precision explains the culprit: then there is no order of additions to compare.
    fn is_rounded_otherwise(&self, culprit: &Culprit) -> bool {
        rounded_otherwise(culprit, self.options)
    }

    /// The orders in which the products of linear layers that are culprits are added. `run` has taps at what they
    /// read.
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
        let mut asked = Vec::new();
        for culprit in culprits.iter().filter(|culprit| is_asked(culprit)) {
            let module = architecture.module(&culprit.module);
            let read = module.and_then(|module| module.reads.first());
            let inputs = read.and_then(|read| width(read));
            if let (Operation::Linear, Some(inputs), Some(shapes)) =
                (culprit.operation, inputs, culprit.shapes)
            {
                let question = |contrast, rows| Asked {
                    contrast,
                    rows,
                    inputs,
                    outputs: culprit.width,
                };
                if culprit.by_shape == Some(true) && shapes.a.rows != shapes.b.rows {
                    let rows = [shapes.a.rows, shapes.b.rows];
                    asked.push((question(Contrast::Shapes, rows), culprit));
                }
                if culprit.by_code() && !self.is_rounded_otherwise(culprit) {
                    let rows = of_code(culprit, shapes).rows;
                    asked.push((question(Contrast::Sides, [rows; 2]), culprit));
                }
            }
        }
        let mut found = Vec::new();
        for alike in self.alike(asked.into_iter()) {
            let module = &alike.culprits[0].module;
            let of = alike.of;
            let order = |side: &mut Side<'_>, rows| -> Result<Vec<OrderSummary>, ExplainError> {
                let subject = side.runner.specification();
                let operations = side.at(module)?;
                let options = RecoverOptions::default();
                let shape = LinearShape {
                    rows,
                    inputs: of.inputs,
                    outputs: of.outputs,
                };
                Ok(find_linear_orders(operations, subject, shape, &options)?.summaries())
            };
            let [rows_a, rows_b] = of.rows;
            found.push(Orders {
                contrast: of.contrast,
                rows: of.rows,
                inputs: of.inputs,
                outputs: of.outputs,
                a: order(&mut self.a, rows_a)?,
                b: match of.contrast {
                    Contrast::Shapes => order(&mut self.a, rows_b)?,
                    Contrast::Sides => order(&mut self.b, rows_b)?,
                },
                modules: alike.paths(),
            });
        }
        Ok(found)
    }

    /// The formulas of the short operations among the culprits. Those that a side does not compute apart
    /// from others are left out.
    pub(super) fn formulas(&mut self, culprits: &[Culprit]) -> Result<Vec<Formulas>, ExplainError> {
        let short = |culprit: &Culprit| {
            let tokens = of_code(culprit, culprit.shapes?).tokens;
            Some(match culprit.operation {
                Operation::Gelu => (ShortOperation::Gelu, 1),
                Operation::LayerNorm => (ShortOperation::LayerNorm, culprit.width),
                Operation::Normalize => (ShortOperation::Normalize, culprit.width),
                Operation::Attention => (ShortOperation::Softmax, tokens),
                Operation::Lookup | Operation::Linear | Operation::Mask => return None,
            })
        };
        let asked = culprits.iter().filter(|culprit| {
            is_asked(culprit)
                && culprit.by_code()
                && !self.is_rounded_otherwise(culprit)
                // A fused operation has no softmax of its own.
                && !other_attention(culprit, self.options)
        });
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

    /// Culprits by what is asked of them and by the ways in which both sides compute them.
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

/// Whether there is a way to be asked for: both sides compute something, and each the same every time.
fn is_asked(culprit: &Culprit) -> bool {
    culprit.computes() && culprit.random == [false; 2]
}

/// Whether a difference in precision is all of why the culprit differs, as far as its code is why. `options` are the
/// kinds that differ.
pub(super) fn rounded_otherwise(culprit: &Culprit, options: &[OptionKind]) -> bool {
    match &culprit.by_options {
        None => options.contains(&OptionKind::Precision),
        Some(found) => found
            .iter()
            .any(|found| found.kind == OptionKind::Precision && found.wholly),
    }
}

/// Whether another implementation of attention is why the culprit differs. `options` are the kinds that differ.
pub(super) fn other_attention(culprit: &Culprit, options: &[OptionKind]) -> bool {
    culprit.operation == Operation::Attention
        && match &culprit.by_options {
            None => options.contains(&OptionKind::Attention),
            Some(found) => found
                .iter()
                .any(|found| found.kind == OptionKind::Attention),
        }
}

/// The shape in which the two sides differ by their code: the first side's where it shows there.
fn of_code(culprit: &Culprit, shapes: ShapePair) -> BatchShape {
    match culprit.in_same_shape {
        Some(false) => shapes.b,
        Some(true) | None => shapes.a,
    }
}

impl<T> Alike<'_, T> {
    fn paths(&self) -> Vec<String> {
        let culprits = self.culprits.iter();
        culprits.map(|culprit| culprit.module.clone()).collect()
    }
}
