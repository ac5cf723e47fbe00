//! How far a recovery goes.

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
