//! Recovering summation trees from answers to probes.
//!
//! The method is FPRev (USENIX ATC'25, arXiv 2411.00442) in the form that finds additions of any number
//! of parts, with these additions: where a subproblem is slow to shrink, its pivot is drawn at random, so
//! that no order is a bad case; all subproblems of a level of the recursion go into the same launches; every place of a launch is
//! followed on its own, so a kernel whose edge tiles add in another order yields several trees; sums of
//! more units than the result can count are counted in blocks.

mod ask;
mod grow;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use ask::{Asker, Stop};
use grow::Growth;

use super::probe::{Probe, Summation};
use super::random::Random;
use super::tree::{SumTree, TreeError};

/// How a recovery goes about its questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverOptions {
    /// Decides pivots and the pairs of checks. The same seed asks the same questions.
    pub seed: u64,
    /// Whether every launch is made twice, the second time with the probes in other slots: sums that
    /// change from run to run, or from slot to slot, are then found.
    pub twice: bool,
    /// How many probes are sent to all slots at once beforehand, to find slots that add differently.
    pub survey: usize,
    /// How many launches full of random pairs the recovered trees must predict.
    pub checks: usize,
    /// The most launches.
    pub max_launches: usize,
    /// The most trees that one operation may have before it counts as having no fixed order.
    pub max_orders: usize,
}

impl Default for RecoverOptions {
    fn default() -> RecoverOptions {
        RecoverOptions {
            seed: 0,
            twice: true,
            survey: 4,
            checks: 1,
            max_launches: 4096,
            max_orders: 64,
        }
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Pairs of terms whose join was measured to recover the tree of the most places: the number of
    /// probes that the paper counts.
    pub pairs: usize,
    /// Probes sent to find all trees, without repetitions. More than `pairs` where there are several
    /// trees, and where units are counted in blocks.
    pub probes: usize,
    /// Launches, with repetitions, survey and checks.
    pub launches: usize,
    /// Levels of the recursion.
    pub levels: usize,
}

/// Places and slots that add in one order: all of `slots` at each of `places`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Ranges of places, ascending.
    pub places: Vec<Range<usize>>,
    /// Ranges of slots, ascending.
    pub slots: Vec<Range<usize>>,
}

/// A tree, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrder {
    /// The order of additions.
    pub tree: SumTree,
    /// Where sums are added so.
    pub regions: Vec<Region>,
    /// How many sums of a launch these are.
    pub sums: usize,
}

/// How an operation adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Every order found, that of the most sums first. Never empty.
    pub orders: Vec<FoundOrder>,
    /// What was asked.
    pub statistics: Statistics,
}

impl Recovery {
    /// Which of the orders the sum at a place and slot has.
    pub fn order_at(&self, place: usize, slot: usize) -> Option<&FoundOrder> {
        let within = |ranges: &[Range<usize>], at| ranges.iter().any(|range| range.contains(&at));
        self.orders.iter().find(|order| {
            (order.regions.iter())
                .any(|region| within(&region.places, place) && within(&region.slots, slot))
        })
    }

    /// Whether all sums of the launch are added in one order.
    pub fn is_uniform(&self) -> bool {
        self.orders.len() == 1
    }
}

