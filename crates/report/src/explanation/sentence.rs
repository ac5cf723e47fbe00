//! Why two builds differ, in one sentence.

use concord_lab::Verdict;
use concord_lab::explain::{
    Batches, Culprit, EncoderFinding, Explanation, Forced, Formulas, InputKind, Orders, Part, Role,
    Way,
};
use concord_lab::reveal::OrderSummary;

use super::places::{cut_out, groups, places};
use crate::figures::{count, several};

/// The most places that the sentence names one by one.
const NAMED: usize = 3;

/// The most ways that the sentence describes.
const DESCRIBED: usize = 3;

/// The answer in one sentence, every part of which was measured.
pub fn sentence(explanation: &Explanation) -> String {
    if explanation.verdict == Verdict::Same {
        return "A and B are the same, bit for bit.".to_owned();
    }
    let mut clauses = Vec::new();
    if !explanation.inputs.is_empty() {
        let what: Vec<&str> = explanation.inputs.iter().map(|i| i.what.as_str()).collect();
        clauses.push(format!("Your inputs differ: {}", what.join(", and ")));
    }
    let essential = explanation.inputs.iter().any(|i| i.kind.is_essential());
    if essential {
        clauses.extend(with_other_weights(explanation));
        return format!("{}.", clauses.join("; "));
    }
    if let Some(side) = explanation
        .unstable
        .iter()
        .position(|side| side.as_ref().is_some_and(|differing| !differing.is_empty()))
    {
        let name = ["A", "B"][side];
        clauses.push(format!(
            "{name} does not agree with itself, so what separates it from the other cannot be told"
        ));
        return format!("{}.", clauses.join("; "));
    }
    let given = !clauses.is_empty();
    clauses.push(match (place(explanation), given) {
        (Some(place), false) => format!("A and B part at {place}"),
        (Some(place), true) => format!("beside that they part at {place}"),
        (None, true) if explanation.on_other_inputs.is_some() => {
            "every other stage of B makes of A's inputs what A made".to_owned()
        }
        (None, true) => "what else may separate them was not found".to_owned(),
        (None, false) => {
            "A and B differ, and what was kept does not tell where they part".to_owned()
        }
    });
    let later: Vec<&Part> = explanation.parts.iter().collect();
    let agreeing = later
        .iter()
        .filter(|part| matches!(part.role, Role::Untouched | Role::Absorbed))
        .count();
    clauses.push(format!("{agreeing} of {} artifacts agree", later.len()));
    for closure in &explanation.closures {
        let (agreeing, all) = closure.agreeing();
        let many = match (agreeing, all) {
            (_, 0) => continue,
            (agreeing, all) if agreeing == all => "all that follow do".to_owned(),
            (agreeing, all) => format!("{agreeing} of the {all} that follow do"),
        };
        clauses.push(format!("with A's `{}` swapped in, {many}", closure.swapped));
    }
    format!("{}.", clauses.join("; "))
}

/// Where modules part on equal inputs though the sides have other weights: there the weights differ.
fn with_other_weights(explanation: &Explanation) -> Option<String> {
    let checkpoint = |kind| kind == InputKind::Checkpoint;
    let mut inputs = explanation.inputs.iter();
    inputs.find(|input| checkpoint(input.kind))?;
    let departures = explanation.encoder.as_ref()?.departures.as_ref()?;
    let first = departures.first()?;
    let more = match departures.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "the outputs differ on equal inputs first at `{}` ({}){more}",
        first.module, first.operation
    ))
}

/// Where they part.
fn place(explanation: &Explanation) -> Option<String> {
    let mut places = Vec::new();
    if let Some(encoder) = &explanation.encoder {
        places.extend(in_encoder(encoder));
    }
    // Where the modules are known, they say more than the encoder's output.
    let told = !places.is_empty();
    let culprits = explanation.culprits().into_iter();
    let after = culprits.filter(|artifact| !(told && *artifact == "batches"));
    places.extend(after.map(|artifact| format!("`{artifact}`")));
    let (last, before) = places.split_last()?;
    let ways = explanation
        .encoder
        .as_ref()
        .and_then(|encoder| encoder.forced.as_ref())
        .map_or(String::new(), ways);
    Some(match before {
        [] => format!("{last}{ways}"),
        _ => format!("{}, and at {last}{ways}", before.join(", ")),
    })
}

