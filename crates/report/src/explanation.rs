//! Why two builds differ, as text: tables of what was measured, and one sentence.

use std::fmt::Write;

use concord_lab::explain::{
    Batches, Closure, Culprit, EncoderFinding, Errors, Explanation, Forced, Formulas, InputKind,
    Orders, Part, Reproducer, Role, Way,
};
use concord_lab::formula::ShortOperation;
use concord_lab::reveal::OrderSummary;
use concord_lab::{Nearer, Verdict};

use crate::figures::{count, magnitude, several};
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// The most places that the sentence names one by one.
const NAMED: usize = 3;

/// The most ways that the sentence describes.
const DESCRIBED: usize = 3;

/// How many modules are listed one by one.
const LISTED: usize = 24;

/// The explanation: what was asked, what was measured, what could not be, and the sentence.
pub fn explanation_text(explanation: &Explanation, style: &Style) -> String {
    let mut out = format!("A: {}\nB: {}\n\n", explanation.a, explanation.b);
    before_comparing(&mut out, explanation, style);
    if explanation.verdict != Verdict::Same {
        artifacts(&mut out, explanation, style);
        for closure in &explanation.closures {
            swapped(&mut out, closure, style);
        }
        if let Some(encoder) = &explanation.encoder {
            inside(&mut out, encoder, style);
        }
    }
    for line in &explanation.not_tested {
        let line = format!("not tested: {line}\n");
        out.push_str(&style.paint(Tone::Faint, &line));
    }
    if !explanation.not_tested.is_empty() {
        out.push('\n');
    }
    out.push_str(&style.paint(Tone::Strong, &sentence(explanation)));
    out.push('\n');
    out
}

fn before_comparing(out: &mut String, explanation: &Explanation, style: &Style) {
    for (name, unstable) in ["A", "B"].iter().zip(&explanation.unstable) {
        match unstable.as_deref() {
            Some([]) => writeln!(out, "{name}, run twice, agrees with itself.").unwrap_or_default(),
            Some(differing) => {
                let line = format!(
                    "{name}, run twice, does not agree with itself: {} differ, first `{}`.\n",
                    several(differing.len(), "row"),
                    differing[0]
                );
                out.push_str(&style.paint(Tone::Bad, &line));
            }
            None => {}
        }
    }
    for input in &explanation.inputs {
        let line = format!("the inputs differ: {}\n", input.what);
        out.push_str(&style.paint(Tone::Open, &line));
    }
    out.push('\n');
}

fn artifacts(out: &mut String, explanation: &Explanation, style: &Style) {
    let mut table = Table::new([
        Column::left("artifact"),
        Column::left("part"),
        Column::left("because").giving_way(),
        Column::left("B's stage on A's inputs"),
    ]);
    for part in &explanation.parts {
        let tested = explanation.on_other_inputs.iter().flatten();
        let tested = tested
            .filter(|found| found.artifact == part.artifact)
            .map(|found| found.same)
            .next();
        let on_other = match tested {
            None => Cell::from(""),
            Some(true) => Cell::toned(Tone::Good, "the same as A"),
            Some(false) => Cell::toned(Tone::Bad, "differs as well"),
        };
        table.row([
            part.artifact.clone().into(),
            role(part),
            because(part).into(),
            on_other,
        ]);
    }
    out.push_str(&table.render(style));
    out.push('\n');
}

fn role(part: &Part) -> Cell {
    match part.role {
        Role::Untouched => Cell::toned(Tone::Faint, "the same"),
        Role::Culprit => Cell::toned(Tone::Bad, "culprit"),
        Role::Victim => Cell::toned(Tone::Open, "victim"),
        Role::Absorbed => Cell::toned(Tone::Good, "absorbed"),
        Role::Source | Role::Given => Cell::toned(Tone::Bad, "input"),
        Role::Unknown => Cell::toned(Tone::Open, "unknown"),
    }
}