/// Why no tree was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError<E: std::error::Error + 'static> {
    /// A launch failed.
    #[error(transparent)]
    Operation(E),
    /// There is nothing to add, or nowhere to ask.
    #[error("nothing to ask: {terms} terms, {slots} slots and {places} places")]
    Nothing {
        /// Terms of a sum.
        terms: usize,
        /// Probes of a launch.
        slots: usize,
        /// Answers to each.
        places: usize,
    },
    /// A launch gave too few or too many answers.
    #[error("a launch gave {found} results where {expected} were asked for")]
    WrongCount {
        /// Places times slots.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Results cannot count the units, and zeros are not allowed.
    #[error(
        "a sum of {terms} terms needs results that count to {needed}, and these are exact only to {exact}: \
         have the operation give its result as f32, or let terms be zero"
    )]
    RangeTooSmall {
        /// Terms of a sum.
        terms: usize,
        /// Units to be counted.
        needed: usize,
        /// What a result counts exactly.
        exact: usize,
    },
    /// An answer is no number of units.
    #[error(
        "not a plain sum: place {place} gave {answer} units for {}, which no order of additions does",
        asked(probe)
    )]
    NotAPureSum {
        /// What was asked.
        probe: Probe,
        /// Where it was asked.
        place: usize,
        /// The result in units.
        answer: f64,
    },
    /// Answers are counts, but those of no tree.
    #[error(
        "not a plain sum: at place {place}, {terms} terms meet term {pivot} in a sum of {joined} terms, where \
         a tree allows {allowed}"
    )]
    NotATree {
        /// Where it was asked.
        place: usize,
        /// The term that was `big`.
        pivot: usize,
        /// How many terms gave the answer.
        terms: usize,
        /// The answer: terms under their join.
        joined: usize,
        /// What it would have had to be.
        allowed: usize,
    },
    /// The nodes found do not make a tree.
    #[error("not a plain sum: {0}")]
    Tree(#[from] TreeError),
    /// The tree does not predict the answer to a further probe.
    #[error(
        "not a plain sum: terms {plus} and {minus} meet in a sum of {joined} terms at place {place}, where \
         the recovered tree has {predicted}"
    )]
    NotPredicted {
        /// The term that was huge.
        plus: usize,
        /// The term that was its negative.
        minus: usize,
        /// Where it was asked.
        place: usize,
        /// Terms under their join, by the answer.
        joined: usize,
        /// Terms under their join, by the tree.
        predicted: usize,
    },
    /// The same launch gave different answers.
    #[error(
        "the order changes from run to run: asked twice for {}, place {place} gave {first} and {second} units",
        asked(probe)
    )]
    Unstable {
        /// What was asked.
        probe: Probe,
        /// Where it was asked.
        place: usize,
        /// The first answer, in units.
        first: usize,
        /// The second.
        second: usize,
    },
    /// There are more orders than a kernel has reason for.
    #[error(
        "more than {0} different orders in one launch: the order is not fixed, or this is no plain sum"
    )]
    TooManyOrders(usize),
    /// The bound on launches was reached.
    #[error("not recovered within {0} launches")]
    TooManyLaunches(usize),
}

/// A probe in words.
fn asked(probe: &Probe) -> String {
    let units = probe.count();
    match probe.pair {
        Some((plus, minus)) => {
            format!("+M at term {plus}, -M at term {minus} and {units} units elsewhere")
        }
        None => format!("{units} units alone"),
    }
}

/// Finds the order in which an operation adds its terms, at every place and slot.
///
/// First, sums of units alone must count them. Slots are surveyed, and those that answer alike are taken to add alike; then one tree is grown
/// for all places together, which parts into several where places answer differently. Every answer is
/// checked: it must be a count, counts must be those of a tree, and the tree must predict further random
/// pairs at all places and slots. If two slots taken for alike turn out to differ, they are told apart
/// and the recovery starts again.
///
/// A sequential sum of `n` terms takes `n - 1` probes, from the last to the first `2n - 3`, a pairwise one
/// `n/2 · log2 n`, additions of `w` terms and the running sum about `n · w / 2`.
///
/// # Errors
/// When a launch fails, answers are not those of one summation tree for each sum, they change from run to
/// run, or bounds of the `options` are reached.
pub fn recover<S: Summation>(
    operation: &mut S,
    options: &RecoverOptions,
) -> Result<Recovery, RecoverError<S::Error>> {
    let mut asker = Asker::new(operation, options)?;
    asker.count_units()?;
    let mut pairs = surveyed_pairs(asker.terms(), options);
    let mut classes = vec![(0..asker.slots()).collect::<Vec<usize>>()];
    let mut surveyed = 0;
    loop {
        for &pair in &pairs[surveyed..] {
            classes = survey(&mut asker, classes, pair)?;
        }
        surveyed = pairs.len();
        match attempt(&mut asker, &classes) {
            Ok(recovery) => return Ok(recovery),
            Err(Stop::Error(error)) => return Err(error),
            // The pair will part at least one class, so this ends.
            Err(Stop::SlotsDiffer(pair)) => pairs.push(pair),
        }
    }
}

fn surveyed_pairs(terms: usize, options: &RecoverOptions) -> Vec<(usize, usize)> {
    let mut random = Random::new(options.seed ^ 0x5EED);
    let count = if terms > 2 { options.survey } else { 0 };
    (0..count).map(|_| random.pair(terms)).collect()
}

/// Parts classes of slots by their answers to one pair.
fn survey<S: Summation>(
    asker: &mut Asker<'_, S>,
    classes: Vec<Vec<usize>>,
    pair: (usize, usize),
) -> Result<Vec<Vec<usize>>, RecoverError<S::Error>> {
    if asker.slots() < 2 {
        return Ok(classes);
    }
    let answers = asker.everywhere(pair)?;
    let mut parted = Vec::new();
    for class in classes {
        let mut alike: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
        for slot in class {
            alike.entry(&answers[slot]).or_default().push(slot);
        }
        parted.extend(alike.into_values());
    }
    parted.sort();
    if parted.len() > asker.options.max_orders {
        return Err(RecoverError::TooManyOrders(asker.options.max_orders));
    }
    Ok(parted)
}

