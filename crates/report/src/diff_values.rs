//! Values of two files that are no tensors, as text.

use std::borrow::Cow;

use concord_lab::diff::{Renamed, ValueDifference, ValuesDiff};

use crate::figures::{count, several};
use crate::printable::printable;
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
        let classes: Vec<_> = values
            .opaque_classes
            .iter()
            .map(|class| printable(class))
            .collect();
        let classes = classes.join(", ");
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
    let [a, b] = [&difference.a, &difference.b].map(|value| value.as_deref().map(printable));
    match (a, b) {
        (Some(a), Some(b)) => format!("{at}: {a} in A, {b} in B"),
        (Some(a), None) => format!("{at}: {a} in A only"),
        (None, Some(b)) => format!("{at}: {b} in B only"),
        (None, None) => at.into_owned(),
    }
}

fn at(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        "the whole value".into()
    } else {
        printable(path)
    }
}

fn prefix(renamed: &Renamed) -> String {
    let side = if renamed.in_a { "A" } else { "B" };
    let inside = match renamed.path.as_str() {
        "" => String::new(),
        path => format!(" in {}", printable(path)),
    };
    format!(
        "the {}{inside} have the prefix `{}` in {side} alone; what they name is compared without it",
        several(renamed.names, "name"),
        printable(&renamed.prefix)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_file_is_escaped_and_cut_wherever_it_stands() {
        let outside = format!("\u{1b}[2J{}", "x".repeat(1_000_000));
        let values = ValuesDiff {
            differing: 1,
            differences: vec![ValueDifference {
                path: outside.clone(),
                a: Some(outside.clone()),
                b: Some(outside.clone()),
            }],
            opaque: 1,
            opaque_classes: vec![outside.clone(); 2],
            renamed: vec![Renamed {
                path: outside.clone(),
                prefix: outside.clone(),
                in_a: true,
                names: 1,
            }],
            unknown: vec![outside],
            ..ValuesDiff::default()
        };
        let said = diff_values(&values, &Style::default());
        assert!(!said.contains('\u{1b}'), "a terminal would act on it");
        assert!(said.lines().all(|line| line.chars().count() < 5_000));
        assert_eq!(said.matches("(1000004 characters)").count(), 8, "{said}");
    }
}
