//! A passage and its score.

use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub pid: u32,
    /// Its MaxSim score.
    pub score: f32,
}

impl Hit {
    /// The better first; of equal scores the smaller pid.
    pub(super) fn order(&self, other: &Hit) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.pid.cmp(&other.pid))
    }
}
