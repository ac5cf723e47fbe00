//! How far a build has come.

use std::sync::Arc;

use concord_pipeline::Progress;

/// How far a stage of a build has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The stage: `encode`, `cluster`, `compress`, …
    pub stage: &'a str,
    /// Units done so far.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// What is counted: `passages`, `iterations`, …
    pub unit: &'a str,
}

/// A function that is told of every step.
pub(crate) type Listener = Arc<dyn Fn(Step<'_>) + Send + Sync>;

/// Passes the pipeline's progress on to a listener, where there is one.
pub(crate) struct Heard(pub(crate) Option<Listener>);

impl Progress for Heard {
    fn advanced(&self, stage: &str, done: u64, total: u64, unit: &str) {
        if let Some(listener) = &self.0 {
            listener(Step {
                stage,
                done,
                total,
                unit,
            });
        }
    }

    fn reused(&self, _: &str, _: usize) {}

    fn computed(&self, _: &str, _: usize) {}
}
