//! `concord reveal`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use concord_engine::embedded;
use concord_engine::settings::OwnSettings;
use concord_lab::formula::{ShortOperation, reveal_formula};
use concord_lab::reveal::{
    LinearShape, OrderSummary, RecoverOptions, Revealed, label, reveal_linear, reveal_sum,
};
use concord_pipeline::publish::write_file;
use concord_report::{TreePanel, formula_text, revealed_text, tree_svg};
use concord_subject::operations::SumOf;
use concord_subject::python::Downloads;
use concord_subject::runner::Runner;
use concord_subject::specification::SubjectSpec;
use serde_json::{Value, json};

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, positive, refuse};
use crate::output::{Failure, Outcome, print, print_json};
use crate::subjects::Subjects;

/// Find what an operation really computes, from its outputs alone.
///
/// The order of additions of a linear layer, or of a sum: one sum of K products is asked with huge numbers that cancel
/// and units that are lost before they do; which are lost tells the tree of additions. The formula of GELU,
/// layer norm, normalize and softmax: many inputs are asked, and the results held against the true values
/// and against a list of formulas. With two subjects, both, and whether they agree.
#[derive(Args)]
#[command(after_help = "Examples:
  concord reveal torch==1.13.1 --op linear --m 2272 --k 384 --n 1536
  concord reveal torch==1.13.1 torch==2.4.1 --m 71 --k 384 --n 1536 --svg orders.svg
  concord reveal native,gemm=split-k:4 --m 9 --k 1536 --n 384
  concord reveal torch==2.4.1 --op sum --k 1000
  concord reveal torch==2.4.1 --op numpy-sum --k 1000
  concord reveal torch==1.13.1 torch==2.1.0 --op gelu
  concord reveal torch==1.13.1 torch==2.1.0 --op layer-norm --width 384

