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
    #[error(
        "`{module}` names no module of this checkpoint, whose modules run from bert.embeddings over \
         bert.encoder.layer.0 to .{last} to linear and normalize", last = layers.saturating_sub(1)
    )]
    NoSuchModule {
        module: String,
        /// The layers of the checkpoint.
        layers: usize,
    },
    /// It is never run.
    #[error("`{module}` is not run, because it lies inside `{cut}`, which is cut out")]
    CutOut { module: String, cut: String },
    /// It has nothing to compute alone, so that it cannot but come out the same.
    #[error(
        "`{module}` computes nothing alone, it hands on what is computed inside it: sweep it as a whole, or \
         `{computes}`, whose output it hands on"
    )]
    HandsOn { module: String, computes: String },
    /// What is the same does not come out the same.
    #[error(
        "the largest batch, of {batch}, was run twice on the same inputs and does not come out the same at \
         `{module}`: the subject does not repeat itself, so that shapes cannot be judged"
    )]
    Unsteady { module: String, batch: usize },
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
        [] => "it names none".to_owned(),
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
