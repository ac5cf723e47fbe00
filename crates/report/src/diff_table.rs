//! Two sides compared, as a table.

use concord_lab::Nearer;
use concord_lab::diff::{
    Bits, Counts, DiffReport, DiffRow, Distance, Evidence, FieldDiff, Judgement, Numbers, Outcome,
    Presence, RowKind, Spot, Unknown, Verdict,
};
use concord_tensor::closeness::ClosenessReport;

use crate::diff_values::{diff_values, verdict_of_values};
use crate::figures::{count, form, index, magnitude, several, share, ulps};
use crate::printable::printable;
use crate::style::{Style, Tone};
use crate::table::{Cell, Column, Table};

/// The report as a table of one line for each tensor, with the sides and what they started from above
/// and the answer below.
///
/// | column | what stands in it |
/// |---|---|
/// | artifact | its name; with a field, `artifact.field` |
/// | shape | dtype and shape; of both sides where they differ |
/// | shape = | `yes`, `no` |
/// | bits = | `yes`, `no`, `?` where it cannot be told |
/// | allclose | `yes`, `no`, where values were read |
/// | max abs, worst ULP | the largest differences, where values were read and differ |
/// | where | how many differ and the place of the largest, or what is in the way of telling |
///
/// With a referee, there are three more before `where`:
///
/// | column | what stands in it |
/// |---|---|
/// | error of A, error of B | for floats the mean absolute error and in brackets the largest; for integers the share of elements that agree with the referee's |
/// | nearer | `A`, `B`, `equally near`, or `not comparable`, for which the reason is in `where` |
pub fn diff_table(report: &DiffReport, style: &Style) -> String {
    let mut out = String::new();
    for (letter, side) in [("A", &report.a), ("B", &report.b)] {
        let subject = side
            .subject
            .as_ref()
            .filter(|subject| **subject != side.name);
        let subject = subject.map_or(String::new(), |subject| {
            format!(" of {}", printable(subject))
        });
        let line = format!(
            "{letter}: {} ({}{subject})",
            printable(&side.name),
            side.kind
        );
        out.push_str(&line);
        out.push('\n');
    }
    for (letter, side) in [("A", &report.a), ("B", &report.b)] {
        if let Some(damage) = &side.damage {
            let damage = printable(damage);
            let line = format!("note: {letter} is damaged: {damage}; its manifest is not asked");
            out.push_str(&style.paint(Tone::Bad, &line));
            out.push('\n');
        }
    }
    for remark in &report.remarks {
        out.push_str(&style.paint(
            Tone::Open,
            &format!("note: {}", printable(&remark.to_string())),
        ));
        out.push('\n');
    }
    out.push('\n');
    let rows = match &report.referee {
        None => rendered(report, columns(), line, style),
        Some(_) => {
            let [name, shape, same_shape, bits, close, largest, worst, place] = columns();
            let [a, b] = ["error of A", "error of B"].map(Column::right);
            let nearer = Column::left("nearer");
            let columns = [
                name, shape, same_shape, bits, close, largest, worst, a, b, nearer, place,
            ];
            rendered(report, columns, judged_line, style)
        }
    };
    if !report.rows.is_empty() {
        out.push_str(&rows);
        out.push('\n');
    }
    out.push_str(&unlisted(report));
    if let Some(values) = &report.values {
        out.push_str(&diff_values(values, style));
    }
    out.push_str(&summary(report, style));
    out
}

/// That there are more rows than are listed, as a line; nothing where there are not.
fn unlisted(report: &DiffReport) -> String {
    let Counts {
        same, different, ..
    } = report.unlisted;
    if report.unlisted.is_zero() {
        return String::new();
    }
    format!(
        "Not listed, for there are too many: {} that are the same, {} that differ.\n\n",
        count(same as u64),
        count(different as u64),
    )
}

/// The columns that every table has.
fn columns() -> [Column; 8] {
    [
        Column::left("artifact"),
        Column::left("shape"),
        Column::left("shape ="),
        Column::left("bits ="),
        Column::left("allclose"),
        Column::right("max abs"),
        Column::right("worst ULP"),
        Column::left("where").giving_way(),
    ]
}

