//! Patterns.

/// Whether a text is as a pattern says, in which `%` stands for any text and `_` for any one character. Every other
/// character stands for itself, in its own case.
///
/// The time is at most that of the lengths multiplied: behind a `%` that can be moved, no earlier one is moved again.
pub(super) fn is_like(text: &str, pattern: &[char]) -> bool {
    let mut characters = text.chars();
    let mut at = 0;
    // Behind the last `%`, and what of the text follows the place that it was tried for.
    let mut again: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        if pattern.get(at) == Some(&'%') {
            at += 1;
            again = Some((at, characters.clone()));
            continue;
        }
        match (characters.next(), pattern.get(at)) {
            (None, None) => return true,
            (Some(character), Some(&wanted)) if wanted == '_' || wanted == character => at += 1,
            // What the text lacks here, it lacks behind every other place as well.
            (None, Some(_)) => return false,
            (Some(_), _) => match &mut again {
                None => return false,
                Some((behind, from)) => {
                    from.next();
                    at = *behind;
                    characters = from.clone();
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|at| plainly(&text[at..], rest)),
            ['_', rest @ ..] => !text.is_empty() && plainly(&text[1..], rest),
            [c, rest @ ..] => text.first() == Some(c) && plainly(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_the_plain_definition_says(text in "[abé\\x00]{0,8}", pattern in "[abé%_]{0,6}") {
            let (letters, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            prop_assert_eq!(is_like(&text, &pattern), plainly(&letters, &pattern));
        }
    }

    #[test]
    fn many_wildcards_take_no_more_than_the_lengths_multiplied() {
        let pattern: Vec<char> = "%a".repeat(2000).chars().chain(['b']).collect();
        assert!(!is_like(&"a".repeat(20_000), &pattern));
        assert!(is_like("", &['%', '%']) && !is_like("A", &['a']));
    }
}
