//! Arguments that several commands share, and the inputs they name.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use concord_corpus::Collection;
use concord_kernels::isa::Isa;
use concord_model::checkpoint::Checkpoint;
use concord_subject::build::Origin;
use concord_subject::native::{DEFAULT_SEED, IndexSettings, Native};
use concord_subject::swap::Swap;
use concord_subject::word::{MOST_THREADS, NativeOptions, Precision};

use crate::embedded;
use crate::environment;
use crate::output::Failure;

/// How to compute: what does not change the bits.
#[derive(Args, Clone, Default)]
pub struct ComputeArguments {
    /// Passages in a batch [default: 64]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch: Option<NonZeroUsize>,
    /// Threads [default: all]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
    /// The instruction set: scalar, avx2, avx512 or neon [default: the fastest there is]
    #[arg(long, value_name = "ISA", value_parser = isa)]
    pub isa: Option<Isa>,
}

/// What the index depends on.
#[derive(Args, Clone)]
pub struct IndexArguments {
    /// Bits per residual dimension: 1, 2, 4 or 8 [default: the checkpoint's]
    #[arg(long, value_name = "N", value_parser = whole)]
    nbits: Option<usize>,
    /// The most tokens of a passage [default: the checkpoint's]
    #[arg(long, value_name = "N", value_parser = whole)]
    doc_maxlen: Option<usize>,
    /// Iterations of k-means [default: the checkpoint's]
    #[arg(long, value_name = "N", value_parser = whole)]
    kmeans_niters: Option<usize>,
    /// The precision of the encoder: f32
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,
    /// The seed of the sample and its shuffle
    #[arg(long, value_name = "N", value_parser = seed, default_value_t = DEFAULT_SEED)]
    seed: u32,
    /// Take an artifact from a tensor file, an index or a recorded run instead of computing it
    #[arg(long = "swap", value_name = "ARTIFACT=PATH")]
    swaps: Vec<String>,
}

/// A number of which there is at least one.
pub fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "a whole number from 1 on is needed".to_owned())
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>();
    threads
        .ok()
        .filter(|threads| threads.get() <= MOST_THREADS)
        .ok_or_else(|| format!("a whole number from 1 to {MOST_THREADS} is needed"))
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

/// A seed.
pub fn seed(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("a whole number from 0 to {} is needed", u32::MAX))
}

fn isa(text: &str) -> Result<Isa, String> {
    text.parse::<Isa>()
        .and_then(Isa::checked)
        .map_err(|error| error.to_string())
}

fn precision(text: &str) -> Result<Precision, String> {
    text.parse()
        .map_err(|error: concord_subject::word::WordError| error.to_string())
}

impl ComputeArguments {
    /// The instruction set asked for, by argument or environment; the fastest otherwise.
    pub fn isa(&self) -> Result<Isa, Failure> {
        Ok(self
            .isa
            .or(environment::isa()?)
            .unwrap_or_else(Isa::fastest))
    }

    /// The threads asked for; 0 stands for all.
    pub fn threads(&self) -> usize {
        self.threads.map_or(0, NonZeroUsize::get)
    }
}

/// Loads a checkpoint: the embedded one by its name, any other from where it lies.
pub fn checkpoint(spec: &str) -> Result<Checkpoint, Failure> {
    if spec == embedded::CHECKPOINT {
        return embedded::checkpoint();
    }
    Ok(Checkpoint::load(spec, &environment::hub())?)
}

/// Where the inputs lie, as the log of an index has it.
pub fn origin(checkpoint: &str, collection: &Path) -> Origin {
    let absolute = |path: &Path| {
        // A path that ends in `..` has no name of its own before it is resolved.
        let path = match path.file_name() {
            Some(_) => std::path::absolute(path),
            None => path.canonicalize(),
        }
        .unwrap_or_else(|_| path.to_owned());
        path.to_string_lossy().into_owned()
    };
    let folder = Path::new(checkpoint);
    let checkpoint = if folder.exists() && checkpoint != embedded::CHECKPOINT {
        absolute(folder)
    } else {
        checkpoint.to_owned()
    };
    Origin {
        checkpoint,
        collection: absolute(collection),
    }
}

/// A native subject on these inputs. The arguments override the options of the subject's word.
pub fn native(
    mut options: NativeOptions,
    checkpoint_spec: &str,
    collection: Arc<Collection>,
    index: &IndexArguments,
    compute: &ComputeArguments,
) -> Result<Native, Failure> {
    options.batch = compute.batch.or(options.batch);
    options.threads = compute.threads.or(options.threads);
    options.isa = compute.isa.or(options.isa).or(environment::isa()?);
    options.precision = index.precision.unwrap_or(options.precision);
    let swaps = index
        .swaps
        .iter()
        .map(|text| Swap::read(text))
        .collect::<Result<_, _>>()?;
    let settings = IndexSettings {
        nbits: index.nbits,
        doc_maxlen: index.doc_maxlen,
        kmeans_niters: index.kmeans_niters,
        seed: index.seed,
        swaps,
    };
    let checkpoint = Arc::new(checkpoint(checkpoint_spec)?);
    Ok(Native::new(checkpoint, collection, options, settings)?)
}

/// The subject of `index`: native, with options.
pub fn native_word(word: &str) -> Result<NativeOptions, Failure> {
    use concord_subject::word::Subject;
    match word.parse()? {
        Subject::Native(options) => Ok(options),
        Subject::Recorded(path) => {
            Err(format!("{} is a folder; this command runs `native`", path.display()).into())
        }
    }
}

/// What commands that run subjects run them on.
#[derive(Args, Clone)]
pub struct SubjectInputs {
    /// The checkpoint: a folder, an id of the Hugging Face hub (owner/name), or concord-mini, which is
    /// part of this program
    #[arg(long, value_name = "CHECKPOINT", default_value = embedded::CHECKPOINT)]
    pub checkpoint: String,
    /// The collection: ColBERT's TSV or BEIR's corpus.jsonl [default: the one that is part of this
    /// program]
    #[arg(long, value_name = "FILE")]
    pub collection: Option<PathBuf>,
}

impl SubjectInputs {
    /// The collection.
    pub fn collection(&self) -> Result<Arc<Collection>, Failure> {
        match &self.collection {
            Some(path) => Ok(Arc::new(Collection::open(path)?)),
            None => Ok(embedded::Data::read()?.collection),
        }
    }
}
