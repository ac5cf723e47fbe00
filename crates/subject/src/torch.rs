//! A version of PyTorch as a subject: an environment, an agent in it, and a checkpoint and a collection.

mod after_encoder;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use concord_corpus::Collection;
use concord_engine::graph;
use concord_engine::native::{Native, NativeError};
use concord_engine::options::NativeOptions;
use concord_engine::settings::{DEFAULT_SEED, IndexSettings, OwnSettings};
use concord_engine::swap::Swap;
use concord_kernels::CONTRACT_VERSION;
use concord_kernels::compute::ComputeOptions;
use concord_model::architecture::Architecture;
use concord_model::checkpoint::Checkpoint;
use concord_model::numerics::{Change, Numerics};
use concord_model::stages::Passages;
use concord_pipeline::artifact::{DOCLENS, EMBS};
use concord_pipeline::{
    Capture, DiskStore, Forcing, Progress, RecordedRun, RunManifest, RunWriter, Scratch,
};
use serde_json::json;

use crate::agent::{Agent, AgentError, AgentProgress, Fields};
use crate::error::{RecordError, TorchError};
use crate::probe::{self, ProbeBatch};
use crate::python::{Departure, Engine, Environment, Recipe};
use crate::record::checkpoint_files;
use crate::specification::{Amp, Attention, Dropout, Pad, TorchOptions};

use after_encoder::AfterEncoder;
use variables::variables;

/// What a PyTorch subject runs on.
#[derive(Clone)]
pub struct TorchInputs {
    pub checkpoint: Arc<Checkpoint>,
    /// The folder with the checkpoint's files, as `transformers` reads them.
    pub folder: PathBuf,
    pub collection: Arc<Collection>,
    /// What the index depends on beside.
    pub settings: IndexSettings,
}

/// The option of a run that lists in what its environment differs from most others besides PyTorch.
pub const DEPARTURES: &str = "departures";

/// A version of PyTorch on one checkpoint and one collection.
pub struct Torch {
    options: TorchOptions,
    environment: Arc<Environment>,
    departures: Vec<Departure>,
    inputs: TorchInputs,
    patience: Duration,
    /// Holds the passages as the agent reads them.
    files: Scratch,
}

/// The passages in [`Torch::files`].
const PASSAGES: &str = "passages.jsonl";

impl Torch {
    /// Prepares the subject. Its process is stopped after `patience` without output. What `options` have for this side
    /// alone comes before the settings of `inputs`; to load the checkpoint that they name is the caller's.
    ///
    /// # Errors
    /// When the options do not go together.
    pub fn new(
        options: TorchOptions,
        environment: Arc<Environment>,
        inputs: TorchInputs,
        patience: Duration,
    ) -> Result<Torch, TorchError> {
        check(&options, &inputs)?;
        let inputs = TorchInputs {
            settings: options.own.over(inputs.settings),
            ..inputs
        };
        let files = Scratch::new()?;
        write_passages(&files.path().join(PASSAGES), &inputs.collection)?;
        let departures = recipe(&options).departures();
        Ok(Torch {
            options,
            environment,
            departures,
            inputs,
            patience,
            files,
        })
    }

    /// The subject's specification.
    pub fn specification(&self) -> String {
        self.options.to_string()
    }

    pub fn options(&self) -> &TorchOptions {
        &self.options
    }

    /// The same environment on the same inputs under other options. `None` where these take another environment.
    ///
    /// # Errors
    /// When the options do not go together.
    pub fn under(&self, options: TorchOptions) -> Result<Option<Torch>, TorchError> {
        if recipe(&options) != recipe(&self.options) {
            return Ok(None);
        }
        let environment = Arc::clone(&self.environment);
        Torch::new(options, environment, self.inputs.clone(), self.patience).map(Some)
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.inputs.checkpoint
    }

    pub fn heads(&self) -> usize {
        self.inputs.checkpoint.bert_config().num_attention_heads
    }

    pub(crate) fn architecture(&self) -> Architecture {
        self.inputs.checkpoint.architecture()
    }

    pub(crate) fn is_cut_out(&self, module: &str) -> bool {
        let patches = self.options.patches.iter();
        let mut cut = patches.filter(|patch| patch.change == Change::Identity);
        cut.any(|patch| patch.at.names(module))
    }