Ends with 0 if there is one order, a formula reproduces all results, or two subjects have the same order or
results; 1 if not; 2 on trouble.")]
pub struct RevealCommand {
    /// One subject, or two to compare: native or torch==VERSION, with options after commas
    #[arg(required = true, num_args = 1..=2, value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// The operation
    #[arg(long, value_enum, default_value = "linear")]
    op: Operation,
    /// Rows of the input: M, for linear [default: 71]
    #[arg(long, value_name = "M", value_parser = positive)]
    m: Option<NonZeroUsize>,
    /// What is added up: K, for linear and sums [default: 384]
    #[arg(long, value_name = "K", value_parser = positive)]
    k: Option<NonZeroUsize>,
    /// Columns of the output: N, for linear [default: 1536]
    #[arg(long, value_name = "N", value_parser = positive)]
    n: Option<NonZeroUsize>,
    /// Values of a row, for layer-norm, normalize and softmax [default: 384]
    #[arg(long, value_name = "W", value_parser = positive)]
    width: Option<NonZeroUsize>,
    /// Write a picture of the trees, for linear and sums
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Threads [default: all, or PyTorch's choice]
    #[arg(long, value_name = "T", value_parser = positive)]
    threads: Option<NonZeroUsize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// A linear layer: rows of M × K times the transpose of N × K
    Linear,
    /// PyTorch's sum of a vector of K
    Sum,
    /// The sum of a vector of K by the NumPy beside PyTorch
    NumpySum,
    /// GELU
    Gelu,
    /// Layer normalisation of rows of W
    LayerNorm,
    /// Division of rows of W by their length
    Normalize,
    /// Softmax of rows of W
    Softmax,
}

/// More would not fit into memory, or take all day.
const MAX_ELEMENTS: usize = 1 << 28;

/// The most terms of a sum: some hundred vectors are sent at a time.
const MAX_TERMS: usize = 1 << 16;

/// What is added up, and the values of a row, where nothing is said.
const WIDTH: usize = 384;

/// Of the inputs that a formula is found with.
const SEED: u64 = 1;

impl RevealCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.check_sizes()?;
        match self.op {
            Operation::Linear => self.reveal_linear(),
            Operation::Sum => self.reveal_sums(SumOf::Torch),
            Operation::NumpySum => self.reveal_sums(SumOf::Numpy),
            Operation::Gelu => self.reveal_formulas(ShortOperation::Gelu),
            Operation::LayerNorm => self.reveal_formulas(ShortOperation::LayerNorm),
            Operation::Normalize => self.reveal_formulas(ShortOperation::Normalize),
            Operation::Softmax => self.reveal_formulas(ShortOperation::Softmax),
        }
    }

    /// Refuses a size that the operation does not have.
    fn check_sizes(&self) -> Result<(), Failure> {
        use Operation::{Gelu, LayerNorm, Linear, Normalize, NumpySum, Softmax, Sum};
        let has: &[&str] = match self.op {
            Linear => &["m", "k", "n"],
            Sum | NumpySum => &["k"],
            Gelu => &[],
            LayerNorm | Normalize | Softmax => &["width"],
        };
        let given = [
            ("m", self.m),
            ("k", self.k),
            ("n", self.n),
            ("width", self.width),
        ];
        let given = given.into_iter().filter(|(name, _)| !has.contains(name));
        let given = given.filter_map(|(name, size)| Some((name.to_owned(), size?.to_string())));
        let op = self.op.to_possible_value();
        let op = op.as_ref().map_or("", |value| value.get_name());
        refuse(given, &format!("--op {op} has no such size"))
    }

    fn reveal_linear(&self) -> Result<Outcome, Failure> {
        let size = |given: Option<NonZeroUsize>, default| given.map_or(default, NonZeroUsize::get);
        let shape = LinearShape {
            rows: size(self.m, 71),
            inputs: size(self.k, WIDTH),
            outputs: size(self.n, 1536),
        };
        let elements = |a: usize, b: usize| a.checked_mul(b).filter(|&n| n <= MAX_ELEMENTS);
        let sizes = [
            elements(shape.rows, shape.inputs),
            elements(shape.outputs, shape.inputs),
            elements(shape.rows, shape.outputs),
        ];
        if sizes.contains(&None) {
            return Err(
                format!("M, K and N are too large: at most {MAX_ELEMENTS} elements each").into(),
            );
        }
        let sizes = json!({"op": "linear", "m": shape.rows, "k": shape.inputs, "n": shape.outputs});
        self.reveal_orders(sizes, |spec| {
            let runner = self.runner(spec, shape.rows)?;
            Ok(reveal_linear(
                &runner,
                "",
                shape,
                &RecoverOptions::default(),
            )?)
        })
    }

    fn reveal_sums(&self, of: SumOf) -> Result<Outcome, Failure> {
        let terms = self.k.map_or(WIDTH, NonZeroUsize::get);
        if terms > MAX_TERMS {
            return Err(format!("K is too large: at most {MAX_TERMS} terms").into());
        }
        let op = match of {
            SumOf::Torch => "sum",
            SumOf::Numpy => "numpy_sum",
        };
        self.reveal_orders(json!({"op": op, "k": terms}), |spec| {
            let runner = self.runner(spec, 1)?;
            Ok(reveal_sum(&runner, of, terms, &RecoverOptions::default())?)
        })
    }

    /// Shows what `reveal` finds of each subject. `operation` says what was asked, as a JSON object.
    fn reveal_orders(
        &self,
        mut operation: Value,
        reveal: impl Fn(&str) -> Result<Revealed, Failure>,
    ) -> Result<Outcome, Failure> {
        let specs = self.subjects.iter();
        let found: Vec<Revealed> = specs.map(|spec| reveal(spec)).collect::<Result<_, _>>()?;
        if let Some(path) = &self.svg {
            let picture = picture(&found);
            write_file(path, |file| {
                std::io::Write::write_all(file, picture.as_bytes())
            })?;
        }
        let summaries: Vec<Vec<OrderSummary>> = found.iter().map(Revealed::summaries).collect();
        let hashes =
            |orders: &Vec<OrderSummary>| -> Vec<_> { orders.iter().map(|o| o.hash).collect() };
        let same = match summaries.as_slice() {
            [a, b] => hashes(a) == hashes(b),
            _ => found.iter().all(|revealed| revealed.recovery.is_uniform()),
        };
        if self.json {
            let subjects: Vec<_> = found
                .iter()
                .zip(&summaries)
                .map(|(revealed, orders)| json!({"subject": revealed.subject, "orders": orders}))
                .collect();
            operation["subjects"] = json!(subjects);
            operation["same"] = json!(same);
            print_json(&operation)?;
        } else {
            for revealed in &found {
                print(&format!(
                    "{}\n",
                    revealed_text(revealed, &environment::style())
                ))?;
            }
            if found.len() == 2 {
                let same = if same { "the same" } else { "not the same" };
                print(&format!("The two orders are {same}.\n"))?;
            }
        }
        Ok(Outcome::same_if(same))
    }

    fn reveal_formulas(&self, operation: ShortOperation) -> Result<Outcome, Failure> {
        if self.svg.is_some() {
            return Err(
                "--svg draws the order of additions of linear and sum; a formula has none".into(),
            );
        }
        let found = self
            .subjects
            .iter()
            .map(|spec| {
                let runner = self.runner(spec, 1)?;
                Ok(reveal_formula(
                    &runner,
                    "",
                    operation,
                    self.width.map_or(WIDTH, NonZeroUsize::get),
                    SEED,
                )?)
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let shared = match found.as_slice() {
            [a, b] => Some((a.shared(b), a.results.len())),
            _ => None,
        };
        let same = match shared {
            Some((shared, all)) => shared == all,
            None => found
                .iter()
                .all(|formula| formula.recognition.is_complete()),
        };
        if self.json {
            print_json(&json!({
                "op": operation,
                "subjects": found,
                "same_results": shared.map(|(shared, _)| shared),
                "same": same,
            }))?;
        } else {
            print(&formula_text(&found, &environment::style()))?;
            if let Some((shared, all)) = shared {
                print(&format!(
                    "\nThe two give the same bits for {shared} of {all} samples.\n"
                ))?;
            }
        }
        Ok(Outcome::same_if(same))
    }

    /// The subject that `spec` names, with the embedded checkpoint.
    fn runner(&self, spec: &str, tokens: usize) -> Result<Runner, Failure> {
        let subject: SubjectSpec = spec.parse()?;
        let mut own = subject.own().into_iter().flat_map(OwnSettings::given);
        if let Some((name, value)) = own.next() {
            return Err(format!(
                "{name}={value} would have no effect: an operation is asked by itself, on numbers made up for it, \
                 without a checkpoint and without an index"
            )
            .into());
        }
        let index = IndexArguments::with_doc_maxlen(tokens.clamp(3, 64));
        let compute = ComputeArguments {
            threads: self.threads,
            ..ComputeArguments::default()
        };
        let inputs = SubjectInputs::of_checkpoint(Some(embedded::CHECKPOINT));
        let subjects = Subjects::new(&inputs, &index, &compute, Downloads::Keep)?;
        subjects.runner(subject)
    }
}

/// The trees beside each other: of one subject the first two, of two the first of each.
fn picture(found: &[Revealed]) -> String {
    let orders = |revealed: &Revealed, count| -> Vec<(String, String, usize)> {
        let orders = revealed.recovery.orders.iter().take(count).enumerate();
        orders
            .map(|(at, order)| (revealed.subject.clone(), label(&order.tree), at))
            .collect()
    };
    let each = if found.len() == 1 { 2 } else { 1 };
    let mut titles = Vec::new();
    for (at, revealed) in found.iter().enumerate() {
        titles.extend(orders(revealed, each).into_iter().map(|order| (at, order)));
    }
    let panels: Vec<TreePanel<'_>> = titles
        .iter()
        .map(|(at, (title, caption, order))| TreePanel {
            title,
            caption,
            tree: &found[*at].recovery.orders[*order].tree,
        })
        .collect();
    tree_svg(&panels)
}
