//! What is asked of an operation, and the operation that is asked.

use std::ops::Range;

use super::mask::Masks;

/// One question: where do two terms meet?
///
/// One of the `pair` is the huge number, the other its negative; the terms of `units` are units except for
/// those two, and all others are zero. The result counts the units that neither of the two swallowed.
/// Without a pair, it counts all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The term that is `big`, and the one that is `-big`.
    pub pair: Option<(usize, usize)>,
    /// The terms that are units.
    pub units: Range<usize>,
}

impl Probe {
    /// The value of a term.
    pub fn term(&self, masks: Masks, term: usize) -> f64 {
        match self.pair {
            Some((plus, _)) if plus == term => masks.big,
            Some((_, minus)) if minus == term => -masks.big,
            _ if self.units.contains(&term) => masks.unit,
            _ => 0.0,
        }
    }

    /// Writes the terms `0..row.len()`. Every value is exact in the dtype of the operands.
    pub fn write(&self, masks: Masks, row: &mut [f32]) {
        row.fill(0.0);
        let units = self.units.start.min(row.len())..self.units.end.min(row.len());
        row[units].fill(masks.unit as f32);
        if let Some((plus, minus)) = self.pair {
            for (term, value) in [(plus, masks.big), (minus, -masks.big)] {
                if let Some(place) = row.get_mut(term) {
                    *place = value as f32;
                }
            }
        }
    }

    /// How many units there are.
    pub fn count(&self) -> usize {
        let pair = self.pair.iter().flat_map(|&(plus, minus)| [plus, minus]);
        let huge = pair.filter(|term| self.units.contains(term)).count();
        self.units.len() - huge
    }
}

/// An operation that adds `terms` numbers, many sums in one launch.
///
/// A launch takes one [`Probe`] for each *slot*; every probe is answered at each *place*. Of a linear
/// layer `y = x · Wᵀ` with the probes in the rows of `W`, a slot is an output column and a place a row of
/// `y`: all rows answer the same questions at once, each with the order in which *it* adds, so a kernel
/// that treats its last rows differently is seen to. An operation that only makes single sums has one
/// place, and as many slots as it cares to compute at a time.
///
/// The launch must be the real one: same shape, dtype, layout and threads as in use, because that is what
/// libraries choose a kernel by. Values do not matter to that choice.
pub trait Summation {
    /// Why a launch failed.
    type Error: std::error::Error + 'static;

    /// How many terms each sum has.
    fn terms(&self) -> usize;

    /// How many probes one launch takes; at least one.
    fn slots(&self) -> usize;

    /// At how many places each probe is answered; at least one.
    fn places(&self) -> usize {
        1
    }

    /// The numbers to probe with; [`Masks::exact`] says how far the results can count.
    fn masks(&self) -> Masks;

    /// Whether some terms may be zero. Without that, no sum of more terms than results can count is
    /// recovered. It must be `false` for an operation that passes over zeros.
    fn takes_zeros(&self) -> bool {
        true
    }

    /// Computes the sums and returns them as they came out, `(places, slots)` in row-major order.
    ///
    /// `probes` has one entry per slot. Slots without a probe may be anything.
    ///
    /// # Errors
    /// When the operation could not be run.
    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, Self::Error>;
}

impl<S: Summation + ?Sized> Summation for &mut S {
    type Error = S::Error;

    fn terms(&self) -> usize {
        (**self).terms()
    }

    fn slots(&self) -> usize {
        (**self).slots()
    }

    fn places(&self) -> usize {
        (**self).places()
    }

    fn masks(&self) -> Masks {
        (**self).masks()
    }

    fn takes_zeros(&self) -> bool {
        (**self).takes_zeros()
    }

    fn launch(&mut self, probes: &[Option<Probe>]) -> Result<Vec<f64>, Self::Error> {
        (**self).launch(probes)
    }
}
