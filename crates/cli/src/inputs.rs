//! Arguments that several commands share, and the inputs they name.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use concord_corpus::Collection;
use concord_engine::embedded;
use concord_engine::embeddings::{EmbeddingFiles, GivenSettings};
use concord_engine::options::NativeOptions;
use concord_engine::settings::{DEFAULT_SEED, IndexSettings};
use concord_engine::swap::Swap;
use concord_kernels::compute::{ComputeOptions, MAX_THREADS};
use concord_model::checkpoint::Checkpoint;
use concord_model::precision::{Precision, UnknownPrecision};
use concord_pipeline::RecordedRun;
use concord_subject::agent::PATIENCE;
use concord_subject::specification::{SubjectSpec, TorchOptions};

use crate::embedded_collection;
use crate::environment;
use crate::output::{Failure, warn};

/// How to compute: what does not change the bits.
#[derive(Args, Clone, Debug, Default)]
pub struct ComputeArguments {
    /// Passages in a batch [default: 64]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch: Option<NonZeroUsize>,
    /// Threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// The instruction set: scalar, avx2, avx512 or neon [default: the fastest there is]
    #[arg(long, value_name = "ISA", value_parser = isa)]
    pub isa: Option<ComputeOptions>,
}

/// What the index depends on.
#[derive(Args, Clone, Debug)]
pub struct IndexArguments {
    /// Bits per residual dimension: 1, 2, 4 or 8 [default: the checkpoint's; of given embeddings 4, or what their width allows]
    #[arg(long, value_name = "N", value_parser = whole)]
    nbits: Option<usize>,
    /// The most tokens of a passage [default: the checkpoint's]
    #[arg(long, value_name = "N", value_parser = whole)]
    doc_maxlen: Option<usize>,
    /// Iterations of k-means [default: the checkpoint's; of given embeddings 4]
    #[arg(long, value_name = "N", value_parser = whole)]
    kmeans_niters: Option<usize>,
    /// The precision of the encoder: f32, f16, bf16, int8, or f64, which says how far the others are from
    /// the truth
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,
    #[arg(long, value_name = "N", value_parser = seed, help = format!("The seed of the sample and its shuffle [default: {DEFAULT_SEED}]"))]
    seed: Option<u32>,
    /// Take an artifact from a tensor file, an index or a recorded run instead of computing it
    #[arg(long = "swap", value_name = "ARTIFACT=PATH")]
    swaps: Vec<String>,
}

/// Embeddings of passages that another program computed.
#[derive(Args, Clone, Debug)]
pub struct EmbeddingArguments {
    /// Take these embeddings instead of texts: .npy, .npz, .safetensors or .pt files of f32, f16, bf16 or f64,
    /// whose passages follow each other. A file holds one tensor (embeddings, width) that --doclens cuts, or one
    /// (passages, embeddings, width), or a tensor (embeddings, width) for each passage in the order of their names,
    /// 9 before 10
    #[arg(long, value_name = "FILE", num_args = 1..)]
    embeddings: Vec<PathBuf>,
    /// How many embeddings each passage has: a vector in a file of tensors, a .json list, or a .txt file of lines
    #[arg(long, value_name = "FILE")]
    doclens: Option<PathBuf>,
    /// The passages' ids, one a line [default: their numbers, from 0]
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
}

impl EmbeddingArguments {
    /// Whether any were given. What would cut or name them is refused without them.
    pub fn any(&self) -> Result<bool, Failure> {
        let any = !self.embeddings.is_empty();
        if !any {
            refuse(self.given(), "it is for --embeddings")?;
        }
        Ok(any)
    }

    /// The options that were given, written out.
    pub fn given(&self) -> impl Iterator<Item = (String, String)> {
        let EmbeddingArguments {
            embeddings,
            doclens,
            ids,
        } = self;
        let file = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
        [
            written("embeddings", file(embeddings.first())),
            written("doclens", file(doclens.as_ref())),
            written("ids", file(ids.as_ref())),
        ]
        .into_iter()
        .flatten()
    }

    pub fn files(&self) -> EmbeddingFiles {
        EmbeddingFiles {
            embeddings: self.embeddings.clone(),
            doclens: self.doclens.clone(),
            ids: self.ids.clone(),
        }
    }
}

/// A number of which there is at least one.
pub fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "a whole number from 1 on is needed".to_owned())
}

pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>();
    threads
        .ok()
        .filter(|threads| threads.get() <= MAX_THREADS)
        .ok_or_else(|| format!("a whole number from 1 to {MAX_THREADS} is needed"))
}

