//! Adding ordinary numbers in a recovered order, to see whether the operation's bits come out.

use std::fmt;

use concord_tensor::{DType, Tensor, TensorError};
use serde::Serialize;

use super::order::{Order, Pairing};
use super::tree::SumTree;

/// How a product joins a partial sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MultiplyAdd {
    /// The product is rounded, then added.
    Separate,
    /// One rounding: `fma(a, b, sum)`. The product that a partial sum begins with is rounded.
    Fused,
    /// Fused, but for the terms whose number is a multiple of `length`: there a run begins, and a run of
    /// a single product is rounded before it is added. No tree shows that, since a chain of runs of one
    /// is a chain of terms.
    FusedInRuns {
        /// The terms of a run.
        length: usize,
    },
}

/// Where a bias, which probes do not see, joins the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasPlace {
    /// It is added to the total.
    Last,
    /// The term 0 is added to it.
    First,
}

/// What the tree of a sum of products leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Arithmetic {
    /// How products join partial sums.
    pub multiply_add: MultiplyAdd,
    /// Where the bias joins; without a meaning where there is none.
    pub bias: BiasPlace,
}

/// Operands of one sum of products, and what the operation made of them.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// One factor of each term, `(terms,)`.
    pub a: &'a [f32],
    /// The other factor of each term, `(terms,)`; ones for a plain sum.
    pub b: &'a [f32],
    /// What is added besides the products.
    pub bias: Option<f32>,
    /// The operation's result, widened to `f32` if its dtype is a narrower one.
    pub result: f32,
}

/// Whether a tree reproduces an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The arithmetic that reproduces every result bit for bit; `None` if none does.
    pub arithmetic: Option<Arithmetic>,
    /// How many results were compared.
    pub compared: usize,
    /// How many of them the best arithmetic reproduces.
    pub reproduced: usize,
    /// How many of them come out with other bits if the same products are added in another order: the
    /// evidence. Where this is 0, that they were reproduced says nothing.
    pub telling: usize,
}

/// Why a tree cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Additions in one step round in a way that the tree does not say.
    #[error(
        "an addition has {parts} parts: only trees of additions of two can be replayed, because how the \
         hardware rounds a sum of several numbers is not part of the tree"
    )]
    NotBinary {
        /// The most parts of an addition.
        parts: usize,
    },
    /// The operands are not those of the tree.
    #[error("the tree has {terms} terms, and a sample has {a} and {b} factors")]
    Length {
        /// Terms of the tree.
        terms: usize,
        /// First factors given.
        a: usize,
        /// Second factors given.
        b: usize,
    },
    /// The results have a dtype that is not a floating-point one.
    #[error(transparent)]
    Rounding(#[from] TensorError),
}

impl SumTree {
    /// The sum of the products `a[t] · b[t]` in the order of the tree, in `f32`, each operation rounded
    /// to nearest even.
    ///
    /// # Errors
    /// When an addition has more than two parts, or the factors are not as many as the terms.
    pub fn evaluate(
        &self,
        a: &[f32],
        b: &[f32],
        bias: Option<f32>,
        arithmetic: Arithmetic,
    ) -> Result<f32, ReplayError> {
        if let Some(&parts) = self.arities().keys().last().filter(|&&parts| parts > 2) {
            return Err(ReplayError::NotBinary { parts });
        }
        if a.len() != self.terms() || b.len() != self.terms() {
            let (terms, a, b) = (self.terms(), a.len(), b.len());
            return Err(ReplayError::Length { terms, a, b });
        }
        let (first, last) = match arithmetic.bias {
            BiasPlace::First => (bias, None),
            BiasPlace::Last => (None, bias),
        };
        let how = arithmetic.multiply_add;
        let total = Products { a, b, first, how }.total(self);
        Ok(last.map_or(total, |bias| total + bias))
    }
}

struct Products<'a> {
    a: &'a [f32],
    b: &'a [f32],
    /// What the term 0 is added to.
    first: Option<f32>,
    how: MultiplyAdd,
}

impl Products<'_> {
    fn total(&self, tree: &SumTree) -> f32 {
        let terms = tree.terms();
        let mut sums = vec![0.0; tree.nodes()];
        for node in 0..tree.nodes() {
            sums[node] = match *tree.parts(node) {
                [p, q] => match (p < terms, q < terms) {
                    (true, true) if begins_with_last(tree, node) => self.join(sums[q], p),
                    (true, true) => self.join(sums[p], q),
                    (true, false) => self.join(sums[q], p),
                    (false, true) => self.join(sums[p], q),
                    (false, false) => sums[p] + sums[q],
                },
                _ => self.begin(node),
            };
        }
        sums[tree.root()]
    }

    /// The sum that begins with a term.
    fn begin(&self, term: usize) -> f32 {
        match self.first.filter(|_| term == 0) {
            Some(first) => self.multiply_add(first, term),
            None => self.a[term] * self.b[term],
        }
    }

    /// `sum` with a term added.
    fn join(&self, sum: f32, term: usize) -> f32 {
        if term == 0 && self.first.is_some() {
            return sum + self.begin(term);
        }
        self.multiply_add(sum, term)
    }

    fn multiply_add(&self, sum: f32, term: usize) -> f32 {
        let fused = match self.how {
            MultiplyAdd::Separate => false,
            MultiplyAdd::Fused => true,
            MultiplyAdd::FusedInRuns { length } => !term.is_multiple_of(length.max(1)),
        };
        if fused {
            self.a[term].mul_add(self.b[term], sum)
        } else {
            sum + self.a[term] * self.b[term]
        }
    }
}

