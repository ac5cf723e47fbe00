//! The ways in which modules compute, asked once more: orders of additions are read from their words and replayed on
//! numbers of these tests, and formulas are held against variants that are known to compute by them.

use concord_subject::operations::{Operations, RowOperation};
use concord_subject::runner::Runner;
use concord_tensor::Tensor;

use crate::ask::Made;

/// A linear layer.
#[derive(Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// Numbers between -1 and 1 whose bits are all used, by a rule.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// `x`, `w` and what the layer at `module` makes of them.
fn layer(runner: &Runner, module: &str, shape: Shape) -> [Vec<f32>; 3] {
    let x = numbers(shape.rows * shape.inputs, 1);
    let w = numbers(shape.outputs * shape.inputs, 2);
    let mut operations = Operations::of(runner, module).unwrap();
    let y = operations.linear(&x, &w, shape.inputs).unwrap();
    [x, w, y]
}

/// Whether the first row of the layer has other bits where the batch has other rows.
pub fn depends_on_rows(runner: &Runner, module: &str, shape: Shape, rows: usize) -> bool {
    // The numbers of `x` begin alike, whatever its rows.
    let [_, _, few] = layer(runner, module, shape);
    let [_, _, many] = layer(runner, module, Shape { rows, ..shape });
    few[..shape.outputs] != many[..shape.outputs]
}

/// How partial sums are added.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Joined {
    InOrder,
    Pairwise,
}

/// An order of additions, as far as the variants of the native engine have one: runs of neighbours, each one after
/// the other, whose sums are added.
#[derive(Debug, PartialEq)]
struct Runs {
    lengths: Vec<usize>,
    joined: Joined,
}

impl Runs {
    /// The order that is called so; `terms` products.
    fn called(words: &str, terms: usize) -> Runs {
        let words = words
            .strip_suffix(", within a run one after the other")
            .unwrap_or(words);
        let number = |text: &str| -> usize { text.parse().unwrap_or_else(|_| panic!("`{words}`")) };
        let of_runs = |text: &str| -> Vec<usize> {
            if let Some(lengths) = text.strip_prefix("runs of ") {
                return lengths.split(", ").map(number).collect();
            }
            let (count, of) = text
                .split_once(" runs of ")
                .unwrap_or_else(|| panic!("`{words}`"));
            let (length, last) = of.split_once(", the last of ").unwrap_or((of, of));
            let mut lengths = vec![number(length); number(count)];
            *lengths.last_mut().unwrap() = number(last);
            lengths
        };
        let order = if words == "sequential" {
            Runs {
                lengths: vec![terms],
                joined: Joined::InOrder,
            }
        } else if let Some(runs) = words.strip_suffix(", added in order") {
            Runs {
                lengths: of_runs(runs),
                joined: Joined::InOrder,
            }
        } else {
            let inside = words
                .strip_prefix("split-K ")
                .and_then(|rest| rest.split_once(" ("));
            let (parts, inside) =
                inside.unwrap_or_else(|| panic!("an order that no test knows: `{words}`"));
            let runs = inside.strip_suffix(", added pairwise)").unwrap();
            let lengths = of_runs(runs);
            assert_eq!(lengths.len(), number(parts), "{words}");
            Runs {
                lengths,
                joined: Joined::Pairwise,
            }
        };
        assert_eq!(order.lengths.iter().sum::<usize>(), terms, "{words}");
        order
    }

    fn sum(&self, a: &[f32], b: &[f32], fused: bool) -> f32 {
        let mut rest = a.iter().zip(b);
        let mut sums: Vec<f32> = Vec::new();
        for &length in &self.lengths {
            let mut run = rest.by_ref().take(length);
            let first = run.next().map_or(0.0, |(a, b)| a * b);
            sums.push(run.fold(first, |sum, (a, b)| match fused {
                true => a.mul_add(*b, sum),
                false => sum + a * b,
            }));
        }
        match self.joined {
            Joined::InOrder => sums.into_iter().reduce(|sum, next| sum + next).unwrap(),
            Joined::Pairwise => {
                while sums.len() > 1 {
                    sums = sums
                        .chunks(2)
                        .map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap())
                        .collect();
                }
                sums[0]
            }
        }
    }

    /// Whether every result of some rows comes out, bit for bit.
    fn gives(&self, [x, w, y]: &[Vec<f32>; 3], shape: Shape) -> bool {
        let rows = [0, 1, shape.rows / 2, shape.rows - 1];
        [true, false].into_iter().any(|fused| {
            rows.iter().all(|row| {
                (0..shape.outputs).all(|column| {
                    let a = &x[row * shape.inputs..][..shape.inputs];
                    let b = &w[column * shape.inputs..][..shape.inputs];
                    self.sum(a, b, fused).to_bits() == y[row * shape.outputs + column].to_bits()
                })
            })
        })
    }
}

