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

/// The batches that are made for one passage: their numbers, by what they have and by the padding that all of its other
/// passages fit into.
struct Planned {
    numbers: BTreeMap<(Setting, usize), usize>,
}

/// Two settings to compare.
type Compared = [Setting; 2];

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
            let at = |setting: Setting, fitting: usize| {
                let number = *plan.numbers.get(&(setting, fitting))?;
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
    let mut numbers = BTreeMap::new();
    let made = |compared: Compared| -> Option<Vec<ProbeBatch>> {
        let made = compared.map(|setting| {
            let pids = others.around(shown.pid, setting, fitting(compared))?;
            let pad = setting.padded();
            let number = 0;
            Some(ProbeBatch { number, pids, pad })
        });
        made.into_iter().collect()
    };
    let mut add = |compared: Compared| {
        let Some(made) = made(compared) else {
            return false;
        };
        for (setting, batch) in compared.into_iter().zip(made) {
            let number = batches.len();
            numbers
                .entry((setting, fitting(compared)))
                .or_insert_with(|| {
                    batches.push(ProbeBatch { number, ..batch });
                    number
                });
        }
        true
    };
    add([a, b]);
    for dimension in a.differing(b) {
        let mut changes = changed_alone(dimension, [a, b]).into_iter();
        changes.any(&mut add);
    }
    for compared in by_rows(a, b, others).into_iter().flatten() {
        add(compared);
    }
    Planned { numbers }
}

/// The padding that the other passages of two batches have to fit into, so that they can be the same.
fn fitting(compared: Compared) -> usize {
    let padded = compared.iter().filter_map(|setting| setting.padded());
    padded.min().unwrap_or(0)
}

/// The settings between which one dimension alone changes, the rest being that of the first, of the second, or some of
/// both: the first pair that can be made is compared.
fn changed_alone(dimension: Dimension, [a, b]: Compared) -> Vec<Compared> {
    let rest = a
        .differing(b)
        .into_iter()
        .filter(|&other| other != dimension);
    let mut contexts = vec![a];
    for other in rest {
        let with_other: Vec<Setting> = contexts.iter().map(|of| of.with(other, b)).collect();
        contexts.extend(with_other);
    }
    // The second side's own batch comes before what is of both.
    let last = contexts.len() - 1;
    contexts[1..].rotate_right(usize::from(last > 0));
    let pairs = contexts.into_iter().map(|rest| {
        let of = |side| rest.with(dimension, side);
        [of(a), of(b)]
    });
    pairs.collect()
}

/// Three settings that tell the rows of a batch from its passages and its padded length, each beside that of the smaller
/// of two batches: with as many rows as the larger has, or nearly as many, by padding alone; with the same rows by
/// passages alone; and padded as far with no more rows than it has. `None` where no passages and no padding allow that.
fn by_rows(a: Setting, b: Setting, others: &Others<'_>) -> Option<[Compared; 3]> {
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
            [few, padded(count, far, place)],
            [few, padded(more, tokens, place)],
            [few, padded(narrow, far, place.min(narrow - 1))],
        ]
    })
}

/// What decides at a module of which `at` has what it gave in each setting, beside passages that fit into a padding.
fn deciding<T: PartialEq>(
    [a, b]: Compared,
    others: &Others<'_>,
    at: &dyn Fn(Setting, usize) -> Option<T>,
) -> Deciding {
    let both = |compared: Compared| {
        let [one, other] = compared.map(|setting| at(setting, fitting(compared)));
        Some((one?, other?))
    };
    let differ = |compared| both(compared).map(|(one, other)| one != other);
    let among = a.differing(b);
    let changes = |dimension| {
        changed_alone(dimension, [a, b])
            .into_iter()
            .find_map(differ)
    };
    let alone: Vec<(Dimension, Option<bool>)> = among
        .iter()
        .map(|&dimension| (dimension, changes(dimension)))
        .collect();
    let changing = alone.iter().filter(|(_, changes)| *changes == Some(true));
    let mut changing: Vec<Dimension> = changing.map(|(dimension, _)| *dimension).collect();
    // By padding and by passages as many rows make the same, which is something else than fewer rows make, and padding
    // as far makes no difference by itself.
    let rows = by_rows(a, b, others).map(|compared| compared.map(both));
    if let Some([Some(padding), Some(passages), Some(far)]) = rows
        && padding.1 == passages.1
        && padding.0 != padding.1
        && far.0 == far.1
    {
        let is_of_rows = |dimension: &Dimension| {
            matches!(dimension, Dimension::PaddedLength | Dimension::Passages)
        };
        changing.retain(|dimension| !is_of_rows(dimension));
        changing.insert(0, Dimension::Rows);
    }
    let (how, dimensions) = match differ([a, b]) {
        _ if !changing.is_empty() => (How::Alone, changing),
        Some(false) => (How::Alone, vec![Dimension::Neighbours]),
        Some(true) if alone.iter().all(|(_, changes)| changes.is_some()) => (How::Together, among),
        _ => (How::Untold, among),
    };
    Deciding { how, dimensions }
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
        let at = |setting: Setting, fitting| {
            others.around(50, setting, fitting)?;
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
