//! `concord sweep`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_engine::settings::OwnSettings;
use concord_lab::sweep::{Extent, Sweep, sweep, texts};
use concord_pipeline::Scratch;
use concord_report::sweep_text;
use concord_subject::python::Downloads;
use concord_subject::specification::SubjectSpec;

use crate::environment;
use crate::inputs::{ComputeArguments, IndexArguments, SubjectInputs, refuse_overruled};
use crate::output::{Failure, Outcome, print, print_json, status};
use crate::subjects::Subjects;

/// Find out which shapes of a batch change the bits of a module.
///
/// Passages of one length are run in batches of every size, and each time their rows at the module are
/// held against those they have in the largest batch, on the same inputs. A module is run with all that is
/// inside it.
#[derive(Args)]
#[command(after_help = "Examples:
  concord sweep torch==1.13.1 --module bert.encoder.layer.0.intermediate.dense --batch 1..32 --seq 71
  concord sweep torch==2.4.1,amp=bf16 --module linear --batch 1..8 --seq 16,32,64
  concord sweep torch==2.8.0 --module bert.encoder.layer.0 --batch 1..32
  concord sweep torch==2.8.0 --module bert.encoder.layer.0.attention.self --alone --batch 1..8

Ends with 0 if no shape has other bits, 1 if one has, 2 on trouble.")]
pub struct SweepCommand {
    /// The subject: native or torch==VERSION, with options after commas
    subject: String,
    /// The module: a path such as bert.encoder.layer.0, no pattern
    #[arg(long, value_name = "PATH")]
    module: String,
    /// What the module computes itself, on the same outputs of the modules inside it: of attention.self, the
    /// scores, softmax and weighted sums without the projections
    #[arg(long)]
    alone: bool,
    /// The sizes of batches: a range, or sizes with commas between them
    #[arg(long = "batch", value_name = "SIZES", value_parser = numbers, default_value = "1..32")]
    sizes: Numbers,
    /// The tokens of a passage, marker and special tokens included: one or more lengths
    #[arg(long = "seq", value_name = "TOKENS", value_parser = numbers, default_value = "71")]
    tokens: Numbers,
    #[command(flatten)]
    inputs: SweepInputs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the subject runs on: passages are made for the sweep.
#[derive(Args)]
struct SweepInputs {
    /// The checkpoint: a folder, an id of the Hugging Face hub (owner/name), or concord-mini
    /// [default: concord-mini]
    #[arg(long, value_name = "CHECKPOINT")]
    checkpoint: Option<String>,
    /// Threads [default: all, or PyTorch's choice]
    #[arg(long, value_name = "N", value_parser = crate::inputs::positive)]
    threads: Option<std::num::NonZeroUsize>,
}

/// Numbers in the order given, `1..4` being all from 1 to 4.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers(Vec<usize>);

/// More would not be read by anybody.
const MAX_NUMBER: usize = 4096;

fn numbers(text: &str) -> Result<Numbers, String> {
    let wrong = || {
        format!(
            "numbers from 1 to {MAX_NUMBER} are needed, with commas between them, or a range such as 1..32"
        )
    };
    let number = |text: &str| {
        let number = text.parse::<usize>().ok();
        number
            .filter(|number| (1..=MAX_NUMBER).contains(number))
            .ok_or_else(wrong)
    };
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let range: RangeInclusive<usize> = match part.split_once("..") {
            Some((first, last)) => number(first)?..=number(last)?,
            None => number(part)?..=number(part)?,
        };
        if range.is_empty() {
            return Err(wrong());
        }
        numbers.extend(range);
    }
    Ok(Numbers(numbers))
}

impl SweepCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let mut whole: Option<Sweep> = None;
        for &tokens in &self.tokens.0 {
            let found = self.sweep(tokens)?;
            match &mut whole {
                Some(whole) => whole.shapes.extend(found.shapes),
                None => whole = Some(found),
            }
        }
        let Some(sweep) = whole else {
            return Err("no lengths were given".into());
        };
        if self.json {
            print_json(&sweep)?;
        } else {
            print(&sweep_text(&sweep, &environment::style()))?;
        }
        Ok(Outcome::same_if(
            sweep.shapes.iter().all(|shape| shape.is_same()),
        ))
    }

    /// The subject, of whose own settings the checkpoint alone plays a part.
    fn subject(&self) -> Result<SubjectSpec, Failure> {
        let subject: SubjectSpec = self.subject.parse()?;
        let mut own = subject.own().into_iter().flat_map(OwnSettings::given);
        if let Some((name, value)) = own.find(|(name, _)| *name != "checkpoint") {
            return Err(format!(
                "{name}={value} would have no effect: a sweep makes its own passages, of as many tokens as --seq \
                 says, and runs the encoder alone"
            )
            .into());
        }
        let checkpoint = self.inputs.checkpoint.clone();
        let given = checkpoint.map(|checkpoint| ("checkpoint".to_owned(), checkpoint));
        refuse_overruled(given, [&subject])?;
        Ok(subject)
    }

    fn sweep(&self, tokens: usize) -> Result<Sweep, Failure> {
        let subject = self.subject()?;
        let index = IndexArguments::with_doc_maxlen(tokens);
        let compute = ComputeArguments {
            threads: self.inputs.threads,
            ..ComputeArguments::default()
        };
        let inputs = SubjectInputs::of_checkpoint(self.inputs.checkpoint.as_deref());
        let largest = self.sizes.0.iter().copied().max().unwrap_or(1);
        let subjects = Subjects::new(&inputs, &index, &compute, Downloads::Keep)?;
        let own = subject.own().cloned().unwrap_or_default();
        let checkpoint = subjects.checkpoint(&own)?;
        let texts = texts(checkpoint.word_pieces(), largest, tokens).ok_or_else(|| {
            format!("no passages of {tokens} tokens can be made of this checkpoint's vocabulary")
        })?;
        let collection = Arc::new(Collection::from_passages(texts));
        let runner = subjects.on(collection).runner(subject)?;
        let scratch = Scratch::new()?;
        let found = sweep(
            &runner,
            &self.module,
            if self.alone {
                Extent::Alone
            } else {
                Extent::Whole
            },
            &self.sizes.0,
            tokens,
            scratch.path(),
        )?;
        if found.shapes.is_empty() {
            status(format_args!("no sizes were given"));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ranges_and_lists() {
        assert_eq!(numbers("1..4,9"), Ok(Numbers(vec![1, 2, 3, 4, 9])));
        assert_eq!(numbers("71"), Ok(Numbers(vec![71])));
        for wrong in ["", "0", "4..1", "1..", "a", "1,,2", "99999"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }
}
