//! Why a module cannot be swept.

use concord_pipeline::{ForcingError, RunError};
use concord_subject::error::RecordError;

/// Why there is no answer for a module.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// It is a pattern, and modules are judged one by one.
    #[error("`{pattern}` is a pattern, and a sweep is of one module: {choice}", choice = choice(matching))]
    Pattern {
        pattern: String,
        /// The modules that it names and that can be swept.
        matching: Vec<String>,
    },
    /// It computes nothing itself, so that on the same inputs it cannot but come out the same.
    #[error(
        "`{module}` computes nothing itself, it hands on what is computed inside it, which a sweep keeps the same: \
         sweep `{computes}`, whose output it hands on, or another module inside it"
    )]
    HandsOn { module: String, computes: String },
    /// What is the same does not come out the same.
    #[error(
        "{same} of the {batch} passages of the largest batch have the same bits at `{module}` when it is run again on \
         the same inputs: the subject does not repeat itself, so that shapes cannot be judged"
    )]
    Unsteady {
        module: String,
        batch: usize,
        same: usize,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Forcing(#[from] ForcingError),
}

/// What can be chosen in the place of a pattern.
fn choice(matching: &[String]) -> String {
    const SHOWN: usize = 12;
    match matching {
        [] => "it names none that computes something".to_owned(),
        [only] => format!("choose {only}"),
        all => {
            let shown = all[..all.len().min(SHOWN)].join(", ");
            match all.len().saturating_sub(SHOWN) {
                0 => format!("choose one of {shown}"),
                more => format!("choose one of {shown} and {more} more"),
            }
        }
    }
}
