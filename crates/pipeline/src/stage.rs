//! Stages: pure functions from artifacts to artifacts.

use crate::call::Call;
use crate::declaration::StageDeclaration;
use crate::setting::Setting;
use crate::stage_error::StageError;
use crate::value::Value;

/// A pure function from artifacts to artifacts.
///
/// Pure: the outputs depend on the inputs and on [`Stage::settings`], bit for bit, and on nothing else.
/// Batch size, threads and instruction set may decide how fast it is.
pub trait Stage: Send + Sync {
    /// What it is called, what it reads and what it makes.
    fn declaration(&self) -> &'static StageDeclaration;
    /// Everything beside the inputs that the outputs depend on, under names that are declared.
    fn settings(&self) -> Vec<Setting>;
    /// Whether it reports taps while it runs.
    fn has_taps(&self) -> bool {
        false
    }
    /// Computes the outputs, in the order in which they are declared.
    ///
    /// # Errors
    /// Whatever makes the outputs impossible, in the words of the stage's own crate.
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError>;
}
