//! What follows the encoder of a subject, run again with artifacts of another run in its way.

use concord_engine::native::Native;
use concord_engine::swap::Swap;
use concord_pipeline::artifact::{DOCLENS, EMBS};
use concord_pipeline::{ArtifactRecord, EvaluateError, Progress, RecordedRun, Store};

use crate::error::RecordError;
use crate::runner::Runner;

/// The stages after a subject's encoder.
pub struct Downstream {
    native: Native,
}

impl Downstream {
    /// The stages after the encoder of `runner`, going on from its own `run`, with `swaps` given
    /// instead of computed. `None` where they cannot be run one by one: those of `colbert-ai`.
    ///
    /// # Errors
    /// When the run did not keep the values of its embeddings, or a swap does not fit.
    pub fn of(
        runner: &Runner,
        run: &RecordedRun,
        mut swaps: Vec<Swap>,
    ) -> Result<Option<Downstream>, RecordError> {
        for artifact in [EMBS, DOCLENS] {
            if !swaps.iter().any(|swap| swap.artifact() == artifact) {
                swaps.push(Swap::of_run(artifact, run)?);
            }
        }
        let native = match runner {
            Runner::Native(native) => Some(native.with_swaps(swaps)?),
            Runner::Torch(torch) => torch.stages_after_encoder(swaps)?,
        };
        Ok(native.map(|native| Downstream { native }))
    }

    /// These artifacts, computed as far as `store` does not have what they are made from.
    ///
    /// # Errors
    /// When one cannot be computed.
    pub fn artifacts(
        &self,
        names: &[&str],
        store: &dyn Store,
        progress: &dyn Progress,
    ) -> Result<Vec<ArtifactRecord>, EvaluateError> {
        self.native
            .evaluate_only(names, store, None, progress, |evaluator| {
                names.iter().map(|name| evaluator.artifact(name)).collect()
            })
    }
}