/// Asserts that the layer adds in the order that is called `words`, and not in the one that is called `other`.
#[track_caller]
pub fn assert_order(runner: &Runner, module: &str, shape: Shape, words: &str, other: &str) {
    let asked = layer(runner, module, shape);
    let [order, other] = [words, other].map(|words| Runs::called(words, shape.inputs));
    assert_ne!(order, other, "{module}: the same order twice, {words}");
    assert!(order.gives(&asked, shape), "{module}: not {words}");
    assert!(
        !other.gives(&asked, shape),
        "{module}: {words} cannot be told from another"
    );
}

/// An operation by rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Short {
    Gelu,
    LayerNorm,
    Normalize,
}

/// A subject that is known to compute by the formula that is called so.
fn known(formula: &str) -> &'static str {
    let marks = [
        ("erf form", "native"),
        ("tanh form", "native,gelu=tanh"),
        ("two passes", "native"),
        ("one pass", "native,layer_norm=one-pass"),
        ("x / max(", "native"),
        ("x · (1 / max(", "native,normalize=rsqrt"),
    ];
    let found: Vec<&str> = marks
        .iter()
        .filter(|(mark, _)| formula.contains(mark))
        .map(|(_, subject)| *subject)
        .collect();
    let [subject] = found[..] else {
        panic!("a formula that no test knows: `{formula}`");
    };
    subject
}

fn results(runner: &Runner, module: &str, short: Short) -> Vec<u32> {
    let (rows, width) = (400, 64);
    // Some rows lie far from zero, where the passes over a variance show.
    let mut x = numbers(rows * width, 3);
    for (row, values) in x.chunks_mut(width).enumerate() {
        values
            .iter_mut()
            .for_each(|value| *value = *value * 4.0 + (row % 5) as f32);
    }
    let x = Tensor::new(vec![rows, width], x).unwrap();
    let (gamma, beta) = (vec![1.0; width], vec![0.0; width]);
    let operation = match short {
        Short::Gelu => RowOperation::Gelu,
        Short::LayerNorm => RowOperation::LayerNorm {
            gamma: &gamma,
            beta: &beta,
            eps: 1e-12,
        },
        Short::Normalize => RowOperation::Normalize,
    };
    let mut operations = Operations::of(runner, module).unwrap();
    let y = operations.by_rows(operation, &x).unwrap();
    y.as_slice::<f32>()
        .unwrap()
        .iter()
        .map(|value| value.to_bits())
        .collect()
}

/// Asserts that a module computes by the formula that is called so.
#[track_caller]
pub fn assert_formula(runner: &Runner, module: &str, short: Short, formula: &str) {
    let known = Made::by(known(formula)).runner();
    let same = results(runner, module, short) == results(&known, "", short);
    assert!(same, "{module}: not {formula}");
    if short == Short::Gelu {
        assert_near_gelu(runner, module, formula);
    }
}

/// Whether two modules give other results on some numbers.
pub fn computes_otherwise(runners: &[Runner; 2], module: &str, short: Short) -> bool {
    results(&runners[0], module, short) != results(&runners[1], module, short)
}

/// Both forms of GELU lie 5e-4 apart near 2: which one it is shows without any of the engine's own.
#[track_caller]
fn assert_near_gelu(runner: &Runner, module: &str, formula: &str) {
    let x = 2.0f32;
    let wide = f64::from(x);
    let tanh = {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
        wide / 2.0 * (1.0 + inner.tanh())
    };
    // 2 Φ(2), Φ the standard normal distribution.
    let erf = 2.0 * 0.977_249_868_051_820_8;
    let expected = if formula.contains("tanh") { tanh } else { erf };
    let mut operations = Operations::of(runner, module).unwrap();
    let y = operations.by_rows(
        RowOperation::Gelu,
        &Tensor::new(vec![1, 1], vec![x]).unwrap(),
    );
    let y = f64::from(y.unwrap().as_slice::<f32>().unwrap()[0]);
    assert!(
        (y - expected).abs() < 1e-5,
        "{module}: {y} is not {expected}, {formula}"
    );
}
