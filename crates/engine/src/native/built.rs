//! An index of a collection, by the native engine.

use std::collections::BTreeMap;

use concord_corpus::DocumentIds;
use concord_index::passages::PassageTable;
use concord_model::config::ColbertConfig;
use concord_pipeline::{EvaluateError, Evaluator, Grid, Observer, Progress, Store};
use concord_tensor::BitHash;
use serde_json::Value as Json;

use super::Native;
use crate::buildable::{Buildable, EmbeddingPlace};
use crate::origin::Origin;
use crate::passages::{ids_hash, metadata_hash, table_of};
use crate::recorded::{IDS_INPUT, METADATA_INPUT};
use crate::swap::Swap;

impl Buildable for Native {
    fn inputs(&self) -> BTreeMap<String, BitHash> {
        let mut inputs = Native::inputs(self);
        if let Some(hash) = ids_hash(&self.collection) {
            inputs.insert(IDS_INPUT.to_owned(), hash);
        }
        if let Some(hash) = metadata_hash(self.collection.metadata()) {
            inputs.insert(METADATA_INPUT.to_owned(), hash);
        }
        inputs
    }

    fn options(&self) -> BTreeMap<String, Json> {
        Native::options(self)
    }

    fn published_config(&self, origin: Option<&Origin>) -> ColbertConfig {
        Native::published_config(self, origin)
    }

    fn passages(&self) -> PassageTable {
        table_of(&self.collection)
    }

    fn grid(&self) -> Grid {
        self.grid
    }

    fn threads(&self) -> usize {
        Native::threads(self)
    }

    fn swaps(&self) -> &[Swap] {
        &self.swaps
    }

    fn place(&self, pid: u32, embedding: usize, kept: usize) -> EmbeddingPlace {
        let collection = &self.collection;
        let id = || collection.external_id(pid).into_owned();
        EmbeddingPlace {
            id: collection.has_external_ids().then(id),
            token: self.kept_token(pid, embedding, kept),
        }
    }

    fn notices(&self, evaluator: Option<&Evaluator<'_>>) -> Result<Vec<String>, EvaluateError> {
        Native::notices(self, evaluator)
    }

    fn evaluate_only<T: Send, E: Send + From<EvaluateError>>(
        &self,
        artifacts: &[&str],
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        Native::evaluate_only(self, artifacts, store, observer, progress, finish)
    }
}
