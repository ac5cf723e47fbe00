//! What an index can be built from.

use std::collections::BTreeMap;
use std::time::Duration;

use concord_index::passages::PassageTable;
use concord_model::config::ColbertConfig;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, CENTROIDS, EMBS, IVF, RESIDUALS, SAMPLE_HELDOUT, VALUES,
};
use concord_pipeline::{EvaluateError, Evaluator, Grid, Observer, Progress, Store};
use concord_tensor::BitHash;
use serde_json::Value as Json;

use crate::origin::Origin;
use crate::swap::Swap;

/// What makes every artifact known, in the order of the graph, so that what one needs of another passes through memory.
pub(crate) const ALL: [&str; 7] = [
    EMBS,
    SAMPLE_HELDOUT,
    CENTROIDS,
    AVG_RESIDUAL,
    RESIDUALS,
    IVF,
    VALUES,
];

/// A graph with its sources, whose artifacts are an index, and what the manifest of that index says of them.
pub trait Buildable {
    /// The hash of each input.
    fn inputs(&self) -> BTreeMap<String, BitHash>;

    /// The options that the artifacts depend on.
    fn options(&self) -> BTreeMap<String, Json>;

    /// The configuration as the index's metadata has it; with where the inputs lie, if there is an `origin`.
    fn published_config(&self, origin: Option<&Origin>) -> ColbertConfig;

    /// What is known of the passages, by pid.
    fn passages(&self) -> PassageTable;

    /// How the passages are cut.
    fn grid(&self) -> Grid;

    fn threads(&self) -> usize;

    /// How long it took to read what is given, before anything is evaluated.
    fn reading_took(&self) -> Duration {
        Duration::ZERO
    }

    /// The artifacts that are given instead of computed.
    fn swaps(&self) -> &[Swap];

    /// Which passage and token an embedding is of: the number `embedding` of the `kept` that passage `pid` has.
    fn place(&self, pid: u32, embedding: usize, kept: usize) -> EmbeddingPlace;

    /// Notices for the user: about the inputs, and once they are known, about what was made of them.
    ///
    /// # Errors
    /// When something that was computed cannot be read again.
    fn notices(&self, evaluator: Option<&Evaluator<'_>>) -> Result<Vec<String>, EvaluateError>;

    /// Evaluates the graph: every artifact becomes known. Then `finish` is called with the evaluator.
    ///
    /// # Errors
    /// When an artifact cannot be computed, or `finish` fails.
    fn evaluate<T: Send, E: Send + From<EvaluateError>>(
        &self,
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E>
    where
        Self: Sized,
    {
        self.evaluate_only(&ALL, store, observer, progress, finish)
    }

    /// Evaluates as much of the graph as these artifacts need. Then `finish` is called with the evaluator.
    ///
    /// # Errors
    /// As [`Buildable::evaluate`].
    fn evaluate_only<T: Send, E: Send + From<EvaluateError>>(
        &self,
        artifacts: &[&str],
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E>
    where
        Self: Sized;
}

/// Where an embedding comes from, as far as it can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingPlace {
    /// The passage's id from outside, where it has such.
    pub id: Option<String>,
    /// The token.
    pub token: Option<String>,
}