    pub fn amp(&self) -> Amp {
        self.options.amp
    }

    pub fn attention(&self) -> Attention {
        self.options.attention
    }

    /// The device, where it is not the CPU.
    pub fn device(&self) -> Option<&str> {
        self.options.device.as_deref()
    }

    /// Threads of one operation, where they are not left to PyTorch.
    pub fn threads(&self) -> Option<NonZeroUsize> {
        self.options.threads
    }

    /// What its process is started with, by name.
    pub fn variables(&self) -> BTreeMap<&'static str, OsString> {
        variables(&self.options)
    }

    /// The subject's specification as far as a single operation can depend on it: the same with either engine, on any
    /// checkpoint and for any settings of the index.
    pub fn operation_specification(&self) -> String {
        let options = TorchOptions {
            engine: Engine::Bert,
            own: OwnSettings::default(),
            ..self.options.clone()
        };
        options.to_string().replace(",engine=bert", "")
    }

    /// What a request for a single operation has in common with the subject.
    pub(crate) fn operation(&self) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in [
            ("device", json!(self.options.device)),
            ("amp", json!(self.options.amp.to_string())),
            ("threads", json!(self.options.threads)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        fields
    }

    /// How far it pads its batches.
    pub fn pad(&self) -> Pad {
        self.options.pad
    }

    pub fn passages(&self) -> usize {
        self.inputs.collection.len()
    }

    /// Starts a process that answers requests. It ends with the thread that called this.
    ///
    /// # Errors
    /// [`AgentError::Start`].
    pub fn start(&self) -> Result<Agent, AgentError> {
        let interpreter = self.environment.interpreter();
        Agent::start(&interpreter, &variables(&self.options), self.patience)
    }

    /// Runs the subject from the beginning and records it at `out`. Returns remarks for the user.
    ///
    /// With `engine=bert` the stages after the encoder are the native engine's.
    ///
    /// # Errors
    /// When the process fails, or the run cannot be written; nothing is then left at `out`.
    pub fn record(
        &self,
        capture: Capture,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RecordError> {
        let writer = RunWriter::create(out, capture.clone())?;
        let keep: &[&str] = match self.options.engine {
            // The stages after the encoder go on with them.
            Engine::Bert => &[EMBS, DOCLENS],
            Engine::Colbert => &[],
        };
        let request = self.request(&capture, keep);
        let mut hear = |heard: AgentProgress| {
            progress.advanced(&heard.stage, heard.done, heard.total, unit(&heard.stage));
        };
        let run = self.agents_run("record", request, &writer, &mut hear)?;
        let mut manifest = self.manifest(run.manifest())?;
        let mut notices = Vec::new();
        match self.options.engine {
            Engine::Colbert => writer.take_over(&run)?,
            Engine::Bert => {
                let native = self.stages_after(run.folder())?;
                writer.take_over(&run)?;
                let store = DiskStore::scratch(writer.scratch())?;
                let observer = AfterEncoder::new(&writer, &run);
                notices = native.evaluate(&store, Some(&observer), progress, |evaluator| {
                    Ok::<_, RecordError>(native.notices(Some(evaluator))?)
                })?;
                for (name, value) in native.options() {
                    if graph::decides_after_encoder(&name) {
                        manifest.options.insert(name, value);
                    }
                }
                let stages = json!(format!("native, contract {CONTRACT_VERSION}"));
                manifest
                    .options
                    .insert("stages_after_encoder".to_owned(), stages);
            }
        }
        let departures = self.departures.iter();
        notices
            .extend(departures.map(|departure| format!("{}: {departure}", self.specification())));
        writer.finish(&manifest)?;
        Ok(notices)
    }

    /// Runs the encoder alone over exactly these batches and records its taps at `out`; see
    /// [`Runner::probe`](crate::runner::Runner::probe).
    ///
    /// # Errors
    /// When a passage does not exist, the process fails, or the run cannot be written; nothing is then left
    /// at `out`.
    pub fn probe(
        &self,
        batches: &[ProbeBatch],
        forcing: Option<&Forcing<'_>>,
        capture: Capture,
        out: &Path,
    ) -> Result<(), RecordError> {
        probe::check(batches, self.passages())?;
        let writer = RunWriter::create(out, capture.clone())?;
        let mut request = self.request(&capture, &[]);
        request.extend(probe_fields(batches, forcing));
        let run = self.agents_run("probe", request, &writer, &mut |_| ())?;
        let mut manifest = self.manifest(run.manifest())?;
        let description = probe::description(batches.len(), forcing);
        manifest
            .options
            .insert(probe::OPTION.to_owned(), description);
        writer.take_over(&run)?;
        Ok(writer.finish(&manifest)?)
    }

    /// Asks a new process for a run, which it leaves in a scratch folder of `writer`.
    fn agents_run(
        &self,
        what: &str,
        mut request: Fields,
        writer: &RunWriter,
        hear: &mut dyn FnMut(AgentProgress),
    ) -> Result<RecordedRun, RecordError> {
        let scratch = writer.scratch();
        fs::create_dir_all(scratch).map_err(TorchError::Inputs)?;
        let folder = scratch.join("agent");
        request.insert("out".to_owned(), json!(folder));
        self.start()?.ask(what, request, hear)?;
        Ok(RecordedRun::open(&folder)?)
    }

    /// What every request for a run has: on what, how, and what of it is kept. `keep` names artifacts that
    /// are kept in any case.
    fn request(&self, capture: &Capture, keep: &[&str]) -> Fields {
        let options = &self.options;
        let settings = &self.inputs.settings;
        let taps: Vec<String> = capture.taps.iter().map(ToString::to_string).collect();
        let values = match (
            capture.artifact_values,
            capture.tap_values && !taps.is_empty(),
        ) {
            (false, false) => "hashes",
            (true, false) => "artifacts",
            (false, true) => "taps",
            (true, true) => "all",
        };
        let patches: Vec<String> = options.patches.iter().map(ToString::to_string).collect();
        let mut request = Fields::new();
        for (name, value) in [
            ("checkpoint", json!(self.inputs.folder)),
            (
                "checkpoint_hash",
                json!(self.inputs.checkpoint.hash().to_string()),
            ),
            ("collection", json!(self.files.path().join(PASSAGES))),
            ("engine", json!(options.engine.to_string())),
            ("device", json!(options.device)),
            ("amp", json!(options.amp.to_string())),
            ("batch", json!(options.batch)),
            ("pad", json!(options.pad.to_string())),
            ("threads", json!(options.threads)),
            ("attention", json!(options.attention.to_string())),
            ("dropout", json!(options.dropout.to_string())),
            ("patches", json!(patches)),
            ("capture", json!(values)),
            ("keep", json!(keep)),
            ("taps", json!(taps)),
            ("pids", json!(capture.passages)),
            ("doc_maxlen", json!(settings.doc_maxlen)),
            ("nbits", json!(settings.nbits)),
            ("kmeans_niters", json!(settings.kmeans_niters)),
        ] {
            request.insert(name.to_owned(), value);
        }
        request
    }

    /// The native engine with the embeddings of the run in `folder` in the encoder's place.
    fn stages_after(&self, folder: &Path) -> Result<Native, RecordError> {
        let mut swaps = self.inputs.settings.swaps.clone();
        for artifact in [EMBS, DOCLENS] {
            if !swaps.iter().any(|swap| swap.artifact() == artifact) {
                swaps.push(Swap::of(artifact, folder)?);
            }
        }
        Ok(self.native(swaps)?)
    }

    /// The native engine in which these artifacts are given instead of computed, embeddings among them;
    /// `None` where its stages are not those that follow the encoder.
    pub(crate) fn stages_after_encoder(
        &self,
        mut swaps: Vec<Swap>,
    ) -> Result<Option<Native>, NativeError> {
        if self.options.engine == Engine::Colbert {
            return Ok(None);
        }
        for swap in &self.inputs.settings.swaps {
            if !swaps
                .iter()
                .any(|other| other.artifact() == swap.artifact())
            {
                swaps.push(swap.clone());
            }
        }
        self.native(swaps).map(Some)
    }

    fn native(&self, swaps: Vec<Swap>) -> Result<Native, NativeError> {
        let settings = IndexSettings {
            swaps,
            ..self.inputs.settings.clone()
        };
        let options = NativeOptions {
            compute: ComputeOptions::default().with_threads(self.options.threads),
            // A head that is cut out leaves embeddings of another width.
            numerics: Numerics {
                patches: self.options.patches.clone(),
                ..Numerics::default()
            },
            ..NativeOptions::default()
        };
        let (checkpoint, collection) = (&self.inputs.checkpoint, &self.inputs.collection);
        Native::new(
            Arc::clone(checkpoint),
            Arc::clone(collection),
            options,
            settings,
        )
    }

    /// The manifest of the run, out of the agent's.
    fn manifest(&self, agents: &RunManifest) -> Result<RunManifest, TorchError> {
        let mut inputs = agents.inputs.clone();
        for (name, hash) in [
            ("checkpoint", self.inputs.checkpoint.hash()),
            ("collection", Passages::new(&self.inputs.collection).hash()),
        ] {
            if inputs.get(name) != Some(&hash) {
                return Err(TorchError::OtherInput(name.to_owned()));
            }
        }
        inputs.extend(checkpoint_files(&self.inputs.checkpoint));
        for swap in &self.inputs.settings.swaps {
            inputs.insert(format!("swap {}", swap.artifact()), swap.hash());
        }
        let mut options = agents.options.clone();
        if !self.departures.is_empty() {
            let told: Vec<String> = self.departures.iter().map(ToString::to_string).collect();
            options.insert(DEPARTURES.to_owned(), json!(told));
        }
        Ok(RunManifest::new(
            self.specification(),
            None,
            inputs,
            options,
        ))
    }
}

/// What a probe's request has beside.
fn probe_fields(batches: &[ProbeBatch], forcing: Option<&Forcing<'_>>) -> Fields {
    let batches = batches
        .iter()
        .map(|batch| json!({ "number": batch.number, "pids": batch.pids, "pad": batch.pad }));
    let fields = [
        ("batches", batches.collect()),
        ("force", json!(forcing.map(|f| f.run().folder()))),
        (
            "force_modules",
            json!(forcing.map_or_else(Vec::new, probe::patterns)),
        ),
    ];
    let named = fields.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

/// Whether these options go together with these inputs, which needs no environment to tell.
///
/// # Errors
/// When they do not.
pub fn check(options: &TorchOptions, inputs: &TorchInputs) -> Result<(), TorchError> {
    if inputs.collection.is_empty() {
        return Err(TorchError::Empty);
    }
    if options.engine == Engine::Colbert {
        if !inputs.settings.swaps.is_empty() {
            return Err(TorchError::Swap);
        }
        if options.own.over(inputs.settings.clone()).seed != DEFAULT_SEED {
            return Err(TorchError::Seed);
        }
        if options.pad != Pad::default() {
            return Err(TorchError::Pad);
        }
        if options.dropout != Dropout::Off {
            return Err(TorchError::Dropout);
        }
    }
    let sdpa = options.attention == Attention::Sdpa;
    options.transformers().check(options.version, sdpa)?;
    Ok(())
}

/// What the environment of these options is made of.
pub fn recipe(options: &TorchOptions) -> Recipe {
    Recipe::new(options.version, options.engine).with_transformers(options.transformers())
}

fn unit(stage: &str) -> &'static str {
    if stage == "encode" {
        "passages"
    } else {
        "steps"
    }
}

/// Writes the passages so that every text survives as it is, tabs and line ends included.
fn write_passages(path: &Path, collection: &Collection) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    for text in collection.iter() {
        serde_json::to_writer(&mut file, &json!({ "text": text }))?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_asks_for_its_batches_with_their_padding() {
        let batch = |number, pad| ProbeBatch {
            number,
            pids: vec![4, 2],
            pad,
        };
        let fields = probe_fields(&[batch(3, Some(70)), batch(5, None)], None);
        let expected = json!({
            "batches": [
                { "number": 3, "pids": [4, 2], "pad": 70 },
                { "number": 5, "pids": [4, 2], "pad": null },
            ],
            "force": null,
            "force_modules": [],
        });
        assert_eq!(serde_json::Value::Object(fields), expected);
    }
}
