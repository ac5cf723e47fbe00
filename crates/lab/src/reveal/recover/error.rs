//! Why a recovery fails.

use crate::reveal::probe::Probe;
use crate::reveal::tree::TreeError;

/// Why no tree was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError<E: std::error::Error + 'static> {
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
        probe: Probe,
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
        place: usize,
        /// Terms under their join, by the answer.
        joined: usize,
        /// Terms under their join, by the tree.
        predicted: usize,
    },
    #[error(
        "the order changes from run to run: asked twice for {}, place {place} gave {first} and {second} units",
        asked(probe)
    )]
    Unstable {
        probe: Probe,
        place: usize,
        /// The first answer, in units.
        first: usize,
        second: usize,
    },
    /// There are more orders than a kernel has reason for.
    #[error(
        "more than {0} different orders in one launch: the order is not fixed, or this is no plain sum"
    )]
    TooManyOrders(usize),
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