fn in_encoder(encoder: &EncoderFinding) -> Option<String> {
    let of_passages = encoder.batches.as_ref().map_or(String::new(), |batches| {
        format!(
            " for {} of {} passages{}",
            count(batches.passages_differing),
            count(batches.passages),
            sizes(batches)
        )
    });
    if let Some(forced) = &encoder.forced {
        let modules = named(&forced.culprits)?;
        return Some(format!("{modules}{of_passages}"));
    }
    let first = encoder.departures.as_ref()?.first()?;
    Some(format!(
        "`{}` ({}), for {} of the {} passages for which its inputs agree",
        first.module, first.operation, first.passages, first.of
    ))
}

/// The culprits: each place where there are few, otherwise the first and how many more.
fn named(culprits: &[Culprit]) -> Option<String> {
    let first = culprits.first()?;
    let groups = groups(culprits);
    if groups.len() > NAMED {
        return Some(format!(
            "`{}` ({}) and {} ({})",
            first.module,
            first.operation,
            several(culprits.len() - 1, "more module"),
            kinds(culprits)
        ));
    }
    let names: Vec<String> = groups
        .iter()
        .map(|group| {
            let layers = match group.culprits.len() {
                1 => String::new(),
                _ => format!(", layers {}", group.layers()),
            };
            format!(
                "`{}` ({}{layers})",
                group.name(),
                group.culprits[0].operation
            )
        })
        .collect();
    let (last, before) = names.split_last()?;
    Some(match before {
        [] => last.clone(),
        _ => format!("{} and {last}", before.join(", ")),
    })
}

/// The sizes of batches that differ, where they are not those that agree.
fn sizes(batches: &Batches) -> String {
    match (batches.rows_differing, batches.rows_same) {
        (Some((least, _)), Some((_, most))) if least > most => {
            format!(", in batches of {} rows and more", count(least))
        }
        (Some((_, most)), Some((least, _))) if most < least => {
            format!(", in batches of {} rows and fewer", count(most))
        }
        _ => String::new(),
    }
}

/// In which ways the culprits compute, where the two sides have different ones.
fn ways(forced: &Forced) -> String {
    let orders = forced.orders.iter().filter(|orders| !orders.same());
    let formulas = forced.formulas.iter();
    let formulas = formulas.filter(|formulas| formulas.shared < formulas.samples);
    let clauses: Vec<String> = cut_out(&forced.culprits)
        .into_iter()
        .chain(orders.map(in_which_order))
        .chain(formulas.map(by_which_formula))
        .collect();
    let described = clauses.iter().take(DESCRIBED);
    described.map(|clause| format!("; {clause}")).collect()
}

fn in_which_order(orders: &Orders) -> String {
    let side = |orders: &[OrderSummary]| match orders {
        [] => "an order that was not found".to_owned(),
        [only] => only.label.replace("; ", ", "),
        [most, ..] => format!(
            "{} (for {} of {} sums)",
            most.label.replace("; ", ", "),
            count(most.sums),
            count(orders.iter().map(|order| order.sums).sum::<usize>())
        ),
    };
    format!(
        "of the {} products of {} in batches of {} rows A makes {}, B {}",
        count(orders.inputs),
        places(&orders.modules),
        count(orders.rows),
        side(&orders.a),
        side(&orders.b)
    )
}

fn by_which_formula(formulas: &Formulas) -> String {
    let side = |way: &Way| {
        if way.reproduced == formulas.samples {
            format!("as {}", way.formula.replace("; ", ", "))
        } else {
            "in a way that is not among the known formulas".to_owned()
        }
    };
    format!(
        "A computes {} {}, B {}",
        formulas.operation,
        side(&formulas.a),
        side(&formulas.b)
    )
}

/// The operations of the culprits, each once, in order.
fn kinds(culprits: &[Culprit]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for culprit in culprits {
        let kind = culprit.operation.to_string();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(", ")
}
