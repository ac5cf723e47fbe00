//! Recording what follows an encoder that another program ran.

use std::collections::BTreeMap;

use concord_pipeline::{
    ArtifactEvent, Observer, RecordedRun, RunWriter, StageError, TapSink, Value,
};
use concord_tensor::BitHash;

use crate::error::TorchError;

/// Records the stages that follow an encoder whose own artifacts are recorded already. What both know
/// has to be the same.
pub(super) struct AfterEncoder<'a> {
    writer: &'a RunWriter,
    recorded: BTreeMap<(String, usize), BitHash>,
}

impl AfterEncoder<'_> {
    pub(super) fn new<'a>(writer: &'a RunWriter, run: &RecordedRun) -> AfterEncoder<'a> {
        let recorded = run.artifacts().iter().flat_map(|artifact| {
            let chunks = artifact.chunks.iter().enumerate();
            chunks.map(|(chunk, record)| ((artifact.name.clone(), chunk), record.hash))
        });
        AfterEncoder {
            writer,
            recorded: recorded.collect(),
        }
    }
}

impl Observer for AfterEncoder<'_> {
    fn wants_value(&self, name: &str) -> bool {
        self.writer.wants_value(name)
    }

    fn artifact(&self, event: &ArtifactEvent, value: Option<&Value>) -> Result<(), StageError> {
        match self.recorded.get(&(event.artifact.clone(), event.chunk)) {
            None => self.writer.artifact(event, value),
            Some(hash) if *hash == event.record.hash => Ok(()),
            Some(_) => Err(TorchError::OtherInput(event.artifact.clone()).into()),
        }
    }

    fn taps(&self) -> Option<&dyn TapSink> {
        None
    }
}