/// A distance between values: not negative, not infinite.
pub fn tolerance(text: &str) -> Result<f64, String> {
    let tolerance = text.parse::<f64>();
    tolerance
        .ok()
        .filter(|tolerance| tolerance.is_finite() && *tolerance >= 0.0)
        .ok_or_else(|| "a number from 0 on is needed".to_owned())
}

/// A score, which may be negative.
pub fn score(text: &str) -> Result<f32, String> {
    let score = text.parse::<f32>();
    score
        .ok()
        .filter(|score| score.is_finite())
        .ok_or_else(|| "a number is needed".to_owned())
}

/// A number from 0 on.
pub fn whole(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "a whole number is needed".to_owned())
}

pub fn seed(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("a whole number from 0 to {} is needed", u32::MAX))
}

pub fn isa(name: &str) -> Result<ComputeOptions, String> {
    ComputeOptions::default()
        .with_isa(name)
        .map_err(|error| error.to_string())
}

/// A precision by its name.
pub fn precision(text: &str) -> Result<Precision, String> {
    text.parse()
        .map_err(|error: UnknownPrecision| error.to_string())
}

/// An option that was given, under its name, written out.
fn written(name: &str, value: Option<impl ToString>) -> Option<(String, String)> {
    Some((name.to_owned(), value?.to_string()))
}

/// Says of a run that its events and manifest may have been altered, where that cannot be told.
pub fn warn_if_unsealed(run: &Path) {
    if RecordedRun::is_at(run) && !RecordedRun::has_seal(run) {
        let run = run.display();
        warn(&[format!(
            "{run} was recorded without SHA256SUMS: its values are checked against their hashes, its events and \
             manifest cannot be"
        )]);
    }
}

/// Refuses options that were given and would have no effect, `because` of what.
pub fn refuse(
    given: impl IntoIterator<Item = (String, String)>,
    because: &str,
) -> Result<(), Failure> {
    match given.into_iter().next() {
        None => Ok(()),
        Some((name, value)) => {
            let name = name.replace('_', "-");
            Err(format!("--{name} {value} would have no effect: {because}").into())
        }
    }
}

impl IndexArguments {
    /// All options that were given, written out.
    pub fn all_given(&self) -> impl Iterator<Item = (String, String)> {
        let swaps = self.swaps.iter();
        self.given()
            .chain(swaps.map(|swap| ("swap".to_owned(), swap.clone())))
    }

    /// The options that were given, written out, but for artifacts from elsewhere.
    pub fn given(&self) -> impl Iterator<Item = (String, String)> {
        // Taken apart, so that an option that is added cannot be forgotten.
        let IndexArguments {
            nbits,
            doc_maxlen,
            kmeans_niters,
            precision,
            seed,
            swaps: _,
        } = self;
        [
            written("nbits", *nbits),
            written("doc_maxlen", *doc_maxlen),
            written("kmeans_niters", *kmeans_niters),
            written("precision", *precision),
            written("seed", *seed),
        ]
        .into_iter()
        .flatten()
    }

    /// The checkpoint's settings, but for the most tokens of a passage.
    pub fn with_doc_maxlen(tokens: usize) -> IndexArguments {
        IndexArguments {
            nbits: None,
            doc_maxlen: Some(tokens),
            kmeans_niters: None,
            precision: None,
            seed: None,
            swaps: Vec::new(),
        }
    }

    /// The settings that are asked for.
    pub fn settings(&self) -> Result<IndexSettings, Failure> {
        self.settings_or(|_| Ok(None))
    }

    /// The settings that are asked for, and where nothing is, those that `otherwise` knows by their names.
    pub fn settings_or(
        &self,
        otherwise: impl Fn(&str) -> Result<Option<usize>, Failure>,
    ) -> Result<IndexSettings, Failure> {
        let known = |asked: Option<usize>, name: &str| match asked {
            Some(asked) => Ok(Some(asked)),
            None => otherwise(name),
        };
        let swaps = self.swaps()?;
        let seed = known(self.seed.map(|seed| seed as usize), "seed")?;
        Ok(IndexSettings {
            nbits: known(self.nbits, "nbits")?,
            doc_maxlen: known(self.doc_maxlen, "doc_maxlen")?,
            kmeans_niters: known(self.kmeans_niters, "kmeans_niters")?,
            partitions: None,
            seed: seed.map_or(Ok(DEFAULT_SEED), u32::try_from)?,
            swaps,
        })
    }
}

