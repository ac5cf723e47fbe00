//! What of a batch decides what a module computes: each of its dimensions changed alone.
//!
//! The first side's modules are given the first side's values, in batches that are made up for it: of a passage's
//! batch on one side and its batch on the other, one dimension is taken from the other and the rest is left, with the
//! same other passages beside it wherever as many are wanted. What changes what a module gives of the passage, and
//! that alone, decides; nothing is concluded from what an operation is thought to see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use concord_pipeline::RecordedRun;
use concord_subject::probe::ProbeBatch;
use concord_subject::runner::Runner;
use concord_tensor::RowsHash;
use serde::{Deserialize, Serialize};

use super::error::ExplainError;
use super::made_batches::{Dimension, Others, Setting};
use super::probes::{Given, Probes};

/// What of a batch decides at a module, as far as probes showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deciding {
    pub how: How,
    /// Of one or several, those that change it; of several together or not told apart, those that differ.
    pub dimensions: Vec<Dimension>,
}

/// How the dimensions of a batch decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Each of them changes what the module gives, changed alone.
    Alone,
    /// All of them do, changed together; none of them alone does.
    Together,
    /// They could not be changed one at a time, and those that could change nothing.
    Untold,
}

impl Deciding {
    /// The one thing that decides.
    pub fn dimension(&self) -> Dimension {
        match (self.how, self.dimensions.as_slice()) {
            (How::Alone, [one]) => *one,
            _ => Dimension::Either,
        }
    }

    /// Where no batch could be made that tells anything.
    pub(super) fn unknown() -> Deciding {
        Deciding {
            how: How::Untold,
            dimensions: Vec::new(),
        }
    }
}

/// What both sides had of the passage at which something is shown, and where.
pub(super) struct Shown<'a> {
    pub pid: usize,
    /// Its setting on the first side and on the second, as the first lays batches out.
    pub settings: [Setting; 2],
    /// The modules that it shows.
    pub modules: Vec<&'a str>,
}

/// The batches that are made for one passage: their numbers, by what they have.
struct Planned {
    numbers: BTreeMap<Setting, usize>,
}

