//! A difference, as a text for an issue tracker.

use concord_lab::explain::Reproducer;

use crate::figures::count;

/// A text for an issue tracker, to go with the script.
pub fn issue_text(reproducer: &Reproducer, a: &str, b: &str) -> String {
    format!(
        "# {operation}: {b} gives other bits than {a}\n\n\
         On the same input, {differing} of {of} elements of the result differ between the two. The script below \
         needs torch and numpy alone; its numbers are made by a rule, so there is nothing to download. Processors \
         with other instruction sets may print other lines: what counts is that the two differ.\n\n\
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
