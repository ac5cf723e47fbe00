//! One tree while it is being recovered.

use std::collections::BTreeMap;

use super::error::RecoverError;
use crate::reveal::random::Random;
use crate::reveal::tree::{SumTree, TreeError};

/// The tree of some places, as far as their answers go.
#[derive(Clone)]
pub(super) struct Growth {
    places: Vec<usize>,
    seed: u64,
    /// A problem comes before those that its answers lead to.
    problems: Vec<Problem>,
    /// The first problem without answers: all before it have theirs.
    open: usize,
    pairs: usize,
}

/// Terms that lie together under one node: which tree joins them?
#[derive(Clone)]
struct Problem {
    /// Ascending.
    terms: Vec<u32>,
    /// The term that the others are measured against.
    pivot: u32,
    /// The terms under the node where they meet the pivot of the problem above. If these are part of one
    /// addition with that pivot, their own join is that node, and they are fewer than it sums.
    above: usize,
    /// Going up from the pivot: the problem of the terms that join there.
    joining: Vec<usize>,
    /// The terms under the topmost join.
    size: usize,
    /// How many problems in a row, up to this one, had more than half of the terms of the one above.
    slow: u32,
}

impl Growth {
    pub(super) fn new(terms: usize, places: Vec<usize>, seed: u64) -> Growth {
        let all: Vec<u32> = (0..terms as u32).collect();
        let mut growth = Growth {
            places,
            seed,
            problems: Vec::new(),
            open: 0,
            pairs: 0,
        };
        growth.pose(all, terms, 0);
        growth
    }

    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }

    /// How many pairs were measured.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    pub(super) fn is_complete(&self) -> bool {
        self.questions().next().is_none()
    }

    /// The pairs to be measured next: those of all problems of the level.
    pub(super) fn questions(&self) -> impl Iterator<Item = (u32, u32)> {
        self.problems[self.open..]
            .iter()
            .flat_map(Problem::questions)
    }

    /// Adds a problem, and chooses its pivot.
    ///
    /// Seen from its first term a chain comes apart at once, and so does a lane, a run, or a block; seen
    /// from its last, one term comes off. So the pivot is the first term; where that came to be slow, the
    /// last, which is the right one for a chain that runs backwards; where that is slow too, a random one.
    fn pose(&mut self, terms: Vec<u32>, above: usize, slow: u32) {
        let at = match slow {
            0 => 0,
            1 => terms.len() - 1,
            // It depends on the terms alone, so trees that have this problem in common ask the same.
            _ => {
                let digest = terms.iter().fold(self.seed, |digest, &term| {
                    Random::new(digest ^ u64::from(term)).next()
                });
                Random::new(digest).below(terms.len())
            }
        };
        self.problems.push(Problem {
            slow,
            pivot: terms[at],
            terms,
            above,
            joining: Vec::new(),
            size: 1,
        });
    }

    /// Takes the answers of a level: `joins` gives, for a place, one for each of the questions. Places that
    /// answer differently part here.
    pub(super) fn answered<E, I>(
        mut self,
        joins: impl Fn(usize) -> I,
    ) -> Result<Vec<Growth>, RecoverError<E>>
    where
        E: std::error::Error + 'static,
        I: Iterator<Item = u32>,
    {
        let mut alike: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
        for place in std::mem::take(&mut self.places) {
            alike.entry(joins(place).collect()).or_default().push(place);
        }
        let mut parted = Vec::with_capacity(alike.len());
        for (answers, places) in alike {
            let mut growth = self.clone();
            growth.places = places;
            growth.take(&answers)?;
            parted.push(growth);
        }
        parted.sort_by_key(|growth| growth.places.first().copied());
        Ok(parted)
    }

    fn take<E: std::error::Error + 'static>(
        &mut self,
        answers: &[u32],
    ) -> Result<(), RecoverError<E>> {
        self.pairs += answers.len();
        let mut answers = answers.iter();
        let level = self.open..self.problems.len();
        self.open = level.end;
        for at in level {
            let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for ((_, term), &joined) in self.problems[at].questions().zip(&mut answers) {
                groups.entry(joined).or_default().push(term);
            }
            let Problem {
                pivot, above, slow, ..
            } = self.problems[at];
            let half = self.problems[at].terms.len() / 2;
            let (mut size, groups_left) = (1, groups.len());
            for (nth, (joined, terms)) in groups.into_iter().enumerate() {
                let joined = joined as usize;
                let allowed = size + terms.len();
                let is_last = nth + 1 == groups_left;
                // Only the topmost join may sum more: it is then the node above.
                if joined != allowed && !(is_last && joined == above && joined > allowed) {
                    return Err(RecoverError::NotATree {
                        place: self.places.first().copied().unwrap_or(0),
                        pivot: pivot as usize,
                        terms: terms.len(),
                        joined,
                        allowed,
                    });
                }
                size = joined;
                let next = self.problems.len();
                self.problems[at].joining.push(next);
                let slow = if terms.len() > half { slow + 1 } else { 0 };
                self.pose(terms, joined, slow);
            }
            self.problems[at].size = size;
        }
        Ok(())
    }

    /// The tree, once all questions are answered.
    pub(super) fn tree(self, terms: usize) -> Result<SumTree, TreeError> {
        let mut additions: Vec<Vec<usize>> = Vec::new();
        let mut roots = vec![0; self.problems.len()];
        for (at, problem) in self.problems.iter().enumerate().rev() {
            let mut root = problem.pivot as usize;
            for &joining in &problem.joining {
                let (other, problem) = (roots[joining], &self.problems[joining]);
                if problem.size == problem.terms.len() {
                    // A whole subtree: an addition of two.
                    additions.push(vec![root, other]);
                    root = terms + additions.len() - 1;
                } else if let Some(addition) = other.checked_sub(terms) {
                    // Its topmost addition has more parts than are in it: what was joined so far is one.
                    additions[addition].push(root);
                    root = other;
                }
            }
            roots[at] = root;
        }
        SumTree::new(terms, additions, roots[0])
    }
}

impl Problem {
    fn questions(&self) -> impl Iterator<Item = (u32, u32)> {
        let others = self.terms.iter().filter(|&&term| term != self.pivot);
        others.map(|&term| (self.pivot, term))
    }
}
