//! The native engine: a checkpoint, a collection and options, as a graph of stages.

mod built;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_index::codec::{Nearest, can_pack};
use concord_index::plan::Plan;
use concord_index::stages::{
    Calibrate, Cluster, Compress, Invert, LastCodec, Sample, SamplePids, Split,
};
use concord_kernels::CONTRACT_VERSION;
use concord_kernels::bf16;
use concord_kernels::compute::{Compute, ComputeError};
use concord_model::checkpoint::Checkpoint;
use concord_model::config::{ColbertConfig, ConfigError, ConfigLayer};
use concord_model::document::{AnyEncoder, DocEncoder};
use concord_model::encoder::BuildError;
use concord_model::numerics::{Arithmetic, Ties};
use concord_model::precision::Precision;
use concord_model::stages::{Cuts, Encode, Gather, Passages, Tokenize, count_of};
use concord_model::tokenizer::TokenizerError;
use concord_pipeline::artifact::PLAN;
use concord_pipeline::{
    EvaluateError, Evaluator, Graph, Grid, ModulePattern, Observer, Progress, Source, Stage,
    StageDeclaration, Store,
};
use concord_tensor::BitHash;
use serde_json::{Value as Json, json};

use crate::buildable::ALL;
use crate::options::NativeOptions;
use crate::origin::Origin;
use crate::recorded::PARTITIONS;
use crate::settings::IndexSettings;
use crate::swap::{Sizes, Swap, SwapError};