/// Recovers the trees of all classes of slots.
fn attempt<S: Summation>(
    asker: &mut Asker<'_, S>,
    classes: &[Vec<usize>],
) -> Result<Recovery, Stop<S::Error>> {
    asker.statistics = Statistics {
        launches: asker.statistics.launches,
        ..Statistics::default()
    };
    let mut found: Vec<(FoundOrder, usize)> = Vec::new();
    for class in classes {
        for growth in grown(asker, class)? {
            let (places, pairs) = (growth.places().to_vec(), growth.pairs());
            let tree = growth.tree(asker.terms()).map_err(RecoverError::Tree)?;
            let region = Region {
                places: ranges(&places),
                slots: ranges(class),
            };
            let sums = places.len() * class.len();
            match found.iter_mut().find(|(order, _)| order.tree == tree) {
                Some((order, _)) => {
                    order.regions.push(region);
                    order.sums += sums;
                }
                None => {
                    let regions = vec![region];
                    let order = FoundOrder {
                        tree,
                        regions,
                        sums,
                    };
                    found.push((order, pairs));
                }
            }
        }
    }
    found.sort_by_key(|(order, _)| std::cmp::Reverse(order.sums));
    asker.statistics.pairs = found.first().map_or(0, |(_, pairs)| *pairs);
    let orders: Vec<FoundOrder> = found.into_iter().map(|(order, _)| order).collect();
    let mut recovery = Recovery {
        orders,
        statistics: Statistics::default(),
    };
    check(asker, classes, &recovery)?;
    recovery.statistics = asker.statistics;
    Ok(recovery)
}

/// Grows the trees of one class of slots: one for each group of places that answer alike.
fn grown<S: Summation>(
    asker: &mut Asker<'_, S>,
    class: &[usize],
) -> Result<Vec<Growth>, Stop<S::Error>> {
    let options = *asker.options;
    let places = (0..asker.places()).collect();
    let mut growths = vec![Growth::new(asker.terms(), places, options.seed)];
    let mut levels = 0;
    while growths.iter().any(|growth| !growth.is_complete()) {
        levels += 1;
        // Different growths often still ask the same, and then ask it together.
        let mut questions: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for pair in growths.iter().flat_map(Growth::questions) {
            let next = questions.len();
            questions.entry(pair).or_insert(next);
        }
        let mut pairs = vec![(0, 0); questions.len()];
        for (&(i, j), &at) in &questions {
            pairs[at] = (i as usize, j as usize);
        }
        let joins = &asker.joins(class, &pairs)?;
        let mut next = Vec::with_capacity(growths.len());
        for growth in growths {
            let asked: Vec<usize> = growth.questions().map(|pair| questions[&pair]).collect();
            let answers = |place| asked.iter().map(move |&at| joins.at(at, place));
            next.extend(growth.answered(answers)?);
        }
        growths = next;
        if growths.len() > options.max_orders {
            return Err(RecoverError::TooManyOrders(options.max_orders).into());
        }
    }
    asker.statistics.levels = asker.statistics.levels.max(levels);
    Ok(growths)
}

/// Asks random pairs, a different one in each slot, and holds the answers against the trees.
fn check<S: Summation>(
    asker: &mut Asker<'_, S>,
    classes: &[Vec<usize>],
    recovery: &Recovery,
) -> Result<(), Stop<S::Error>> {
    let terms = asker.terms();
    if terms < 2 {
        return Ok(());
    }
    let mut random = Random::new(asker.options.seed ^ 0xC4EC);
    for _ in 0..asker.options.checks {
        for class in classes {
            let pairs: Vec<(usize, usize)> = class.iter().map(|_| random.pair(terms)).collect();
            let probes = asker.statistics.probes;
            let joins = asker.joins(class, &pairs)?;
            asker.statistics.probes = probes;
            for order in &recovery.orders {
                let regions = order.regions.iter();
                let here = regions.filter(|region| region.slots == ranges(class));
                let places: Vec<usize> = here
                    .flat_map(|region| region.places.iter().cloned().flatten())
                    .collect();
                for (at, &(plus, minus)) in pairs.iter().enumerate() {
                    let predicted = order.tree.terms_under_join(plus, minus);
                    for &place in &places {
                        let joined = joins.at(at, place) as usize;
                        if joined != predicted {
                            return Err(RecoverError::NotPredicted {
                                plus,
                                minus,
                                place,
                                joined,
                                predicted,
                            }
                            .into());
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Ascending numbers as ranges.
fn ranges(ascending: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &number in ascending {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// A probe of a pair in which the units are counted that lie in a range.
fn probe(pair: (usize, usize), units: Range<usize>) -> Probe {
    Probe {
        pair: Some(pair),
        units,
    }
}
