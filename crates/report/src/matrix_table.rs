//! Consecutive pairs of subjects, as a table.

use std::collections::BTreeSet;

use concord_lab::Verdict;
use concord_lab::matrix::PairReport;

use crate::figures::magnitude;
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// A line for each pair, and below it which pairs differ.
///
/// | column | what stands in it |
/// |---|---|
/// | A, B | the subjects |
/// | same | whether all of it is the same, bit for bit |
/// | shapes =, bits =, close | the artifacts of which that is so, of those that both have |
/// | first artifact, first tap | the first that differ; for a tap, for how many of the passages |
/// | max abs D | the largest difference of an element of an embedding |
pub fn matrix_table(pairs: &[PairReport], style: &Style) -> String {
    let mut table = Table::new([
        Column::left("A"),
        Column::left("B"),
        Column::left("same"),
        Column::right("shapes ="),
        Column::right("bits ="),
        Column::right("close"),
        Column::left("first artifact"),
        Column::left("first tap").giving_way(),
        Column::right("max abs D"),
    ]);
    for pair in pairs {
        table.row(line(pair));
    }
    let mut out = table.render(style);
    out.push('\n');
    for pair in pairs.iter().filter(|pair| !pair.is_same()) {
        for input in &pair.inputs_differ {
            out.push_str(&style.paint(
                Tone::Open,
                &format!(
                    "note: {} and {} had another {input}; no difference between them says anything of \
                     the subjects\n",
                    pair.a, pair.b
                ),
            ));
        }
    }
    let departures: BTreeSet<_> = pairs.iter().flat_map(PairReport::departures).collect();
    for (subject, departure) in departures {
        out.push_str(&style.paint(
            Tone::Open,
            &format!("note: {subject} differs in more than PyTorch: {departure}\n"),
        ));
    }
    if pairs.iter().all(PairReport::is_same) {
        out.push_str(&match pairs {
            [_] => "The two are the same, bit for bit.\n".to_owned(),
            pairs => format!("All {} pairs are the same, bit for bit.\n", pairs.len()),
        });
    }
    for (wanted, said) in [(true, "differ"), (false, "kept too little to tell")] {
        let named: Vec<String> = pairs
            .iter()
            .filter(|pair| !pair.is_same() && (pair.verdict == Verdict::Different) == wanted)
            .map(|pair| format!("{} to {}", pair.a, pair.b))
            .collect();
        if !named.is_empty() {
            let (count, all, named) = (named.len(), pairs.len(), named.join(", "));
            out.push_str(&format!("{count} of {all} pairs {said}: {named}.\n"));
        }
    }
    out
}

/// The sentence that a search by halving ends with.
pub fn bisection_sentence(pair: Option<&PairReport>, first: &str, last: &str) -> String {
    let Some(pair) = pair else {
        return format!(
            "{first} and {last} are the same, bit for bit; what changes between them and changes back is \
             not searched for.\n"
        );
    };
    let artifact = pair.first_artifact.as_deref();
    let tap = pair.first_tap.as_ref().map_or(String::new(), |tap| {
        format!(
            "; inside the encoder, first `{}`, for {} of {} passages",
            tap.module, tap.passages, tap.of
        )
    });
    format!(
        "{} and {} are two neighbours that differ, first in {}{tap}.\n",
        pair.a,
        pair.b,
        artifact.map_or("what is inside the encoder".to_owned(), |a| format!(
            "`{a}`"
        )),
    )
}

fn line(pair: &PairReport) -> [Cell; 9] {
    let same = match pair.verdict {
        Verdict::Same => Cell::toned(Tone::Good, "yes"),
        Verdict::Different => Cell::toned(Tone::Bad, "no"),
        Verdict::CannotTell { .. } => Cell::toned(Tone::Open, "?"),
    };
    let artifacts = pair.artifacts;
    let of = |count: usize| format!("{count} of {}", artifacts.compared).into();
    let tap = pair.first_tap.as_ref().map_or(String::new(), |tap| {
        format!("{} ({} of {})", tap.module, tap.passages, tap.of)
    });
    [
        pair.a.clone().into(),
        pair.b.clone().into(),
        same,
        of(artifacts.same_shape),
        of(artifacts.same_bits),
        of(artifacts.close),
        pair.first_artifact.clone().unwrap_or_default().into(),
        tap.into(),
        pair.embeddings_max_abs
            .map_or(String::new(), magnitude)
            .into(),
    ]
}
