//! The formulas of short operations, as text.

use std::fmt::Write;

use concord_lab::formula::{FoundFormula, Recognition, ShortOperation, UlpError};
use concord_tensor::closeness::UlpBucket;

use crate::figures::{count, magnitude, several};
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// The operations of one subject or more, a row each: the formula that gives most of the results, how many
/// it gives, and how far the results lie from the true values. Below, in how many units of the last place
/// how many results err, and what else is to be said of the formulas.
///
/// All are of one operation and width.
pub fn formula_text(found: &[FoundFormula], style: &Style) -> String {
    let mut out = String::new();
    if let Some(first) = found.first() {
        let width = match first.operation {
            ShortOperation::Gelu => String::new(),
            _ => format!(", rows of {}", count(first.width)),
        };
        let samples = several(first.recognition.samples, "sample");
        let title = format!("{}{width}: {samples}\n\n", first.operation);
        out.push_str(&style.paint(Tone::Strong, &title));
    }
    let mut table = Table::new([
        Column::left("subject"),
        Column::right("reproduced"),
        Column::right("max ULP"),
        Column::right("mean ULP"),
        Column::left("best formula").giving_way(),
    ]);
    for formula in found {
        let Recognition { best, samples, .. } = &formula.recognition;
        let tone = if formula.recognition.is_complete() {
            Tone::Good
        } else {
            Tone::Bad
        };
        let reproduced = format!("{} of {}", count(best.reproduced), count(*samples));
        table.row([
            formula.subject.as_str().into(),
            Cell::toned(tone, reproduced),
            count(formula.error.max).into(),
            magnitude(formula.error.mean).into(),
            best.formula.as_str().into(),
        ]);
    }
    out.push_str(&table.render(style));
    for formula in found {
        let _ = write!(
            out,
            "\n{}\n  {}\n  {}\n  {}\n",
            style.paint(Tone::Strong, &formula.subject),
            formula.recognition.best.formula,
            verdict(&formula.recognition),
            histogram(&formula.error)
        );
    }
    out
}

/// `results by ULP from the true value: 0: 30,000; 1: 700; 3 to 4: 20`.
fn histogram(error: &UlpError) -> String {
    let bucket = |bucket: &UlpBucket| {
        let range = if bucket.low == bucket.high {
            count(bucket.low)
        } else {
            format!("{} to {}", count(bucket.low), count(bucket.high))
        };
        format!("{range}: {}", count(bucket.count))
    };
    const SHOWN: usize = 8;
    let shown: Vec<String> = error.histogram.iter().take(SHOWN).map(bucket).collect();
    let mut text = format!("results by ULP from the true value: {}", shown.join("; "));
    if let Some(more) = error.histogram.get(SHOWN..)
        && let Some(first) = more.first()
    {
        let more: usize = more.iter().map(|bucket| bucket.count).sum();
        let _ = write!(text, "; {} and more: {}", count(first.low), count(more));
    }
    if error.not_numbers > 0 {
        let _ = write!(text, "; {} no numbers", count(error.not_numbers));
    }
    text
}

fn verdict(recognition: &Recognition) -> String {
    let formulas = several(recognition.formulas, "formula");
    let mut text = if recognition.is_complete() {
        format!("of {formulas} this one reproduces all")
    } else {
        format!("of {formulas} none reproduces all")
    };
    if let Some(first) = recognition.as_many.first() {
        let _ = write!(
            text,
            "; {} more as many: {first}",
            count(recognition.as_many.len())
        );
        if recognition.as_many.len() > 1 {
            text.push_str(", …");
        }
    }
    if let Some(next) = &recognition.runner_up {
        let _ = write!(
            text,
            "; the next {}: {}",
            count(next.reproduced),
            next.formula
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use concord_lab::formula::Guess;

    fn found(reproduced: usize) -> FoundFormula {
        let bucket = |low, high, count| UlpBucket { low, high, count };
        let guess = |formula: &str, reproduced| Guess {
            formula: formula.to_owned(),
            reproduced,
        };
        FoundFormula {
            subject: "torch==1.13.1".to_owned(),
            operation: ShortOperation::LayerNorm,
            width: 384,
            recognition: Recognition {
                samples: 30_720,
                formulas: 901,
                best: guess("two passes", reproduced),
                as_many: Vec::new(),
                runner_up: Some(guess("one pass", 12_000)),
            },
            error: UlpError {
                max: 4,
                mean: 0.25,
                histogram: vec![bucket(0, 0, 30_000), bucket(1, 1, 700), bucket(3, 4, 20)],
                not_numbers: 0,
            },
            results: Vec::new(),
        }
    }

    #[test]
    fn a_formula_is_a_row_and_three_lines() {
        assert_eq!(
            formula_text(&[found(30_720)], &Style::default()),
            "layer norm, rows of 384: 30,720 samples\n\n\
             subject              reproduced  max ULP  mean ULP  best formula\n\
             torch==1.13.1  30,720 of 30,720        4      0.25  two passes\n\n\
             torch==1.13.1\n  \
             two passes\n  \
             of 901 formulas this one reproduces all; the next 12,000: one pass\n  \
             results by ULP from the true value: 0: 30,000; 1: 700; 3 to 4: 20\n"
        );
    }

    #[test]
    fn it_is_said_where_no_formula_reproduces_all() {
        let text = formula_text(&[found(30_719)], &Style::default());
        assert!(
            text.contains("of 901 formulas none reproduces all"),
            "{text}"
        );
    }
}