fn because(part: &Part) -> String {
    let inputs = part.differing_inputs.join(", ");
    match part.role {
        Role::Untouched => String::new(),
        Role::Culprit => "all that it is made from is the same".to_owned(),
        Role::Victim => format!("made from {inputs}"),
        Role::Absorbed => {
            let by = part.absorbed_by.as_deref().unwrap_or_default();
            format!("{inputs} differs; lost in {by}")
        }
        Role::Source => "the two were given something else".to_owned(),
        Role::Given => "its stage was given something else".to_owned(),
        Role::Unknown => "what was kept does not tell".to_owned(),
    }
}

fn swapped(out: &mut String, closure: &Closure, style: &Style) {
    let mut table = Table::new([
        Column::left("artifact"),
        Column::left("before"),
        Column::left(&format!("with A's {}", closure.swapped)),
    ]);
    let answer = |same: bool| {
        if same {
            Cell::toned(Tone::Good, "same")
        } else {
            Cell::toned(Tone::Bad, "differs")
        }
    };
    for then in &closure.then {
        table.row([
            then.artifact.clone().into(),
            answer(then.same_before),
            answer(then.same_now),
        ]);
    }
    let (agreeing, all) = closure.agreeing();
    let _ = writeln!(
        out,
        "With A's `{}` in B's build, {agreeing} of {all} artifacts that follow are A's:\n",
        closure.swapped
    );
    out.push_str(&table.render(style));
    out.push('\n');
}

fn inside(out: &mut String, encoder: &EncoderFinding, style: &Style) {
    if let Some(batches) = &encoder.batches {
        out.push_str(&of_batches(batches));
    }
    match &encoder.forced {
        Some(forced) => modules(out, forced, style),
        None => by_hashes(out, encoder, style),
    }
}

fn of_batches(batches: &Batches) -> String {
    let range = |(low, high): (usize, usize)| {
        if low == high {
            count(low)
        } else {
            format!("{} to {}", count(low), count(high))
        }
    };
    let mut text = format!(
        "The embeddings of {} of {} passages differ, in {} of {} batches",
        count(batches.passages_differing),
        count(batches.passages),
        count(batches.differing),
        count(batches.count)
    );
    if let Some(rows) = batches.rows_differing {
        text.push_str(&format!(" (of {} rows", range(rows)));
        if let Some(rows) = batches.rows_same {
            text.push_str(&format!("; those that agree have {}", range(rows)));
        }
        text.push(')');
    }
    text.push_str(".\n\n");
    text
}

fn modules(out: &mut String, forced: &Forced, style: &Style) {
    let passages: usize = forced.batches.iter().map(|batch| batch.pids.len()).sum();
    let _ = writeln!(
        out,
        "Each of B's {} modules was run on what A's modules computed, for {} in {} of its batches. {}:\n",
        forced.modules,
        several(passages, "passage"),
        count(forced.batches.len()),
        match forced.culprits.len() {
            0 => "None computes anything else".to_owned(),
            1 => "One computes something else".to_owned(),
            n => format!("{n} compute something else"),
        }
    );
    let with_errors = forced
        .culprits
        .iter()
        .any(|culprit| culprit.errors.is_some());
    let mut table = Table::new([
        Column::left("module").giving_way(),
        Column::left("layers"),
        Column::left("operation"),
        Column::right("passages"),
        Column::right("elements"),
        Column::right("max abs"),
        Column::left(if with_errors {
            "nearer to f64 (A / B)"
        } else {
            ""
        }),
    ]);
    for group in groups(&forced.culprits) {
        table.row(line(&group));
    }
    out.push_str(&table.render(style));
    out.push('\n');
    for clause in cut_out(&forced.culprits) {
        let _ = writeln!(out, "{clause}.\n");
    }
    for orders in &forced.orders {
        added(out, orders);
    }
    for formulas in &forced.formulas {
        computed(out, formulas);
    }
    if forced.shares.len() > 1 {
        let _ = writeln!(
            out,
            "Of the mean difference of {} between the embeddings, A makes with B's outputs at these \
             modules alone:",
            magnitude(forced.mean_abs)
        );
        for share in &forced.shares {
            let _ = writeln!(
                out,
                "  {} ({}): {}",
                share.operation,
                several(share.modules, "module"),
                magnitude(share.mean_abs)
            );
        }
        out.push('\n');
    }
}

