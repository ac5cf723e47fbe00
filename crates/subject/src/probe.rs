//! Probing: running the encoder alone over chosen batches, if need be with another run's values in it.
//!
//! A probe is an ordinary recorded run that has taps and no artifacts. Where it is
//! [forced](concord_pipeline::Forcing), every module that the other run has values for computes on that
//! run's inputs; so one probe shows all modules that depart by themselves, however many there are.

use std::path::Path;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_kernels::CONTRACT_VERSION;
use concord_model::document::{Batch, DocEncoder};
use concord_pipeline::{Capture, Forcing, Observer, Replacements, RunManifest, RunWriter};
use serde_json::{Value as Json, json};

use crate::error::{ProbeError, RecordError};
use crate::record;

/// Passages that go through the encoder together, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeBatch {
    /// The number under which the taps are recorded.
    pub number: usize,
    pub pids: Vec<usize>,
    /// The tokens that PyTorch pads every passage to; its own choice if unset. The native engine does not
    /// pad.
    pub pad: Option<usize>,
}

/// Runs the encoder of `native` over exactly these batches and records its taps at `out`, as far as `capture` wants
/// them. With `forcing`, each module gives on what the other run computed there, once it is recorded
/// what it computed itself.
///
/// The composition of a batch changes nothing but where a third-party product is among the options.
///
/// # Errors
/// [`ProbeError`]; and when a tap names no module, or the run cannot be written. Nothing is then left at
/// `out`.
pub fn probe(
    native: &Native,
    batches: &[ProbeBatch],
    forcing: Option<&Forcing<'_>>,
    capture: Capture,
    out: &Path,
) -> Result<(), RecordError> {
    check(batches, native.grid().passages())?;
    native.check_modules(&capture.taps)?;
    let tokenized = |batch| tokenized(native.encoder(), native.collection(), batch);
    let batches: Vec<Batch> = batches.iter().map(tokenized).collect::<Result<_, _>>()?;
    let writer = RunWriter::create(out, capture)?;
    let taps = writer.taps();
    let forced = forcing.map(|forcing| forcing as &dyn Replacements);
    native
        .on_its_threads(|| {
            let encoder = native.encoder();
            encoder.encode(&batches, taps, forced, |_| (), |_, _| ())
        })
        .map_err(ProbeError::from)?;
    let mut options = native.options();
    // The batches are those that were asked for.
    options.remove("batch");
    options.insert(OPTION.to_owned(), description(batches.len(), forcing));
    let manifest = RunManifest::new(
        native.specification(),
        Some(CONTRACT_VERSION),
        record::inputs(native),
        options,
    );
    Ok(writer.finish(&manifest)?)
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
