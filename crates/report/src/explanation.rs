//! Why two builds differ, as text: tables of what was measured, and one sentence.

mod issue;
mod json;
mod lines;
mod masks;
mod options;
mod places;
mod sentence;
mod words;

use std::fmt::Write;

use concord_lab::explain::{
    Batches, Closure, Contrast, Culprit, EncoderFinding, Errors, Explanation, Forced, Formulas,
    Orders, Part, Role,
};
use concord_lab::formula::ShortOperation;
use concord_lab::{Nearer, Verdict};

pub use self::issue::issue_text;
pub use self::json::explanation_json;
pub use self::lines::cause_lines;
use self::places::{Group, cut_out, groups, places, quoted, sides};
pub use self::sentence::sentence;
use crate::figures::{count, magnitude, several};
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

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
    for line in cause_lines(explanation) {
        let _ = writeln!(out, "- {line}");
    }
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
    for option in &explanation.options {
        let line = options::line(option, style);
        out.push_str(&style.paint(Tone::Open, &line));
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
            role(
                part,
                explanation.culprits().contains(&part.artifact.as_str()),
            ),
            because(part).into(),
            on_other,
        ]);
    }
    out.push_str(&table.render(style));
    out.push('\n');
}

/// The part of an artifact; `makes_another` where its stage makes something else of the other side's inputs too.
fn role(part: &Part, makes_another: bool) -> Cell {
    match part.role {
        Role::Victim if makes_another => Cell::toned(Tone::Bad, "culprit as well"),
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
    for between in &encoder.in_between {
        let _ = writeln!(
            out,
            "On {}, `{}` does not hand on what `{}` computed, for {}.\n",
            sides(between.sides),
            between.module,
            between.of,
            several(between.passages, "passage")
        );
    }
    for difference in &encoder.masks {
        let _ = writeln!(out, "A and B part at {}.\n", masks::in_full(difference));
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
    if let Some(rows) = batches.rows_differing.filter(|_| batches.same_shapes) {
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
    let of = match forced.absent.as_slice() {
        [] => format!("Each of B's {} modules was run", forced.modules),
        _ => format!(
            "Each of the {} modules that both have was run in B",
            forced.modules
        ),
    };
    let _ = writeln!(
        out,
        "{of} on what A's modules computed, for {} in {} of B's batches. {}:\n",
        several(forced.watched.len(), "passage"),
        count(batches_watched(forced)),
        match forced.culprits.len() {
            0 if !forced.absent.is_empty() =>
                "Of those that both have none computes anything else".to_owned(),
            0 => "None computes anything else".to_owned(),
            1 => "One computes something else".to_owned(),
            n => format!("{n} compute something else"),
        }
    );
    for absent in &forced.absent {
        let _ = writeln!(
            out,
            "{} runs none of the {} of the other inside {}{}.\n",
            sides(absent.sides),
            several(absent.modules, "module"),
            quoted(&absent.module),
            if absent.gives_back {
                ", which gives back what it reads"
            } else {
                ""
            }
        );
    }
    for (name, random) in ["A", "B"].iter().zip(&forced.random) {
        let Some(random) = random else {
            continue;
        };
        let _ = writeln!(
            out,
            "{name}, run twice on what A's modules computed: {}.\n",
            match random.as_slice() {
                [] => "every module gives the same both times".to_owned(),
                random => format!("{} each time something else", places(random)),
            }
        );
    }
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
    if !forced.culprits.is_empty() {
        out.push_str(&table.render(style));
        out.push('\n');
    }
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

/// The second side's batches that have a passage of which the first side's values were given. The others of a batch
/// were run beside it, on what they computed themselves.
fn batches_watched(forced: &Forced) -> usize {
    let is_watched = |pid: &usize| forced.watched.contains(pid);
    let batches = forced.batches.iter();
    batches
        .filter(|batch| batch.pids.iter().any(is_watched))
        .count()
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

/// How the products of a layer are added.
fn added(out: &mut String, orders: &Orders) {
    let [rows_a, rows_b] = orders.rows.map(count);
    let cases = match orders.contrast {
        Contrast::Sides => ["by A".to_owned(), "by B".to_owned()],
        Contrast::Shapes => {
            [rows_a.clone(), rows_b.clone()].map(|rows| format!("by A in batches of {rows} rows"))
        }
    };
    let rows = match orders.contrast {
        Contrast::Sides => format!(", {rows_a} rows,"),
        Contrast::Shapes => String::new(),
    };
    let _ = writeln!(
        out,
        "The {} products of {}{rows} are added",
        count(orders.inputs),
        places(&orders.modules),
    );
    for (name, side) in cases.iter().zip([&orders.a, &orders.b]) {
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
            let _ = writeln!(out, "  {name}{share}: {}{proof}", order.label);
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
        out.push_str(
            "The runs have no taps that could be compared, so nothing is known of the modules.\n\n",
        );
        return;
    };
    if departures.is_empty() && !encoder.masks.is_empty() {
        return;
    }
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
