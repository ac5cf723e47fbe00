//! Asking an operation, with every answer checked.

use std::ops::Range;

use super::error::RecoverError;
use super::options::RecoverOptions;
use super::recovery::Statistics;
use crate::reveal::probe::{Probe, Summation};
use crate::reveal::random::Random;

/// Why an attempt ends early.
pub(super) enum Stop<E: std::error::Error + 'static> {
    /// There is nothing to be recovered.
    Error(RecoverError<E>),
    /// Slots that were taken for alike answer this pair differently.
    SlotsDiffer((usize, usize)),
}

impl<E: std::error::Error + 'static> From<RecoverError<E>> for Stop<E> {
    fn from(error: RecoverError<E>) -> Stop<E> {
        Stop::Error(error)
    }
}

/// Answers to pairs: how many terms are under the join of each, at each place.
pub(super) struct Joins {
    places: usize,
    /// `(pairs, places)`.
    terms: Vec<u32>,
}

impl Joins {
    pub(super) fn at(&self, pair: usize, place: usize) -> u32 {
        self.terms[pair * self.places + place]
    }
}

/// An operation that is being asked.
pub(super) struct Asker<'a, S: Summation> {
    operation: &'a mut S,
    pub(super) options: &'a RecoverOptions,
    pub(super) statistics: Statistics,
    /// The units that are counted at a time: one block of all terms, where results can count them.
    blocks: Vec<Range<usize>>,
    random: Random,
}

