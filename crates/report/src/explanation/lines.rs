//! The causes one by one, in few and short lines.

use concord_lab::Verdict;
use concord_lab::explain::{Cause, Explanation, Forced, Part, Role};

use super::places::modules_in_short;
use super::words::in_full;
use crate::figures::{magnitude, several};

/// The most lines.
const MOST: usize = 5;

/// A line for each kind of cause in the encoder, the largest share first, and one on the artifacts; none where the two
/// are the same.
pub fn cause_lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if explanation.verdict == Verdict::Same {
        return lines;
    }
    let forced = explanation
        .encoder
        .as_ref()
        .and_then(|encoder| encoder.forced.as_ref());
    if let Some(forced) = forced {
        lines.extend(of_encoder(forced));
    }
    lines.extend(of_artifacts(explanation));
    lines
}

fn of_encoder(forced: &Forced) -> Vec<String> {
    let causes = forced.causes.as_slice();
    let room = MOST - 1;
    let (told, rest) = match causes.len() > room {
        true => causes.split_at(room - 1),
        false => (causes, &[][..]),
    };
    let mut lines: Vec<String> = told.iter().map(|cause| line(cause, forced)).collect();
    if !rest.is_empty() {
        let modules = rest.iter().map(|cause| cause.modules.len()).sum::<usize>();
        lines.push(format!(
            "{} further causes at {}: in the tables",
            rest.len(),
            several(modules, "module")
        ));
    }
    lines
}

fn line(cause: &Cause, forced: &Forced) -> String {
    format!(
        "{}{}: {}",
        modules_in_short(cause),
        alone(cause, forced),
        in_full(cause, forced)
    )
}

/// What the modules make of the difference alone, where they are all of their operation that differ.
fn alone(cause: &Cause, forced: &Forced) -> String {
    let [operation] = cause.operations.as_slice() else {
        return String::new();
    };
    let share = forced
        .shares
        .iter()
        .find(|share| share.operation == *operation);
    match share.filter(|share| share.modules == cause.modules.len()) {
        Some(share) => format!(
            ", alone {} of the mean difference of {}",
            magnitude(share.mean_abs),
            magnitude(forced.mean_abs)
        ),
        None => String::new(),
    }
}

/// How many artifacts agree, and how many do once the first side's are in the second side's build.
fn of_artifacts(explanation: &Explanation) -> Option<String> {
    let agrees = |part: &&Part| matches!(part.role, Role::Untouched | Role::Absorbed);
    let agreeing = explanation.parts.iter().filter(agrees).count();
    let all = explanation.parts.len();
    if all == 0 {
        return None;
    }
    let mut line = format!("{agreeing} of {all} artifacts agree");
    for closure in &explanation.closures {
        let (now, follow) = closure.agreeing();
        if follow > 0 {
            line.push_str(&format!(
                "; with A's `{}` in B's build, {now} of the {follow} that follow",
                closure.swapped
            ));
        }
    }
    Some(line)
}