impl IndexArguments {
    /// The artifacts that are given instead of computed, each once.
    fn swaps(&self) -> Result<Vec<Swap>, Failure> {
        // Said before any is read.
        let name = |text: &String| text.split('=').next().unwrap_or_default().to_owned();
        let mut names = BTreeSet::new();
        if let Some(twice) = self
            .swaps
            .iter()
            .map(name)
            .find(|name| !names.insert(name.clone()))
        {
            return Err(format!(
                "--swap {twice} is given more than once, and one of them can take its place: leave out the others"
            )
            .into());
        }
        let paths = self.swaps.iter().filter_map(|text| text.split_once('='));
        paths.for_each(|(_, path)| warn_if_unsealed(Path::new(path)));
        let swaps = self.swaps.iter().map(|text| Swap::read(text));
        Ok(swaps.collect::<Result<_, _>>()?)
    }
}

impl IndexArguments {
    /// The settings for embeddings that are given; what is for encoding is refused.
    pub fn of_given_embeddings(&self) -> Result<GivenSettings, Failure> {
        let encoding = [
            written("doc_maxlen", self.doc_maxlen),
            written("precision", self.precision),
            written("swap", self.swaps.first()),
        ];
        let because = "embeddings are given, so nothing is encoded or swapped";
        refuse(encoding.into_iter().flatten(), because)?;
        Ok(GivenSettings {
            nbits: self.nbits,
            kmeans_niters: self.kmeans_niters,
            partitions: None,
            seed: self.seed.unwrap_or(DEFAULT_SEED),
        })
    }
}

impl ComputeArguments {
    /// Threads and instruction set for what encodes nothing.
    pub fn options_of_given_embeddings(&self) -> Result<ComputeOptions, Failure> {
        let because = "embeddings are given, so there are no batches";
        refuse(written("batch", self.batch), because)?;
        self.options()
    }

    /// The options that were given, written out.
    pub fn given(&self) -> impl Iterator<Item = (String, String)> {
        let ComputeArguments {
            batch,
            threads,
            isa,
        } = self;
        let isa = isa.as_ref().and_then(ComputeOptions::isa);
        [
            written("batch", *batch),
            written("threads", *threads),
            written("isa", isa),
        ]
        .into_iter()
        .flatten()
    }

    /// The options of a subject's specification, overridden by the arguments.
    pub fn applied_to(
        &self,
        mut options: NativeOptions,
        index: &IndexArguments,
    ) -> Result<NativeOptions, Failure> {
        options.batch = self.batch.or(options.batch);
        options.compute = self.asked().or(options.compute).or(environment::compute()?);
        let own = options.precision;
        if let Some(asked) = index.precision {
            if own != Precision::default() && own != asked {
                return Err(format!(
                    "--precision {asked} contradicts precision={own} of the subject: leave one of them out"
                )
                .into());
            }
            options.precision = asked;
        }
        Ok(options)
    }

    /// The same for a PyTorch subject.
    pub fn applied_to_torch(
        &self,
        mut options: TorchOptions,
        index: &IndexArguments,
    ) -> Result<TorchOptions, Failure> {
        if index.precision.is_some_and(|p| p != Precision::default()) {
            return Err(
                "--precision is the native engine's: PyTorch has amp=fp16 and amp=bf16".into(),
            );
        }
        options.batch = self.batch.or(options.batch);
        options.threads = self.threads.or(options.threads);
        if let Some(isa) = self.asked().isa() {
            options.isa = Some(isa.parse()?);
        }
        Ok(options)
    }

    /// The threads and the instruction set asked for, by argument or environment.
    pub fn options(&self) -> Result<ComputeOptions, Failure> {
        Ok(self.asked().or(environment::compute()?))
    }

    fn asked(&self) -> ComputeOptions {
        self.isa.unwrap_or_default().with_threads(self.threads)
    }
}

/// The texts of several collections, under the numbers that they have then; of one, as it is.
pub fn joined(paths: &[PathBuf]) -> Result<Collection, Failure> {
    if let [path] = paths {
        return Ok(Collection::open(path)?);
    }
    let collections = paths.iter().map(Collection::open);
    let collections = collections.collect::<Result<Vec<_>, _>>()?;
    Ok(Collection::from_passages(
        collections.iter().flat_map(Collection::iter),
    ))
}

/// The checkpoint of that name.
pub fn checkpoint(name: &str) -> Result<Checkpoint, Failure> {
    Ok(concord_engine::checkpoint::load(name, &environment::hub())?)
}

