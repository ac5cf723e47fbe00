//! The lines that follow a sentence: one for each cause in the encoder, and one on the artifacts.

use concord_lab::Verdict;

use crate::facts::{Facts, mean_difference, operation_of};
use crate::reasons;
use crate::text::Text;
use crate::told::{check_operations, modules_of, share_of, watched};

/// Checks the lines, one after the other.
pub fn check(facts: &Facts<'_>, lines: &[String]) {
    if facts.answered.explanation.verdict == Verdict::Same {
        assert!(lines.is_empty(), "{lines:?}");
        return;
    }
    let (last, causes) = lines.split_last().expect("no line");
    check_agreeing(facts, last);
    let forced = facts.forced_json();
    let found = forced["causes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut told = 0;
    for line in causes {
        let mut text = Text::new(line);
        if line.ends_with(": in the tables") {
            let count = text.count();
            text.must(" further causes at ");
            let modules = text.several("module");
            text.must(": in the tables");
            assert_eq!(count, found.len() - told);
            assert_eq!(
                modules,
                found[told..]
                    .iter()
                    .map(|cause| modules_of(cause).len())
                    .sum::<usize>()
            );
            told = found.len();
            continue;
        }
        let cause = &found[told];
        told += 1;
        if line.contains(", alone ") {
            check_operations(text.until(", alone "), cause);
            let share = text.until(" of the mean difference of ");
            let whole = text.until(": ");
            let operation = operation_of(&modules_of(cause)[0]);
            let probed = facts.probed();
            let watched = watched(forced);
            // Of what is another each time nothing can be computed once more.
            if cause["why"]["kind"] != "random" {
                assert_near(share, share_of(facts, operation));
                assert_near(whole, mean_difference(&probed.a, &probed.b, &watched));
            }
        } else {
            check_operations(text.until(": "), cause);
        }
        reasons::check_in_full(facts, cause, text);
    }
    assert_eq!(told, found.len(), "causes without a line");
}

/// A magnitude of two digits.
fn assert_near(told: &str, value: f64) {
    let told: f64 = told
        .parse()
        .unwrap_or_else(|_| panic!("`{told}` is no number"));
    assert!(
        (told - value).abs() <= 0.05 * value,
        "{told} is not {value}"
    );
}

/// `12 of 21 artifacts agree; with A's `embs` in B's build, 13 of the 13 that follow`.
fn check_agreeing(facts: &Facts<'_>, line: &str) {
    let [a, b] = [facts.artifacts(0), facts.artifacts(1)];
    let mut text = Text::new(line);
    let agreeing = text.count();
    text.must(" of ");
    let of = text.count();
    text.must(" artifacts agree");
    let agree = |(a, b): &(&(String, String), &(String, String))| a == b;
    assert_eq!(
        (agreeing, of),
        (a.iter().zip(&b).filter(agree).count(), a.len())
    );
    while text.eat("; with A's ") {
        let artifact = text.quoted();
        text.must(" in B's build, ");
        let now = text.count();
        text.must(" of the ");
        let follow = text.count();
        text.must(" that follow");
        let made = facts.b_with(&[artifact]);
        let place = a.iter().position(|(name, _)| name == artifact).unwrap();
        let follow_it = &a[place + 1..];
        let same = follow_it.iter().filter(|(name, hash)| made[name] == *hash);
        assert_eq!(
            (now, follow),
            (same.count(), follow_it.len()),
            "with A's {artifact}"
        );
    }
    text.end();
}
