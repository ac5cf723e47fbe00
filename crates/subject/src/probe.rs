//! Probing: running the encoder alone over chosen batches, if need be with another run's values in it.
//!
//! A probe is an ordinary recorded run that has taps and no artifacts. Where it is
//! [forced](concord_pipeline::Forcing), every module that the other run has values for computes on that
//! run's inputs; so one probe shows all modules that depart by themselves, however many there are.

use std::path::Path;

use concord_corpus::Collection;
use concord_kernels::CONTRACT_VERSION;
use concord_model::document::{Batch, DocEncoder};
use concord_model::tokenizer::TokenizerError;
use concord_pipeline::{
    Capture, Forcing, ForcingError, Observer, Replacements, RunManifest, RunWriter, StageError,
};
use serde_json::{Value as Json, json};

use crate::native::Native;
use crate::record::RecordError;

/// Passages that go through the encoder together, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeBatch {
    /// The number under which the taps are recorded.
    pub number: usize,
    /// The passages.
    pub pids: Vec<usize>,
    /// The tokens that PyTorch pads every passage to; its own choice if unset. The native engine does not
    /// pad.
    pub pad: Option<usize>,
}

/// Why a probe cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A passage that the collection does not have.
    #[error("batch {batch} asks for passage {pid}, and the collection has {passages} passages")]
    NoSuchPassage {
        /// The batch.
        batch: usize,
        /// The passage.
        pid: usize,
        /// How many there are.
        passages: usize,
    },
    /// A batch without passages.
    #[error("batch {0} has no passages")]
    EmptyBatch(usize),
    /// A passage cannot be tokenized.
    #[error("passage {pid}: {source}")]
    Tokenizer {
        /// The passage.
        pid: usize,
        /// Why.
        source: TokenizerError,
    },
    /// A module cannot be given what the other run computed.
    #[error(transparent)]
    Forcing(#[from] ForcingError),
    /// A tap cannot be recorded.
    #[error("recording the probe: {0}")]
    Recording(StageError),
}

impl From<StageError> for ProbeError {
    fn from(error: StageError) -> ProbeError {
        match error.downcast::<ForcingError>() {
            Ok(error) => ProbeError::Forcing(*error),
            Err(error) => ProbeError::Recording(error),
        }
    }
}

impl Native {
    /// Runs the encoder over exactly these batches and records its taps at `out`, as far as `capture` wants
    /// them. With `forcing`, each module gives on what the other run computed there, once it is recorded
    /// what it computed itself.
    ///
    /// The composition of a batch changes nothing but where a third-party product is among the options.
    ///
    /// # Errors
    /// [`ProbeError`]; and when a tap names no module, or the run cannot be written. Nothing is then left at
    /// `out`.
    pub fn probe(
        &self,
        batches: &[ProbeBatch],
        forcing: Option<&Forcing<'_>>,
        capture: Capture,
        out: &Path,
    ) -> Result<(), RecordError> {
        check(batches, self.grid().passages())?;
        self.check_modules(&capture.taps)?;
        let tokenized = |batch| tokenized(self.encoder(), self.collection(), batch);
        let batches: Vec<Batch> = batches.iter().map(tokenized).collect::<Result<_, _>>()?;
        let writer = RunWriter::create(out, capture)?;
        let taps = writer.taps();
        let forced = forcing.map(|forcing| forcing as &dyn Replacements);
        self.on_its_threads(|| {
            let encoder = self.encoder();
            encoder.encode(&batches, taps, forced, |_| (), |_, _| ())
        })
        .map_err(ProbeError::from)?;
        let mut options = self.options();
        // The batches are those that were asked for.
        options.remove("batch");
        options.insert(OPTION.to_owned(), description(batches.len(), forcing));
        let manifest =
            RunManifest::new(self.word(), Some(CONTRACT_VERSION), self.inputs(), options);
        Ok(writer.finish(&manifest)?)
    }
}

/// Whether the batches can be run.
pub(crate) fn check(batches: &[ProbeBatch], passages: usize) -> Result<(), ProbeError> {
    for batch in batches {
        if batch.pids.is_empty() {
            return Err(ProbeError::EmptyBatch(batch.number));
        }
        if let Some(&pid) = batch.pids.iter().find(|&&pid| pid >= passages) {
            return Err(ProbeError::NoSuchPassage {
                batch: batch.number,
                pid,
                passages,
            });
        }
    }
    Ok(())
}

/// The option of a run's manifest that says that it is a probe.
pub(crate) const OPTION: &str = "probe";

/// What was probed, for the manifest: how many batches, and by which run which modules were forced; no
/// pattern stands for all that it has values for.
pub(crate) fn description(batches: usize, forcing: Option<&Forcing<'_>>) -> Json {
    let forced = forcing.map(|forcing| {
        json!({
            "by": forcing.run().manifest().subject,
            "modules": patterns(forcing),
        })
    });
    json!({ "batches": batches, "forced": forced })
}

/// The patterns of the modules that are forced.
pub(crate) fn patterns(forcing: &Forcing<'_>) -> Vec<String> {
    forcing.modules().iter().map(ToString::to_string).collect()
}

fn tokenized(
    encoder: &DocEncoder,
    collection: &Collection,
    batch: &ProbeBatch,
) -> Result<Batch, ProbeError> {
    let (mut ids, mut lengths) = (Vec::new(), Vec::with_capacity(batch.pids.len()));
    for &pid in &batch.pids {
        let text = collection.texts(pid..pid + 1).next().unwrap_or_default();
        let tokens = encoder.tokenizer.encode_one(text);
        let tokens = tokens.map_err(|source| ProbeError::Tokenizer { pid, source })?;
        lengths.push(tokens.len());
        ids.extend(tokens);
    }
    Ok(Batch {
        number: batch.number,
        pids: batch.pids.clone(),
        ids,
        lengths,
    })
}
