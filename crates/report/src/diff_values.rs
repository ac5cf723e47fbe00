//! Values of two files that are no tensors, as text.

use concord_lab::diff::{Renamed, ValueDifference, ValuesDiff};

use crate::figures::{count, several};
use crate::style::{Style, Tone};

/// The most differences, and the most places where it cannot be told, that are shown; JSON has more.
const MAX_SHOWN: usize = 40;

/// The differences, a line each, and what there is to say of what was compared; nothing where there is neither.
pub(crate) fn diff_values(values: &ValuesDiff, style: &Style) -> String {
    let mut lines = Vec::new();
    for difference in values.differences.iter().take(MAX_SHOWN) {
        lines.push(style.paint(Tone::Bad, &line(difference)));
    }
    let shown = values.differences.len().min(MAX_SHOWN) as u64;
    if values.differing > shown {
        let more = count(values.differing - shown);
        lines.push(format!("… and {more} more differences of values"));
    }
    for place in values.unknown.iter().take(MAX_SHOWN) {
        let line = format!("{}: cannot tell, for this cannot be compared", at(place));
        lines.push(style.paint(Tone::Open, &line));
    }
    for renamed in values.renamed.iter().take(MAX_SHOWN) {
        lines.push(style.paint(Tone::Open, &format!("note: {}", prefix(renamed))));
    }
    if values.opaque > 0 {
        let classes = values.opaque_classes.join(", ");
        let objects = several(values.opaque as usize, "object");
        lines.push(style.paint(
            Tone::Open,
            &format!(
                "note: {objects} of other classes compared by what the files say of them, without making them ({classes})"
            ),
        ));
    }
    if values.not_compared > 0 {
        let number = several(values.not_compared as usize, "value");
        let line = format!(
            "note: {number} of metadata not compared, for which only one of the two formats has room"
        );
        lines.push(style.paint(Tone::Open, &line));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("{}\n\n", lines.join("\n"))
}

/// How many values were compared and differ, for the last line; nothing where there are none.
pub(crate) fn verdict_of_values(values: &ValuesDiff) -> String {
    if values.compared == 0 && values.differing == 0 {
        return String::new();
    }
    let compared = several(values.compared as usize, "other value");
    format!("{compared}: {} differ. ", count(values.differing))
}

fn line(difference: &ValueDifference) -> String {
    let at = at(&difference.path);
    match (&difference.a, &difference.b) {
        (Some(a), Some(b)) => format!("{at}: {a} in A, {b} in B"),
        (Some(a), None) => format!("{at}: {a} in A only"),
        (None, Some(b)) => format!("{at}: {b} in B only"),
        (None, None) => at.to_owned(),
    }
}

fn at(path: &str) -> &str {
    if path.is_empty() {
        "the whole value"
    } else {
        path
    }
}

fn prefix(renamed: &Renamed) -> String {
    let side = if renamed.in_a { "A" } else { "B" };
    let inside = match renamed.path.as_str() {
        "" => String::new(),
        path => format!(" in {path}"),
    };
    format!(
        "the {}{inside} have the prefix `{}` in {side} alone; what they name is compared without it",
        several(renamed.names, "name"),
        renamed.prefix
    )
}