impl<'a, S: Summation> Asker<'a, S> {
    pub(super) fn new(
        operation: &'a mut S,
        options: &'a RecoverOptions,
    ) -> Result<Asker<'a, S>, RecoverError<S::Error>> {
        let (terms, slots, places) = (operation.terms(), operation.slots(), operation.places());
        // Terms are kept in 32 bits; a sum of more is not asked about, one probe would take 16 GiB.
        if terms == 0 || slots == 0 || places == 0 || u32::try_from(terms).is_err() {
            return Err(RecoverError::Nothing {
                terms,
                slots,
                places,
            });
        }
        let needed = terms.saturating_sub(2);
        let exact = operation.masks().exact.max(1);
        if needed > exact && !operation.takes_zeros() {
            return Err(RecoverError::RangeTooSmall {
                terms,
                needed,
                exact,
            });
        }
        let size = if needed <= exact { terms } else { exact };
        let starts = (0..terms).step_by(size);
        let blocks = starts.map(|start| start..terms.min(start + size)).collect();
        Ok(Asker {
            operation,
            options,
            statistics: Statistics::default(),
            blocks,
            random: Random::new(options.seed),
        })
    }

    pub(super) fn terms(&self) -> usize {
        self.operation.terms()
    }

    pub(super) fn slots(&self) -> usize {
        self.operation.slots()
    }

    pub(super) fn places(&self) -> usize {
        self.operation.places()
    }

    /// Checks that units alone are counted, in every slot and at every place.
    pub(super) fn count_units(&mut self) -> Result<(), RecoverError<S::Error>> {
        let all: Vec<usize> = (0..self.slots()).collect();
        let exact = self.operation.masks().exact.max(1);
        let mut blocks = self.blocks.clone();
        if let [all] = &mut blocks[..] {
            // Two units fewer than terms can be counted for certain: with a pair there are no more.
            if all.end > exact && !self.operation.takes_zeros() {
                return Ok(());
            }
            all.end = all.end.min(exact);
        }
        for units in blocks {
            let probe = Probe { pair: None, units };
            let answers = self.launch(&all, &vec![probe.clone(); all.len()], 0)?;
            if let Some(at) = (answers.iter()).position(|&answer| answer as usize != probe.count())
            {
                return Err(RecoverError::NotAPureSum {
                    place: at % self.places(),
                    answer: f64::from(answers[at]),
                    probe,
                });
            }
        }
        Ok(())
    }

    /// Asks pairs in some of the slots, each in one of them, in as few launches as they fit in.
    pub(super) fn joins(
        &mut self,
        class: &[usize],
        pairs: &[(usize, usize)],
    ) -> Result<Joins, Stop<S::Error>> {
        let places = self.places();
        let blocks = self.blocks.clone();
        let probes: Vec<Probe> = (pairs.iter())
            .flat_map(|&pair| blocks.iter().map(move |block| probe(pair, block.clone())))
            .collect();
        self.statistics.probes += probes.len();
        // What the two swallowed, themselves included.
        let mut terms = vec![2; pairs.len() * places];
        let mut at = 0;
        for probes in probes.chunks(class.len().max(1)) {
            let answers = self.answers(class, probes)?;
            for (probe, answers) in probes.iter().zip(answers.chunks_exact(places)) {
                let pair = at / blocks.len();
                let joined = &mut terms[pair * places..][..places];
                for (joined, answer) in joined.iter_mut().zip(answers) {
                    *joined += probe.count() as u32 - answer;
                }
                at += 1;
            }
        }
        Ok(Joins { places, terms })
    }

    /// Asks one pair in all slots: for each slot, the answers at all places.
    pub(super) fn everywhere(
        &mut self,
        pair: (usize, usize),
    ) -> Result<Vec<Vec<u32>>, RecoverError<S::Error>> {
        let (slots, places) = (self.slots(), self.places());
        let all: Vec<usize> = (0..slots).collect();
        let mut answers = vec![Vec::new(); slots];
        for block in self.blocks.clone() {
            let probes = vec![probe(pair, block); slots];
            let first = self.launch(&all, &probes, 0)?;
            if self.options.twice {
                let second = self.launch(&all, &probes, 0)?;
                self.compare(&probes, &first, &second)?;
            }
            for (answers, first) in answers.iter_mut().zip(first.chunks_exact(places)) {
                answers.extend_from_slice(first);
            }
        }
        Ok(answers)
    }

    /// The answers to probes that fit into one launch, `(probes, places)`.
    fn answers(&mut self, class: &[usize], probes: &[Probe]) -> Result<Vec<u32>, Stop<S::Error>> {
        let first = self.launch(class, probes, 0)?;
        if !self.options.twice {
            return Ok(first);
        }
        let shift = self.random.below(class.len());
        let second = self.launch(class, probes, shift)?;
        if first != second {
            // Either the same launch gives something else, or other slots do.
            let again = self.launch(class, probes, 0)?;
            self.compare(probes, &first, &again)?;
            let places = self.places();
            let differs =
                |&at: &usize| first[at * places..][..places] != second[at * places..][..places];
            let differing = (0..probes.len()).find(differs);
            if let Some(pair) = differing.and_then(|at| probes[at].pair) {
                return Err(Stop::SlotsDiffer(pair));
            }
        }
        Ok(first)
    }

    fn compare(
        &self,
        probes: &[Probe],
        first: &[u32],
        second: &[u32],
    ) -> Result<(), RecoverError<S::Error>> {
        let differs = first.iter().zip(second).position(|(a, b)| a != b);
        let Some(at) = differs else {
            return Ok(());
        };
        Err(RecoverError::Unstable {
            probe: probes[at / self.places()].clone(),
            place: at % self.places(),
            first: first[at] as usize,
            second: second[at] as usize,
        })
    }

    /// One launch: the probe `p` goes to the slot `class[p + shift]`, in the round.
    fn launch(
        &mut self,
        class: &[usize],
        probes: &[Probe],
        shift: usize,
    ) -> Result<Vec<u32>, RecoverError<S::Error>> {
        if self.statistics.launches >= self.options.max_launches {
            return Err(RecoverError::TooManyLaunches(self.options.max_launches));
        }
        self.statistics.launches += 1;
        let (slots, places) = (self.slots(), self.places());
        let slot = |at: usize| class[(at + shift) % class.len()];
        let mut asked = vec![None; slots];
        for (at, probe) in probes.iter().enumerate() {
            asked[slot(at)] = Some(probe.clone());
        }
        let results = self
            .operation
            .launch(&asked)
            .map_err(RecoverError::Operation)?;
        if results.len() != places * slots {
            let (expected, found) = (places * slots, results.len());
            return Err(RecoverError::WrongCount { expected, found });
        }
        let unit = self.operation.masks().unit;
        let mut answers = Vec::with_capacity(probes.len() * places);
        for (at, probe) in probes.iter().enumerate() {
            let slot = slot(at);
            let units = probe.count();
            for place in 0..places {
                let answer = results[place * slots + slot] / unit;
                // NaN is in no range.
                if !(0.0..=units as f64).contains(&answer) || answer.fract() != 0.0 {
                    return Err(RecoverError::NotAPureSum {
                        probe: probe.clone(),
                        place,
                        answer,
                    });
                }
                answers.push(answer as u32);
            }
        }
        Ok(answers)
    }
}

/// A probe of a pair in which the units are counted that lie in a range.
fn probe(pair: (usize, usize), units: Range<usize>) -> Probe {
    Probe {
        pair: Some(pair),
        units,
    }
}