/// The table of these columns, a line for each tensor.
fn rendered<const N: usize>(
    report: &DiffReport,
    columns: [Column; N],
    line: impl Fn(&DiffRow, &FieldDiff) -> [Cell; N],
    style: &Style,
) -> String {
    let mut table = Table::new(columns);
    for row in &report.rows {
        if row.fields.is_empty() {
            // An artifact without chunks, as of a collection without passages.
            let mut cells: [Cell; N] = std::array::from_fn(|_| Cell::default());
            cells[0] = row.name.clone().into();
            cells[1] = "no chunks".into();
            table.row(cells);
        }
        for field in &row.fields {
            table.row(line(row, field));
        }
    }
    table.render(style)
}

/// The line of a tensor with what the referee says of it.
fn judged_line(row: &DiffRow, field: &FieldDiff) -> [Cell; 11] {
    let [name, shape, same_shape, bits, close, largest, worst, place] = line(row, field);
    let [a, b, nearer] = match &field.referee {
        None => Default::default(),
        Some(Judgement::NotComparable { .. }) => [
            Cell::default(),
            Cell::default(),
            Cell::toned(Tone::Open, "not comparable"),
        ],
        Some(Judgement::Judged { a, b, nearer }) => {
            [error(a).into(), error(b).into(), side(*nearer).into()]
        }
    };
    [
        name, shape, same_shape, bits, close, largest, worst, a, b, nearer, place,
    ]
}

fn side(nearer: Nearer) -> &'static str {
    match nearer {
        Nearer::A => "A",
        Nearer::B => "B",
        Nearer::Neither => "equally near",
    }
}

/// How far a side is from the referee: `2.1e-8 (3.4e-7)`, `99.996 % agree`.
fn error(distance: &Distance) -> String {
    let mut text = match (distance.mean, distance.max) {
        (Some(mean), Some(max)) => format!("{} ({})", magnitude(mean), magnitude(max)),
        _ => format!("{} agree", share(distance.agree)),
    };
    if distance.without_bound > 0 {
        let number = count(distance.without_bound as u64);
        text.push_str(&format!(", {number} not finite"));
    }
    text
}

fn line(row: &DiffRow, field: &FieldDiff) -> [Cell; 8] {
    let name = if field.name.is_empty() {
        row.name.clone()
    } else {
        format!("{}.{}", row.name, field.name)
    };
    let name = match row.outcome {
        Outcome::Different => Cell::toned(Tone::Strong, name),
        Outcome::OneSided => Cell::toned(Tone::Faint, name),
        Outcome::Same | Outcome::Unknown => name.into(),
    };
    let shape = match (&field.a, &field.b) {
        (Some(a), Some(b)) if a == b => form(a),
        (Some(a), Some(b)) => format!("{} / {}", form(a), form(b)),
        (Some(one), None) | (None, Some(one)) => form(one),
        (None, None) => String::new(),
    };
    let bits = match field.bits {
        Bits::Same(_) => Cell::toned(Tone::Good, "yes"),
        Bits::Different(_) => Cell::toned(Tone::Bad, "no"),
        Bits::Unknown(_) => Cell::toned(Tone::Open, "?"),
    };
    let numbers = field.numbers.as_ref().map(|numbers| &numbers.report);
    let unequal = numbers.filter(|report| report.differing > 0);
    let max_abs = unequal.map_or(String::new(), |report| {
        // Differences without bound are larger than any that can be measured.
        let largest = report.max_abs.as_ref().map_or(0.0, |peak| peak.value);
        magnitude(if report.infinite > 0 {
            f64::INFINITY
        } else {
            largest
        })
    });
    let worst = unequal.and_then(|report| report.ulps.as_ref());
    let worst = worst.map_or(String::new(), |report| {
        ulps(report.worst.as_ref().map_or(0, |worst| worst.ulps))
    });
    [
        name,
        shape.into(),
        answer(field.shape_same),
        bits,
        answer(numbers.map(|report| report.allclose)),
        max_abs.into(),
        worst.into(),
        remarks(row, field).join("; ").into(),
    ]
}