/// Passages in a batch, where nobody says otherwise.
const DEFAULT_BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Why the native engine cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    #[error("the collection has no passages")]
    Empty,
    /// A setting does not go with the checkpoint.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The number of bits does not go with the width of an embedding.
    #[error(
        "embeddings of {dim} dimensions cannot be packed with nbits = {nbits}: nbits is 1, 2, 4 or 8, and \
         8 times it divides the dimensions"
    )]
    Bits { dim: usize, nbits: usize },
    #[error("the checkpoint sets pool_factor = {0}, and pooling is not supported: set it to 1")]
    Pooling(usize),
    #[error(transparent)]
    Encoder(#[from] BuildError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Swap(#[from] SwapError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// The native engine on one checkpoint and one collection.
pub struct Native {
    checkpoint: Arc<Checkpoint>,
    checkpoint_hash: BitHash,
    collection: Arc<Collection>,
    options: NativeOptions,
    seed: u32,
    partitions: Option<NonZeroUsize>,
    swaps: Vec<Swap>,
    config: ColbertConfig,
    encoder: DocEncoder,
    graph: Graph,
    grid: Grid,
    compute: Compute,
    cuts: Arc<Cuts>,
}

impl Native {
    /// Prepares the graph. What `options` have for this side alone comes before `settings`; to load the checkpoint
    /// that they name is the caller's.
    ///
    /// # Errors
    /// When the settings do not go together.
    pub fn new(
        checkpoint: Arc<Checkpoint>,
        collection: Arc<Collection>,
        options: NativeOptions,
        settings: IndexSettings,
    ) -> Result<Native, NativeError> {
        if collection.is_empty() {
            return Err(NativeError::Empty);
        }
        let IndexSettings {
            nbits,
            doc_maxlen,
            kmeans_niters,
            partitions,
            seed,
            swaps,
        } = options.own.over(settings);
        let overrides = ConfigLayer {
            nbits,
            doc_maxlen,
            kmeans_niters,
            ..ConfigLayer::default()
        };
        let mut config = checkpoint.colbert_config([&overrides])?;
        if config.pool_factor != 1 {
            return Err(NativeError::Pooling(config.pool_factor));
        }
        let compute = Compute::new(&options.compute)?;
        let (numerics, precision) = (&options.numerics, options.precision);
        let encoder = AnyEncoder::build(&checkpoint, numerics, precision, &compute)?;
        if !can_pack(encoder.dim(), config.nbits) {
            return Err(NativeError::Bits {
                dim: encoder.dim(),
                nbits: config.nbits,
            });
        }
        // A head that is cut out leaves another width than the checkpoint's, and readers go by this.
        config.dim = encoder.dim();
        let sizes = Sizes {
            passages: collection.len(),
            dim: config.dim,
            nbits: config.nbits,
        };
        swaps.iter().try_for_each(|swap| swap.check(sizes))?;
        let encoder = DocEncoder {
            encoder: Arc::new(encoder),
            tokenizer: Arc::new(checkpoint.doc_tokenizer(&config)?),
        };
        let checkpoint_hash = checkpoint.hash();
        let cuts = Arc::new(Cuts::default());
        let compress = options.numerics.at_stage("compress");
        let mut graph = Graph::new()
            .with(Tokenize {
                tokenizer: Arc::clone(&encoder.tokenizer),
                checkpoint: checkpoint_hash,
                doc_maxlen: config.doc_maxlen,
                cuts: Arc::clone(&cuts),
            })
            .with(Encode {
                encoder: encoder.clone(),
                checkpoint: checkpoint_hash,
                numerics: options.numerics.clone(),
                precision: options.precision,
                batch: options.batch.unwrap_or(DEFAULT_BATCH),
            })
            .with(Gather)
            .with(SamplePids { seed })
            .with(Sample { partitions })
            .with(Split { seed })
            .with(Cluster {
                iterations: config.kmeans_niters,
                normalize: options.numerics.at_stage("cluster").normalize,
                compute: compute.clone(),
            })
            .with(Calibrate {
                nbits: config.nbits,
                compute: compute.clone(),
            })
            .with(Compress {
                nbits: config.nbits,
                nearest: Nearest {
                    gemm: compress.gemm,
                    last_of_ties: compress.ties == Ties::Last,
                },
                compute: compute.clone(),
                last: LastCodec::default(),
            })
            .with(Invert);
        for swap in &swaps {
            graph = swap.put_into(graph);
        }
        let grid = Grid::new(collection.len());
        Ok(Native {
            checkpoint,
            checkpoint_hash,
            collection,
            options,
            seed,
            partitions,
            swaps,
            config,
            encoder,
            graph,
            grid,
            compute,
            cuts,
        })
    }

    /// The same subject with these artifacts given instead of computed, beside those that are already.
    ///
    /// # Errors
    /// When a swap does not fit.
    pub fn with_swaps(&self, swaps: Vec<Swap>) -> Result<Native, NativeError> {
        let mut all = swaps;
        for swap in &self.swaps {
            if !all.iter().any(|other| other.artifact() == swap.artifact()) {
                all.push(swap.clone());
            }
        }
        self.remade(self.options.clone(), all)
    }

    /// The same checkpoint, collection and settings under other options.
    ///
    /// # Errors
    /// When the options do not go with the checkpoint.
    pub fn under(&self, options: NativeOptions) -> Result<Native, NativeError> {
        self.remade(options, self.swaps.clone())
    }

    fn remade(&self, options: NativeOptions, swaps: Vec<Swap>) -> Result<Native, NativeError> {
        let settings = IndexSettings {
            nbits: Some(self.config.nbits),
            doc_maxlen: Some(self.config.doc_maxlen),
            kmeans_niters: Some(self.config.kmeans_niters),
            partitions: self.partitions,
            seed: self.seed,
            swaps,
        };
        let (checkpoint, collection) = (&self.checkpoint, &self.collection);
        Native::new(
            Arc::clone(checkpoint),
            Arc::clone(collection),
            options,
            settings,
        )
    }

    /// The options that it was made with.
    pub fn made_with(&self) -> &NativeOptions {
        &self.options
    }

    /// What is known of its stages without running them, those of swaps first.
    pub fn declarations(&self) -> impl Iterator<Item = &'static StageDeclaration> {
        self.graph.stages().map(Stage::declaration)
    }

    /// The subject's specification.
    pub fn specification(&self) -> String {
        self.options.to_string()
    }

    /// Whether there is something to see at each of these modules.
    ///
    /// # Errors
    /// [`BuildError::NoSuchModule`] for the first pattern that covers no module of the checkpoint.
    pub fn check_modules(&self, patterns: &[ModulePattern]) -> Result<(), BuildError> {
        let architecture = self.checkpoint.architecture();
        let covers_nothing =
            |pattern: &&ModulePattern| !architecture.paths().any(|path| pattern.covers(path));
        match patterns.iter().find(covers_nothing) {
            None => Ok(()),
            Some(pattern) => Err(BuildError::NoSuchModule {
                pattern: pattern.clone(),
                layers: architecture.layers(),
            }),
        }
    }

    /// ColBERT's configuration of this run.
    pub fn config(&self) -> &ColbertConfig {
        &self.config
    }

    /// The configuration as the index's metadata has it. It names neither checkpoint nor collection, which have
    /// other names elsewhere, so that the same index has the same bytes: the log names them, and the manifest has
    /// their hashes. To the reference, which is then told them, they are not set. With an `origin` it names where they
    /// lie, as the reference does.
    pub fn published_config(&self, origin: Option<&Origin>) -> ColbertConfig {
        let mut config = self.config.clone();
        // The reference's indexer sets it too, though nothing reads it.
        config.bsize = 64;
        // The checkpoint's own configuration may name what it was trained from.
        config.checkpoint = origin.map(|origin| origin.checkpoint.clone());
        let collection = origin.map(|origin| origin.collection.clone());
        let collection = collection.filter(|collection| !collection.is_empty());
        config.collection = collection.map_or(Json::Null, Json::from);
        config
    }

    /// How the collection is cut.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The token of a passage that its embedding number `embedding` is of, if the passage keeps `kept` tokens.
    fn kept_token(&self, pid: u32, embedding: usize, kept: usize) -> Option<String> {
        let tokenizer = &self.encoder.tokenizer;
        let ids = tokenizer.encode_one(self.collection.text(pid)?).ok()?;
        let keep = tokenizer.keep_mask(&ids);
        let of_kept = ids.iter().zip(keep).filter(|(_, keep)| *keep);
        let ids: Vec<u32> = of_kept.map(|(&id, _)| id).collect();
        match ids.len() == kept {
            true => tokenizer.word_pieces().token_of(*ids.get(embedding)?),
            false => None,
        }
    }

    /// What turns its passages into embeddings.
    pub fn encoder(&self) -> &DocEncoder {
        &self.encoder
    }

    /// Runs `work` on the engine's threads.
    pub fn on_its_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.compute.install(work)
    }

    pub fn threads(&self) -> usize {
        self.compute.threads()
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub fn heads(&self) -> usize {
        self.checkpoint.bert_config().num_attention_heads
    }

    /// In which ways the module at `module` computes.
    pub fn arithmetic_at(&self, module: &str) -> Arithmetic {
        self.options.numerics.at(module)
    }

    /// Whether the module at `module` is cut out.
    pub fn is_cut_out(&self, module: &str) -> bool {
        self.options.numerics.is_identity(module)
    }

    /// The precision of the encoder.
    pub fn precision(&self) -> Precision {
        self.options.precision
    }

    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// The hash of each input.
    pub fn inputs(&self) -> BTreeMap<String, BitHash> {
        let collection = Passages::new(&self.collection).hash();
        let mut inputs = BTreeMap::from([
            ("checkpoint".to_owned(), self.checkpoint_hash),
            ("collection".to_owned(), collection),
        ]);
        for swap in &self.swaps {
            inputs.insert(format!("swap {}", swap.artifact()), swap.hash());
        }
        inputs
    }

    /// The options that the artifacts depend on. Batch size, threads and instruction set are not among
    /// them, but where a third-party product makes them so.
    pub fn options(&self) -> BTreeMap<String, Json> {
        let config = &self.config;
        let mut options = BTreeMap::from([
            ("contract".to_owned(), json!(CONTRACT_VERSION)),
            (
                "precision".to_owned(),
                json!(self.options.precision.to_string()),
            ),
            ("nbits".to_owned(), json!(config.nbits)),
            ("doc_maxlen".to_owned(), json!(config.doc_maxlen)),
            ("kmeans_niters".to_owned(), json!(config.kmeans_niters)),
            ("seed".to_owned(), json!(self.seed)),
            (
                "numerics".to_owned(),
                json!(self.options.numerics.options()),
            ),
        ]);
        if let Some(partitions) = self.partitions {
            options.insert(PARTITIONS.to_owned(), json!(partitions));
        }
        if !self.options.numerics.is_batch_invariant() {
            let batch = self.options.batch.unwrap_or(DEFAULT_BATCH);
            options.insert("batch".to_owned(), json!(batch));
        }
        options
    }

    /// Evaluates the graph: every artifact becomes known. Then `finish` is called with the evaluator.
    ///
    /// # Errors
    /// When an artifact cannot be computed, or `finish` fails.
    pub fn evaluate<T: Send, E: Send + From<EvaluateError>>(
        &self,
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.evaluate_only(&ALL, store, observer, progress, finish)
    }

    /// Evaluates as much of the graph as these artifacts need. Then `finish` is called with the evaluator.
    ///
    /// # Errors
    /// As [`Native::evaluate`].
    pub fn evaluate_only<T: Send, E: Send + From<EvaluateError>>(
        &self,
        artifacts: &[&str],
        store: &dyn Store,
        observer: Option<&dyn Observer>,
        progress: &dyn Progress,
        finish: impl FnOnce(&Evaluator<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.compute.install(|| {
            let passages = Passages::new(&self.collection);
            let count = count_of(&self.collection);
            let sources: [&dyn Source; 2] = [&passages, &count];
            let mut evaluator =
                Evaluator::new(&self.graph, &sources, self.grid, store).reporting_to(progress);
            if let Some(observer) = observer {
                evaluator = evaluator.observed_by(observer);
            }
            for name in artifacts {
                evaluator.artifact(name)?;
            }
            finish(&evaluator)
        })
    }

    /// Notices for the user: about the checkpoint and its tokenizer, the collection, the precision, what of it was cut off, and,
    /// once it is known, the plan.
    pub fn notices(&self, evaluator: Option<&Evaluator<'_>>) -> Result<Vec<String>, EvaluateError> {
        let mut notices = self.checkpoint.notices().to_vec();
        notices.extend(self.encoder.tokenizer.notices());
        notices.extend_from_slice(self.collection.notices());
        notices.extend(self.slow_precision());
        notices.extend(self.cut_passages());
        notices.extend(evaluator.map(fewer_centroids).transpose()?.flatten());
        Ok(notices)
    }

    /// That `bf16` is no faster than `f32` here, if that is so.
    fn slow_precision(&self) -> Option<String> {
        let slow =
            self.options.precision == Precision::Bf16 && !bf16::has_instruction(&self.compute);
        slow.then(|| {
            format!(
                "products of bf16 have no instruction here ({}): they are computed by those of f32, with the same result, \
                 and take as long as those of precision=f32",
                self.compute
            )
        })
    }

    /// That passages are longer than what is encoded of them, if some are.
    fn cut_passages(&self) -> Option<String> {
        let total = self.cuts.total();
        // A build that goes on where an earlier one was has not seen what that one tokenized.
        let of = match total.passages == self.collection.len() {
            true => format!("{} passages", total.passages),
            false => format!("the {} passages that were tokenized now", total.passages),
        };
        let (cut, lost, most) = (total.cut, total.lost, self.config.doc_maxlen);
        let are = if cut == 1 { "is" } else { "are" };
        (cut > 0).then(|| {
            format!(
                "{cut} of {of} {are} longer than doc_maxlen = {most} tokens and cut there: at least {lost} tokens are \
                 not in the index"
            )
        })
    }
}

/// That there are fewer centroids than the rule has for so many embeddings, if that is so.
pub(crate) fn fewer_centroids(evaluator: &Evaluator<'_>) -> Result<Option<String>, EvaluateError> {
    let plan = Plan::from_value(&evaluator.load(PLAN, 0)?).ok();
    let fewer = plan.filter(|plan| plan.num_partitions < plan.num_partitions_by_rule);
    Ok(fewer.map(|plan| {
        format!(
            "the collection is too small for {} centroids; it gets {}",
            plan.num_partitions_by_rule, plan.num_partitions
        )
    }))
}
