//! Recovering summation trees from answers to probes.
//!
//! The method is FPRev (USENIX ATC'25, arXiv 2411.00442) in the form that finds additions of any number
//! of parts, with these additions: where a subproblem is slow to shrink, its pivot is drawn at random, so
//! that no order is a bad case; all subproblems of a level of the recursion go into the same launches; every place of a launch is
//! followed on its own, so a kernel whose edge tiles add in another order yields several trees; sums of
//! more units than the result can count are counted in blocks.

mod ask;
mod error;
mod grow;
mod options;
mod recovery;

use std::collections::BTreeMap;
use std::ops::Range;

pub use error::RecoverError;
pub use options::RecoverOptions;
pub use recovery::{FoundOrder, Recovery, Region, Statistics};

use ask::{Asker, Stop};
use grow::Growth;

use super::probe::Summation;
use super::random::Random;

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