/// The options of a subject that builds an index: `native`, with options.
pub fn native_options(subject: &str) -> Result<NativeOptions, Failure> {
    match subject.parse()? {
        SubjectSpec::Native(options) => match options.own.given().next() {
            None => Ok(options),
            Some((name, _)) => Err(format!(
                "{subject}: `{name}=` sets one side of a comparison apart, and an index has one side: give it by \
                 --{}",
                name.replace('_', "-")
            )
            .into()),
        },
        SubjectSpec::Torch(_) | SubjectSpec::Recorded(_) => Err(format!(
            "{subject}: an index that stays is built by `native`, with options after commas; other subjects \
             are for record, diff and matrix"
        )
        .into()),
    }
}

/// Refuses options given for all subjects that would have no effect, because every subject that is run has its own
/// of that name. Where some have none, the option is for those, and the specification counts for the others.
pub fn refuse_overruled<'a>(
    given: impl IntoIterator<Item = (String, String)>,
    subjects: impl IntoIterator<Item = &'a SubjectSpec>,
) -> Result<(), Failure> {
    let own = subjects.into_iter().filter_map(SubjectSpec::own);
    let own: Vec<BTreeMap<&str, String>> = own.map(|own| own.given().collect()).collect();
    for (name, value) in given {
        let all_have_it = own.iter().all(|own| own.contains_key(name.as_str()));
        let says_it = own.iter().any(|own| own.get(name.as_str()) == Some(&value));
        if !own.is_empty() && all_have_it && !says_it {
            let because = format!("every subject that is run has its own {name}=");
            return refuse([(name, value)], &because);
        }
    }
    Ok(())
}

/// What commands that run subjects run them on.
#[derive(Args, Clone)]
pub struct SubjectInputs {
    /// The checkpoint: a folder, an id of the Hugging Face hub (owner/name), or concord-mini, which is
    /// part of this program [default: concord-mini]
    #[arg(long, value_name = "CHECKPOINT")]
    pub checkpoint: Option<String>,
    /// The collection: ColBERT's TSV or BEIR's corpus.jsonl [default: the one that is part of this
    /// program]
    #[arg(long, value_name = "FILE")]
    pub collection: Option<PathBuf>,
    /// The first N passages of the collection only
    #[arg(long, value_name = "N", value_parser = positive)]
    pub passages: Option<NonZeroUsize>,
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..), help = format!("A PyTorch process is stopped after SECONDS without output [default: {}]", PATIENCE.as_secs()))]
    patience: Option<u64>,
}

impl SubjectInputs {
    /// That checkpoint, or the embedded one, and the embedded collection.
    pub fn of_checkpoint(checkpoint: Option<&str>) -> SubjectInputs {
        SubjectInputs {
            checkpoint: checkpoint.map(str::to_owned),
            collection: None,
            passages: None,
            patience: None,
        }
    }

    /// How long a PyTorch process may say nothing.
    pub fn patience(&self) -> Duration {
        self.patience.map_or(PATIENCE, Duration::from_secs)
    }

    /// The options that were given, written out.
    pub fn given(&self) -> impl Iterator<Item = (String, String)> {
        let SubjectInputs {
            checkpoint,
            collection,
            passages,
            patience,
        } = self;
        let collection = collection.as_ref().map(|path| path.display());
        [
            written("checkpoint", checkpoint.as_ref()),
            written("collection", collection),
            written("passages", *passages),
            written("patience", *patience),
        ]
        .into_iter()
        .flatten()
    }

    /// Refuses what is for PyTorch alone where none of the subjects is of it.
    pub fn check_patience<'a>(
        &self,
        mut subjects: impl Iterator<Item = &'a SubjectSpec>,
    ) -> Result<(), Failure> {
        if subjects.any(|subject| matches!(subject, SubjectSpec::Torch(_))) {
            return Ok(());
        }
        refuse(
            written("patience", self.patience),
            "no subject is a PyTorch one",
        )
    }

    /// The checkpoint: the embedded one, unless another is asked for.
    pub fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        checkpoint(self.checkpoint.as_deref().unwrap_or(embedded::CHECKPOINT))
    }

    /// The collection, as much of it as is asked for.
    pub fn collection(&self) -> Result<Arc<Collection>, Failure> {
        let whole = match &self.collection {
            Some(path) => Arc::new(Collection::open(path)?),
            None => embedded_collection::Data::read()?.collection,
        };
        Ok(match self.passages {
            Some(first) => Arc::new(Collection::from_passages(whole.texts(0..first.get()))),
            None => whole,
        })
    }
}