/// Culprits at the same place of several layers.
struct Group<'a> {
    /// The path, with `*` for the layer.
    path: String,
    layers: Vec<usize>,
    culprits: Vec<&'a Culprit>,
}

/// The culprits by their place in a layer, in the order of the first of each.
fn groups(culprits: &[Culprit]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for culprit in culprits {
        let (path, layer) = starred(&culprit.module);
        match groups.iter_mut().find(|group| group.path == path) {
            Some(group) => {
                group.layers.extend(layer);
                group.culprits.push(culprit);
            }
            None => groups.push(Group {
                path,
                layers: layer.into_iter().collect(),
                culprits: vec![culprit],
            }),
        }
    }
    groups
}

/// A path without the number of its layer, and that number.
fn starred(path: &str) -> (String, Option<usize>) {
    const LAYER: &str = "bert.encoder.layer.";
    let parts = path
        .strip_prefix(LAYER)
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(layer, rest)| Some((layer.parse().ok()?, rest)));
    match parts {
        Some((layer, rest)) => (format!("{LAYER}*.{rest}"), Some(layer)),
        None => (path.to_owned(), None),
    }
}

impl Group<'_> {
    /// Its path, with the number of the layer where there is only one.
    fn name(&self) -> &str {
        match self.culprits.as_slice() {
            [one] => &one.module,
            _ => &self.path,
        }
    }

    /// `0 to 3`, or `0, 2`.
    fn layers(&self) -> String {
        match (self.layers.first(), self.layers.last()) {
            (Some(first), Some(last)) if last - first + 1 == self.layers.len() && first != last => {
                format!("{first} to {last}")
            }
            _ => {
                let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
                layers.join(", ")
            }
        }
    }
}

fn line(group: &Group<'_>) -> [Cell; 7] {
    let of = |number: fn(&Culprit) -> usize| group.culprits.iter().map(move |c| number(c));
    let largest = group.culprits.iter().map(|c| c.max_abs).fold(0.0, f64::max);
    [
        group.path.clone().into(),
        group.layers().into(),
        group.culprits[0].operation.to_string().into(),
        format!(
            "{} of {}",
            of(|c| c.passages).max().unwrap_or(0),
            of(|c| c.of).max().unwrap_or(0)
        )
        .into(),
        format!(
            "{} of {}",
            count(of(|c| c.elements).sum::<usize>()),
            count(of(|c| c.elements_of).sum::<usize>())
        )
        .into(),
        magnitude(largest).into(),
        nearer(&group.culprits).into(),
    ]
}

/// Which side is nearer to double precision, with the mean errors of both, over all of a group.
fn nearer(culprits: &[&Culprit]) -> String {
    let errors: Vec<&Errors> = culprits.iter().filter_map(|c| c.errors.as_ref()).collect();
    if errors.is_empty() {
        return String::new();
    }
    let mean = |side: fn(&Errors) -> f64| {
        errors.iter().map(|errors| side(errors)).sum::<f64>() / errors.len() as f64
    };
    let (a, b) = (mean(|errors| errors.mean_a), mean(|errors| errors.mean_b));
    let side = match Nearer::of(a, b) {
        Nearer::A => "A",
        Nearer::B => "B",
        Nearer::Neither => "neither",
    };
    format!("{side} ({} / {})", magnitude(a), magnitude(b))
}

/// Modules by their place in a layer, the path of each place once.
fn places(modules: &[String]) -> String {
    let mut places: Vec<String> = Vec::new();
    for module in modules {
        let path = match modules {
            [one] => one.clone(),
            _ => starred(module).0,
        };
        if !places.contains(&path) {
            places.push(path);
        }
    }
    let quoted = |path: &String| format!("`{path}`");
    match places.as_slice() {
        [first, second, more @ ..] if !more.is_empty() => format!(
            "{}, {} and {}",
            quoted(first),
            quoted(second),
            several(more.len(), "other place")
        ),
        few => few.iter().map(quoted).collect::<Vec<_>>().join(" and "),
    }
}