fn answer(yes: Option<bool>) -> Cell {
    match yes {
        Some(true) => Cell::toned(Tone::Good, "yes"),
        Some(false) => Cell::toned(Tone::Bad, "no"),
        None => Cell::toned(Tone::Faint, "–"),
    }
}

/// What there is to say of a tensor beside the figures.
fn remarks(row: &DiffRow, field: &FieldDiff) -> Vec<String> {
    let mut said = Vec::new();
    match (&field.a, &field.b) {
        (Some(_), None) => said.push("only in A".to_owned()),
        (None, Some(_)) => said.push("only in B".to_owned()),
        _ => {}
    }
    if field.dtype_same == Some(false) {
        said.push("dtypes differ".to_owned());
    }
    if let Some(passages) = row.passages.filter(|_| row.presence == Presence::Both) {
        if let Some(pid) = passages.first_differing_pid {
            let (differing, common) = (
                count(passages.differing as u64),
                count(passages.common as u64),
            );
            said.push(format!(
                "{differing} of {common} passages differ, first {pid}"
            ));
        }
        if passages.unknown > 0 {
            let unknown = several(passages.unknown, "passage");
            said.push(format!("{unknown} with hashes by two rules"));
        }
        for (only, side) in [(passages.only_a, "A"), (passages.only_b, "B")] {
            if only > 0 {
                said.push(format!("{} only in {side}", several(only, "passage")));
            }
        }
    }
    if let Some(numbers) = &field.numbers {
        said.extend(figures(numbers, row, field));
    } else if matches!(field.bits, Bits::Different(Evidence::Hashes)) {
        said.push(match field.values {
            Some(Presence::OnlyA) => "by hash; B did not keep the values".to_owned(),
            Some(Presence::OnlyB) => "by hash; A did not keep the values".to_owned(),
            _ => "by hash; values were not kept".to_owned(),
        });
    }
    if let Bits::Unknown(why) = field.bits
        && why != Unknown::OneSided
    {
        said.push(format!("cannot tell: {why}"));
    }
    if let Some(Judgement::NotComparable { not_comparable }) = &field.referee {
        said.insert(0, not_comparable.to_string());
    }
    said
}

fn figures(numbers: &Numbers, row: &DiffRow, field: &FieldDiff) -> Vec<String> {
    let report = &numbers.report;
    let mut said = Vec::new();
    let read = |side: &Option<concord_lab::diff::TensorForm>, dtype| {
        side.as_ref().is_some_and(|form| form.dtype != dtype)
    };
    if read(&field.a, report.dtype_a) || read(&field.b, report.dtype_b) {
        said.push(format!(
            "values as kept, {} and {}",
            report.dtype_a, report.dtype_b
        ));
    }
    if report.differing > 0 {
        let (differing, elements) = (
            count(report.differing as u64),
            count(report.elements as u64),
        );
        said.push(format!(
            "{differing} of {elements} differ{}",
            largest_at(numbers, row.kind)
        ));
    }
    if report.nans.a > 0 || report.nans.b > 0 {
        let (a, b) = (count(report.nans.a as u64), count(report.nans.b as u64));
        said.push(format!("NaN: {a} in A, {b} in B"));
    }
    said
}

/// Where the largest difference is; where none can be measured, the first.
fn largest_at(numbers: &Numbers, kind: RowKind) -> String {
    let report: &ClosenessReport = &numbers.report;
    let (verb, place, spot) = match (&report.max_abs, &report.first_difference) {
        (Some(peak), _) => ("most", &peak.at, numbers.spots.max_abs),
        (None, Some(place)) => ("first", place, numbers.spots.first_difference),
        (None, None) => return String::new(),
    };
    match (spot, place.index.as_slice()) {
        (_, []) => String::new(),
        // The rows of a tap are numbered among those that both sides have, which tells nobody anything.
        (Some(Spot { pid, token }), [_, column]) if kind == RowKind::Tap => {
            format!(", {verb} at passage {pid}, token {token}, column {column}")
        }
        (Some(Spot { pid, token }), at) => {
            format!(", {verb} at {} (passage {pid}, token {token})", index(at))
        }
        (None, at) => format!(", {verb} at {}", index(at)),
    }
}

