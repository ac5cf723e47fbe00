//! Attention masks that are not the same, in words.

use concord_lab::explain::{Attended, MaskDifference, MaskPair};

use super::places::quoted;
use crate::figures::{count, several};

/// As many tokens as are named one by one.
const NAMED: usize = 3;

/// Where the two had other attention masks and what those say, for the sentence.
pub(super) fn in_short(differences: &[MaskDifference]) -> Option<String> {
    let (first, rest) = differences.split_first()?;
    let more = match rest.iter().map(|other| other.modules.len()).sum::<usize>() {
        0 => String::new(),
        more => format!("; and otherwise at {}", several(more, "more module")),
    };
    Some(in_full(first) + &more)
}

/// The same of one difference.
pub(super) fn in_full(difference: &MaskDifference) -> String {
    let module = difference.modules.first().map_or("", String::as_str);
    let more = match difference.modules.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {}", several(more, "more module")),
    };
    let of = count(difference.of);
    let few: Vec<String> = difference.few.iter().map(usize::to_string).collect();
    let (passages, example) = match few.as_slice() {
        [only] => (format!("passage {only} of {of} alone"), String::new()),
        several => {
            let passages = match several {
                [] => format!("{} of {of} passages", count(difference.passages)),
                few => format!("passages {} of {of} alone", few.join(", ")),
            };
            (passages, format!("in passage {} ", difference.first.pid))
        }
    };
    format!(
        "the attention mask of {}{more}, for {passages}: {example}{}",
        quoted(module),
        sides(&difference.first)
    )
}

/// What both sides attend to in one passage.
pub(super) fn sides(pair: &MaskPair) -> String {
    format!(
        "A attends {}, B {}",
        attended(&pair.a, pair.tokens),
        attended(&pair.b, pair.tokens)
    )
}

fn attended(own: &Attended, tokens: usize) -> String {
    let mut parts = Vec::new();
    let partly = if own.varying { "in part " } else { "" };
    match own.hidden.as_slice() {
        [] if own.weighted.is_empty() => {
            parts.push(format!("to all {}", several(tokens, "token")));
        }
        [] => {}
        all if all.len() == tokens && !own.varying => parts.push("to no token".to_owned()),
        some => parts.push(format!("{partly}not to {}", named(some))),
    }
    if !own.weighted.is_empty() {
        let tokens = named(&own.weighted);
        parts.push(format!("{partly}to {tokens} with another weight"));
    }
    if own.padding {
        parts.push("to padding".to_owned());
    }
    parts.join(" and ")
}

/// `token 4`, `tokens 4, 5, 6`, `12 tokens, the first of them 4`.
fn named(tokens: &[usize]) -> String {
    let texts: Vec<String> = tokens.iter().map(usize::to_string).collect();
    match texts.as_slice() {
        [one] => format!("token {one}"),
        few if few.len() <= NAMED => format!("tokens {}", few.join(", ")),
        many => {
            let all = several(many.len(), "token");
            format!("{all}, the first of them {}", many[0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attended_to_is_said_of_both_sides() {
        let mask = |hidden: &[usize], weighted: &[usize], varying, padding| Attended {
            hidden: hidden.to_vec(),
            weighted: weighted.to_vec(),
            varying,
            padding,
        };
        for (own, said) in [
            (mask(&[], &[], false, false), "to all 6 tokens"),
            (
                mask(&[], &[], false, true),
                "to all 6 tokens and to padding",
            ),
            (mask(&[4], &[], false, false), "not to token 4"),
            (
                mask(&[1, 2, 4], &[], false, true),
                "not to tokens 1, 2, 4 and to padding",
            ),
            (
                mask(&[1, 2, 3, 5], &[], false, false),
                "not to 4 tokens, the first of them 1",
            ),
            (
                mask(&[0, 1, 2, 3, 4, 5], &[], false, true),
                "to no token and to padding",
            ),
            (
                mask(&[1, 2, 3, 4, 5], &[], true, false),
                "in part not to 5 tokens, the first of them 1",
            ),
            (
                mask(&[4], &[2], false, false),
                "not to token 4 and to token 2 with another weight",
            ),
            (
                mask(&[], &[2], false, false),
                "to token 2 with another weight",
            ),
        ] {
            assert_eq!(attended(&own, 6), said);
        }
    }
}