/// Runs the first side on its `own` values in batches that are made for each of these passages, and says of each
/// module that is shown what decides there.
pub(super) fn decided(
    probes: &Probes<'_>,
    runner: &Runner,
    own: &Path,
    others: &Others<'_>,
    shown: &[Shown<'_>],
) -> Result<BTreeMap<String, Deciding>, ExplainError> {
    let mut batches = Vec::new();
    let plans: Vec<Planned> = shown
        .iter()
        .map(|shown| plan(shown, others, &mut batches))
        .collect();
    if batches.is_empty() {
        return Ok(BTreeMap::new());
    }
    let given = Given {
        of: own,
        modules: &[],
    };
    let mut taps: Vec<&str> = shown.iter().flat_map(|s| s.modules.clone()).collect();
    taps.sort_unstable();
    taps.dedup();
    let pids: BTreeSet<usize> = shown.iter().map(|shown| shown.pid).collect();
    let name = "a-with-one-dimension-of-b";
    let run = probes.hashes(runner, name, &batches, given, &taps, &pids)?;
    let run = RecordedRun::open(&run)?;
    // A passage is in several batches, so that it is found by the number of one.
    let mut hashes = BTreeMap::<(&str, usize, usize), RowsHash>::new();
    for tap in run.taps() {
        for rows in &tap.passages {
            hashes.insert((tap.tap.as_str(), tap.batch, rows.pid), rows.hash);
        }
    }
    let mut decided = BTreeMap::new();
    for (shown, plan) in shown.iter().zip(&plans) {
        for &module in &shown.modules {
            let at = |setting: Setting| {
                let number = *plan.numbers.get(&setting)?;
                hashes.get(&(module, number, shown.pid)).copied()
            };
            decided.insert(module.to_owned(), deciding(shown.settings, others, &at));
        }
    }
    Ok(decided)
}

/// Adds the batches that are made for a passage, as far as they can be made.
fn plan(shown: &Shown<'_>, others: &Others<'_>, batches: &mut Vec<ProbeBatch>) -> Planned {
    let [a, b] = shown.settings;
    let mut wanted = vec![a, b];
    for dimension in a.differing(b) {
        wanted.extend([a.with(dimension, b), b.with(dimension, a)]);
    }
    wanted.extend(by_rows(a, b, others).into_iter().flatten());
    let mut numbers = BTreeMap::new();
    for setting in wanted {
        if numbers.contains_key(&setting) {
            continue;
        }
        if let Some(pids) = others.around(shown.pid, setting, [a, b]) {
            let number = batches.len();
            numbers.insert(setting, number);
            batches.push(ProbeBatch {
                number,
                pids,
                pad: setting.padded(),
            });
        }
    }
    Planned { numbers }
}

/// Three settings that tell the rows of a batch from its passages and its padded length: the smaller of two batches
/// with as many rows as the larger has, or nearly as many, by padding alone; with the same rows by passages alone; and
/// padded as far with no more rows than it has. `None` where no passages and no padding allow that.
fn by_rows(a: Setting, b: Setting, others: &Others<'_>) -> Option<[Setting; 3]> {
    let [few, many] = match a.rows() < b.rows() {
        true => [a, b],
        false => [b, a],
    };
    if few.rows() == many.rows() {
        return None;
    }
    let (passages, tokens, place) = few.in_padding()?;
    // The most passages that rows can be divided by, no more than there are.
    let padded_to = |rows: usize| {
        let counts = (place + 1..=passages).rev();
        let mut fitting = counts.filter(|count| rows.is_multiple_of(*count));
        let count = fitting.find(|count| rows / count <= others.positions)?;
        Some((count, rows / count))
    };
    let larger = (passages + 1..=others.count()).filter_map(|more| {
        let rows = more.checked_mul(tokens)?;
        Some((rows.abs_diff(many.rows()), more, padded_to(rows)?))
    });
    let (_, more, (count, far)) = larger.min()?;
    let narrow = few.rows() / far;
    let padded = |passages, tokens, place| Setting::Padded {
        passages,
        tokens,
        place,
    };
    (narrow > 0).then(|| {
        [
            padded(count, far, place),
            padded(more, tokens, place),
            padded(narrow, far, place.min(narrow - 1)),
        ]
    })
}

/// What decides at a module of which `at` has what it gave in each setting.
fn deciding<T: PartialEq>(
    [a, b]: [Setting; 2],
    others: &Others<'_>,
    at: &dyn Fn(Setting) -> Option<T>,
) -> Deciding {
    let differ = |one: Setting, other: Setting| Some(at(one)? != at(other)?);
    let among = a.differing(b);
    let changes = |dimension| {
        // Where one of the two batches cannot have it, the other may.
        differ(a, a.with(dimension, b)).or_else(|| differ(b, b.with(dimension, a)))
    };
    let alone: Vec<(Dimension, Option<bool>)> = among
        .iter()
        .map(|&dimension| (dimension, changes(dimension)))
        .collect();
    let changing = alone.iter().filter(|(_, changes)| *changes == Some(true));
    let mut changing: Vec<Dimension> = changing.map(|(dimension, _)| *dimension).collect();
    if by_rows(a, b, others).is_some_and(|settings| rows_decide([a, b], settings, at)) {
        let is_of_rows = |dimension: &Dimension| {
            matches!(dimension, Dimension::PaddedLength | Dimension::Passages)
        };
        changing.retain(|dimension| !is_of_rows(dimension));
        changing.insert(0, Dimension::Rows);
    }
    let (how, dimensions) = match differ(a, b) {
        _ if !changing.is_empty() => (How::Alone, changing),
        Some(false) => (How::Alone, vec![Dimension::Neighbours]),
        Some(true) if alone.iter().all(|(_, changes)| changes.is_some()) => (How::Together, among),
        _ => (How::Untold, among),
    };
    Deciding { how, dimensions }
}

/// Whether it is the rows: by padding and by passages as many rows make the same, which is something else than fewer
/// rows make, and padding as far makes no difference by itself.
fn rows_decide<T: PartialEq>(
    [a, b]: [Setting; 2],
    [by_padding, by_passages, as_far]: [Setting; 3],
    at: &dyn Fn(Setting) -> Option<T>,
) -> bool {
    let few = match a.rows() < b.rows() {
        true => a,
        false => b,
    };
    match [few, by_padding, by_passages, as_far].map(at) {
        [Some(few), Some(padding), Some(passages), Some(far)] => {
            padding == passages && padding != few && far == few
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(passages: usize, tokens: usize, place: usize) -> Setting {
        Setting::Padded {
            passages,
            tokens,
            place,
        }
    }

    /// What decides at a module that gives what `rule` says of passages, padded length and place.
    fn told(
        settings: [Setting; 2],
        positions: usize,
        rule: impl Fn(usize, usize, usize) -> u8,
    ) -> (How, Vec<Dimension>) {
        let tokens: BTreeMap<usize, usize> = (0..100).map(|pid| (pid, 5)).collect();
        let others = Others {
            tokens: &tokens,
            positions,
        };
        let at = |setting: Setting| {
            others.around(50, setting, settings)?;
            let (passages, tokens, place) = setting.in_padding()?;
            Some(rule(passages, tokens, place))
        };
        let found = deciding(settings, &others, &at);
        (found.how, found.dimensions)
    }

    type Rule = fn(usize, usize, usize) -> bool;

    #[test]
    fn what_changes_it_alone_decides() {
        use Dimension::{PaddedLength, Passages, Place, Rows};
        let (a, b) = (padded(8, 13, 3), padded(32, 20, 27));
        let rules: [(Rule, &[Dimension]); 6] = [
            (|_, tokens, _| tokens == 20, &[PaddedLength]),
            (|passages, _, _| passages > 20, &[Passages]),
            (|_, _, place| place > 5, &[Place]),
            (|passages, tokens, _| passages * tokens > 300, &[Rows]),
            // What no one of the two reaches alone is rows all the same.
            (|passages, tokens, _| passages * tokens > 500, &[Rows]),
            (
                |_, tokens, place| tokens == 20 && place % 4 == 3,
                &[PaddedLength],
            ),
        ];
        for (number, (rule, decide)) in rules.into_iter().enumerate() {
            let rule = |passages, tokens, place| u8::from(rule(passages, tokens, place));
            let expected = (How::Alone, decide.to_vec());
            assert_eq!(told([a, b], 512, rule), expected, "{number}");
            assert_eq!(told([b, a], 512, rule), expected, "{number}, backwards");
        }
    }

    #[test]
    fn each_of_several_that_change_it_is_named() {
        use Dimension::{PaddedLength, Passages, Place, Rows};
        let (a, b) = (padded(8, 13, 3), padded(32, 20, 27));
        let by_two = |[one, other]: [Rule; 2]| {
            let rule = move |passages, tokens, place| {
                u8::from(one(passages, tokens, place))
                    + 2 * u8::from(other(passages, tokens, place))
            };
            let found = told([a, b], 512, rule);
            assert_eq!(found, told([b, a], 512, rule));
            found
        };
        let by_length: Rule = |_, tokens, _| tokens > 15;
        let by_passages: Rule = |passages, _, _| passages > 20;
        let by_place: Rule = |_, _, place| place > 5;
        let by_rows: Rule = |passages, tokens, _| passages * tokens > 300;
        for (rules, decide) in [
            ([by_length, by_passages], [PaddedLength, Passages]),
            ([by_length, by_place], [PaddedLength, Place]),
            ([by_passages, by_place], [Passages, Place]),
            ([by_rows, by_place], [Rows, Place]),
        ] {
            assert_eq!(by_two(rules), (How::Alone, decide.to_vec()));
        }
        // One of two, whichever it is, is not their product.
        let either = |passages, tokens, _| u8::from(passages > 20 || tokens > 15);
        let expected = (How::Alone, vec![PaddedLength, Passages]);
        assert_eq!(told([a, b], 512, either), expected);
    }

    #[test]
    fn what_decides_together_alone_or_not_at_all_is_not_taken_for_one() {
        use Dimension::{Neighbours, PaddedLength, Passages, Place};
        let (a, b) = (padded(8, 13, 3), padded(8, 20, 6));
        let both = |_, tokens, place| u8::from(tokens > 15 && place > 5);
        let expected = (How::Together, vec![PaddedLength, Place]);
        assert_eq!(told([a, b], 512, both), expected);
        let nothing = |_, _, _| 0;
        let expected = (How::Alone, vec![Neighbours]);
        assert_eq!(told([a, b], 512, nothing), expected);
        assert_eq!(told([a, a], 512, nothing), expected);
        // Where passages cannot be padded as far, only those that can be changed are told.
        let by_length = |_, tokens, _| u8::from(tokens > 15);
        let (how, _) = told([a, b], 15, by_length);
        assert_eq!(how, How::Untold);
        let by_rows = |passages, tokens, _| u8::from(passages * tokens > 300);
        let (one, many) = (padded(1, 20, 0), padded(32, 20, 27));
        let expected = (How::Alone, vec![Passages]);
        assert_eq!(told([one, many], 512, by_rows), expected);
    }
}