fn summary(report: &DiffReport, style: &Style) -> String {
    let counts = report.counts;
    let noun = if report.rows.iter().all(|row| row.kind == RowKind::Tensor) {
        "tensor"
    } else {
        "row"
    };
    let verdict = match &report.verdict {
        Verdict::Same if counts.one_sided == 0 || report.values.is_some() => {
            let left_out = report
                .values
                .as_ref()
                .is_some_and(|values| values.not_compared > 0);
            let line = match left_out {
                true => "The tensors of the two are the same, bit for bit.",
                false => "The two are the same, bit for bit.",
            };
            style.paint(Tone::Good, line)
        }
        Verdict::Same => {
            let line = format!(
                "The two are the same, bit for bit, in {} of {}; the others were not compared: one side only has them.",
                count(counts.same as u64),
                several(report.rows.len(), noun)
            );
            style.paint(Tone::Good, &line)
        }
        Verdict::Different
            if report.first_different.is_none() && report.settings_different.is_empty() =>
        {
            let line = "The two differ in the names of tensors alone, by the prefix; the tensors are the same, bit \
                        for bit.";
            style.paint(Tone::Bad, line)
        }
        Verdict::Different => {
            let line = match &report.first_different {
                Some(first) => format!("The two differ, first in `{}`.", printable(first)),
                None => format!(
                    "The two differ, in how they are read: {}.",
                    listed(&report.settings_different)
                ),
            };
            style.paint(Tone::Bad, &line)
        }
        Verdict::CannotTell { .. } if report.a.damage.is_some() || report.b.damage.is_some() => {
            let line = "Cannot tell: nothing is known to differ, but one that is damaged is the same as no other.";
            style.paint(Tone::Open, line)
        }
        Verdict::CannotTell { unknown } if unknown.is_empty() => {
            let line = "Cannot tell: the two have nothing in common to compare.";
            style.paint(Tone::Open, line)
        }
        Verdict::CannotTell { unknown } => {
            let line = format!(
                "Cannot tell: nothing is known to differ, but {} is open.",
                listed(unknown)
            );
            style.paint(Tone::Open, &line)
        }
    };
    let mut parts = vec![
        format!("{} differ", count(counts.different as u64)),
        format!("{} same", count(counts.same as u64)),
        format!("{} unknown", count(counts.unknown as u64)),
    ];
    if counts.one_sided > 0 {
        parts.push(format!(
            "{} on one side only",
            count(counts.one_sided as u64)
        ));
    }
    let unlisted = report.unlisted.same + report.unlisted.different;
    let rows = several(report.rows.len() + unlisted, noun);
    let values = report
        .values
        .as_ref()
        .map_or(String::new(), verdict_of_values);
    let tolerance = format!(
        "allclose: rtol {:e}, atol {:e}",
        report.tolerance.rtol, report.tolerance.atol
    );
    let judged = judgements(report);
    format!(
        "{verdict}\n{judged}{rows}: {}. {values}{tolerance}.\n",
        parts.join(", ")
    )
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", printable(name)))
        .collect();
    names.join(", ")
}

/// In how many tensors which side is nearer the referee, as a line; nothing without a referee.
fn judgements(report: &DiffReport) -> String {
    let Some(referee) = &report.referee else {
        return String::new();
    };
    let fields = report.rows.iter().flat_map(|row| &row.fields);
    let judgements: Vec<&Judgement> = fields.filter_map(|f| f.referee.as_ref()).collect();
    let number = |wanted: Option<Nearer>| {
        let answer = |judgement: &&&Judgement| match judgement {
            Judgement::Judged { nearer, .. } => Some(*nearer) == wanted,
            Judgement::NotComparable { .. } => wanted.is_none(),
        };
        judgements.iter().filter(answer).count()
    };
    let mut parts = vec![
        format!("A in {}", number(Some(Nearer::A))),
        format!("B in {}", number(Some(Nearer::B))),
    ];
    for (number, what) in [
        (number(Some(Nearer::Neither)), "equally near"),
        (number(None), "not comparable"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    format!(
        "Of {} that differ, nearer to {referee}, by mean error or share that agrees: {}. Errors are accumulated, \
         from the text on.\n",
        several(judgements.len(), "tensor"),
        parts.join(", "),
    )
}