/// How both sides add the products of a layer.
fn added(out: &mut String, orders: &Orders) {
    let _ = writeln!(
        out,
        "The {} products of {}, {} rows, are added",
        count(orders.inputs),
        places(&orders.modules),
        count(orders.rows)
    );
    for (name, side) in [("A", &orders.a), ("B", &orders.b)] {
        let all: usize = side.iter().map(|order| order.sums).sum();
        for order in side {
            let share = if side.len() == 1 {
                String::new()
            } else {
                format!(" for {} of {} sums", count(order.sums), count(all))
            };
            let proof = match order.replayed {
                Some((compared, reproduced)) if compared == reproduced => {
                    format!("; {} results replayed bit for bit", count(compared))
                }
                Some((compared, reproduced)) => {
                    format!(
                        "; {} of {} results replayed",
                        count(reproduced),
                        count(compared)
                    )
                }
                None => String::new(),
            };
            let _ = writeln!(out, "  by {name}{share}: {}{proof}", order.label);
        }
    }
    out.push('\n');
}

/// By which formulas both sides compute.
fn computed(out: &mut String, formulas: &Formulas) {
    let _ = writeln!(
        out,
        "{} of {}: on {} numbers made up for it, A and B give the same bits for {}",
        subject_of(formulas),
        places(&formulas.modules),
        count(formulas.samples),
        count(formulas.shared)
    );
    for (name, way) in [("A", &formulas.a), ("B", &formulas.b)] {
        let reproduced = if way.reproduced == formulas.samples {
            "which gives all of them".to_owned()
        } else {
            format!(
                "the known formula that gives most of them, {}",
                count(way.reproduced)
            )
        };
        let _ = writeln!(out, "  {name}: {}, {reproduced}", way.formula);
    }
    out.push('\n');
}

/// The operation that was asked: of attention it is a part.
fn subject_of(formulas: &Formulas) -> String {
    match formulas.operation {
        ShortOperation::Gelu => formulas.operation.to_string(),
        _ => format!("{} of {} values", formulas.operation, formulas.width),
    }
}

fn by_hashes(out: &mut String, encoder: &EncoderFinding, style: &Style) {
    let Some(departures) = &encoder.departures else {
        out.push_str("The runs have no taps in common, so nothing is known of the modules.\n\n");
        return;
    };
    let mut table = Table::new([
        Column::left("module"),
        Column::left("operation"),
        Column::left("differs on equal inputs for"),
    ]);
    for departure in departures.iter().take(LISTED) {
        table.row([
            departure.module.clone().into(),
            departure.operation.to_string().into(),
            format!("{} of {} passages", departure.passages, departure.of).into(),
        ]);
    }
    out.push_str("From the hashes of both runs, these modules depart on equal inputs:\n\n");
    out.push_str(&table.render(style));
    out.push('\n');
}

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

/// For each side the modules that give back what they read.
fn cut_out(culprits: &[Culprit]) -> Vec<String> {
    let of = |side: usize| -> Vec<String> {
        let culprits = culprits.iter().filter(|culprit| culprit.cut_out[side]);
        culprits.map(|culprit| culprit.module.clone()).collect()
    };
    ["A", "B"]
        .into_iter()
        .zip([of(0), of(1)])
        .filter(|(_, modules)| !modules.is_empty())
        .map(|(name, modules)| format!("{name} gives back what {} reads", places(&modules)))
        .collect()
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

/// A text for an issue tracker, to go with the script.
pub fn issue_text(reproducer: &Reproducer, a: &str, b: &str) -> String {
    format!(
        "# {operation}: {b} gives other bits than {a}\n\n\
         On the same input, {differing} of {of} elements of the result differ between the two. The script below \
         needs torch and numpy alone; its numbers are made by a rule, so there is nothing to download. Processors \
         with other instruction sets may print other lines: what counts is that the two versions differ.\n\n\
         | run with | prints |\n|---|---|\n| {a} | `{expected_a}` |\n| {b} | `{expected_b}` |\n\n\
         ```python\n{script}```\n",
        operation = reproducer.operation,
        differing = count(reproducer.differing),
        of = count(reproducer.of),
        expected_a = reproducer.expected_a,
        expected_b = reproducer.expected_b,
        script = reproducer.script,
    )
}