/// Whether the larger of two terms that are added comes first: so it is where the sum goes on with a
/// still smaller one. Which of the two is rounded as a product, and which is fused to it, depends on that.
fn begins_with_last(tree: &SumTree, node: usize) -> bool {
    let Some(parent) = tree.parent(node) else {
        return false;
    };
    let smaller = tree.parts(parent).first();
    smaller.is_some_and(|&part| part < tree.first(node))
}

/// Adds the products of each sample in the order of `tree` and compares with the results, bit for bit.
///
/// `output` is the dtype that the operation rounds its `f32` total to. Every arithmetic that the tree
/// leaves open is tried; one must reproduce all samples.
///
/// # Errors
/// When the tree has additions of more than two parts, a sample is not one of this tree, or `output` is
/// not a floating-point dtype.
pub fn replay(
    tree: &SumTree,
    samples: &[Sample<'_>],
    output: DType,
) -> Result<Replay, ReplayError> {
    let results: Vec<u32> = samples.iter().map(|s| s.result.to_bits()).collect();
    let mut best = Replay {
        arithmetic: None,
        compared: samples.len(),
        reproduced: 0,
        telling: 0,
    };
    for arithmetic in arithmetics(tree, samples) {
        let replayed = replayed(tree, samples, arithmetic, output)?;
        let reproduced = (replayed.iter().zip(&results)).filter(|(a, b)| a == b);
        let reproduced = reproduced.count();
        best.reproduced = best.reproduced.max(reproduced);
        if reproduced == samples.len() {
            let other = other_order(tree);
            let other = self::replayed(&other, samples, arithmetic, output)?;
            best.telling = (other.iter().zip(&results)).filter(|(a, b)| a != b).count();
            best.arithmetic = Some(arithmetic);
            break;
        }
    }
    Ok(best)
}

fn replayed(
    tree: &SumTree,
    samples: &[Sample<'_>],
    arithmetic: Arithmetic,
    output: DType,
) -> Result<Vec<u32>, ReplayError> {
    let totals: Result<Vec<f32>, _> = (samples.iter())
        .map(|s| tree.evaluate(s.a, s.b, s.bias, arithmetic))
        .collect();
    let rounded = Tensor::new([samples.len()], totals?)?.cast(output)?;
    let widened = rounded.cast(DType::F32)?;
    Ok(widened
        .as_slice::<f32>()?
        .iter()
        .map(|v| v.to_bits())
        .collect())
}

fn arithmetics(tree: &SumTree, samples: &[Sample<'_>]) -> Vec<Arithmetic> {
    let mut ways = vec![MultiplyAdd::Separate, MultiplyAdd::Fused];
    // Runs show in the tree by the length of the first; a run of one behind a single long one does not.
    for length in [first_chain(tree), tree.terms().saturating_sub(1)] {
        if (2..tree.terms()).contains(&length) {
            ways.push(MultiplyAdd::FusedInRuns { length });
        }
    }
    let places: &[BiasPlace] = if samples.iter().any(|sample| sample.bias.is_some()) {
        &[BiasPlace::Last, BiasPlace::First]
    } else {
        &[BiasPlace::Last]
    };
    let both = |&multiply_add| {
        places
            .iter()
            .map(move |&bias| Arithmetic { multiply_add, bias })
    };
    ways.iter().flat_map(both).collect()
}

/// How many terms are added one by one to the term 0.
fn first_chain(tree: &SumTree) -> usize {
    let mut node = 0;
    while let Some(parent) = tree.parent(node) {
        if tree
            .parts(parent)
            .iter()
            .any(|&p| p >= tree.terms() && p != node)
        {
            break;
        }
        node = parent;
    }
    tree.size(node)
}

/// Another order for the same terms: one after the other, or pairwise where that is the order itself.
fn other_order(tree: &SumTree) -> SumTree {
    let sequential = Order::SEQUENTIAL.tree(tree.terms());
    match sequential {
        Some(other) if other != *tree => other,
        _ => Order::Pairwise(Pairing::Neighbours)
            .tree(tree.terms())
            .unwrap_or_else(|| tree.clone()),
    }
}

impl fmt::Display for MultiplyAdd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultiplyAdd::Separate => f.write_str("products rounded before they are added"),
            MultiplyAdd::Fused => f.write_str("fused multiply-adds"),
            MultiplyAdd::FusedInRuns { length } => write!(
                f,
                "fused multiply-adds, the first product of each run of {length} rounded"
            ),
        }
    }
}
