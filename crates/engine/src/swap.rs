//! Swaps: artifacts that are given instead of computed.

mod fit;
mod table;

pub use fit::{Misfit, Sizes};
pub use table::swap_declaration;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_index::format::{IndexError, IndexTensors};
use concord_pipeline::artifact::{AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, DOCLENS, PASSAGES};
use concord_pipeline::{
    Call, Graph, RecordedRun, RunError, Setting, Stage, StageDeclaration, StageError, StoreError,
    Value,
};
use concord_tensor::{BitHash, FileError, Tensor, TensorError, open_tensors};

use table::{Rows, SWAPPABLE, Swappable, names};

/// Why a swap cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It is not `NAME=WHERE`.
    #[error("`{0}` is no swap: write ARTIFACT=PATH, such as centroids=other-index/centroids.pt")]
    NotASwap(String),
    /// The artifact does not exist or cannot be swapped.
    #[error("`{0}` cannot be swapped: choose one of {names}", names = names())]
    NotSwappable(String),
    /// There is no such artifact where it should come from.
    #[error("{path} holds no `{artifact}`", path = path.display())]
    NotThere {
        /// Where it was looked for.
        path: PathBuf,
        artifact: String,
    },
    /// A JSON file of numbers cannot be read.
    #[error("{path}: {problem}", path = path.display())]
    Json { path: PathBuf, problem: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tensor cannot take the artifact's place.
    #[error("`{artifact}` from {path}: {source}", path = path.display())]
    Tensor {
        artifact: String,
        /// Where the tensor is from.
        path: PathBuf,
        source: TensorError,
    },
    /// The tensor has a shape or values that the artifact cannot have here.
    #[error("the `{artifact}` given cannot be swapped in: {problem}")]
    Misfit {
        artifact: &'static str,
        /// What does not fit. The message has its text already, so it is not the error's source too.
        problem: Misfit,
    },
}

/// An artifact from elsewhere.
#[derive(Clone, Debug)]
pub struct Swap {
    place: usize,
    tensor: Arc<Tensor>,
    hash: BitHash,
}

impl Swap {
    /// Reads `ARTIFACT=PATH`; the path is a tensor file, a JSON list of numbers, an index or a run.
    ///
    /// Floating-point numbers are rounded or widened to the dtype that the artifact has in the graph,
    /// as the reference casts embeddings to f16 before it compresses them.
    ///
    /// # Errors
    /// When there is no such artifact, or no such tensor.
    pub fn read(text: &str) -> Result<Swap, SwapError> {
        let (artifact, path) = text
            .split_once('=')
            .ok_or_else(|| SwapError::NotASwap(text.to_owned()))?;
        Swap::of(artifact, Path::new(path))
    }

    /// Reads an artifact from `path`, as [`Swap::read`] does.
    ///
    /// # Errors
    /// As [`Swap::read`].
    pub fn of(artifact: &str, path: &Path) -> Result<Swap, SwapError> {
        let place = place_of(artifact)?;
        Swap::with(place, path, find(artifact, path)?)
    }

    /// Takes an artifact out of a recorded run that is open, as [`Swap::of`] does.
    ///
    /// # Errors
    /// As [`Swap::read`].
    pub fn of_run(artifact: &str, run: &RecordedRun) -> Result<Swap, SwapError> {
        Swap::with(place_of(artifact)?, run.folder(), in_run(artifact, run)?)
    }

    /// The chunks of an artifact, which are from `path`, as a swap.
    fn with(place: usize, path: &Path, chunks: Vec<Tensor>) -> Result<Swap, SwapError> {
        let artifact = SWAPPABLE[place].artifact();
        let wrong = |source| SwapError::Tensor {
            artifact: artifact.to_owned(),
            path: path.to_owned(),
            source,
        };
        let tensor = match chunks.as_slice() {
            [only] => only.clone(),
            parts => Tensor::concat_rows(parts).map_err(wrong)?,
        };
        let mut tensor = tensor.cast(SWAPPABLE[place].dtype).map_err(wrong)?;
        if artifact == AVG_RESIDUAL && tensor.shape() == [1] {
            // The reference writes a codec that it has read with one more dimension.
            tensor = tensor.reshape([]).map_err(wrong)?;
        }
        Ok(Swap {
            place,
            hash: tensor.hash(),
            tensor: Arc::new(tensor),
        })
    }

    /// The artifact that is swapped.
    pub fn artifact(&self) -> &'static str {
        SWAPPABLE[self.place].artifact()
    }

    /// The hash of what takes its place.
    pub fn hash(&self) -> BitHash {
        self.hash
    }

    /// What takes its place.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether it fits a graph of these sizes.
    ///
    /// # Errors
    /// When it has another shape than the artifact has there, or values that it cannot have.
    pub fn check(&self, sizes: Sizes) -> Result<(), SwapError> {
        let artifact = self.artifact();
        fit::check(artifact, &self.tensor, sizes)
            .map_err(|problem| SwapError::Misfit { artifact, problem })
    }

    /// The graph with this swap in it.
    pub fn put_into(&self, graph: Graph) -> Graph {
        graph.swapped(SwapStage {
            swappable: &SWAPPABLE[self.place],
            tensor: Arc::clone(&self.tensor),
            hash: self.hash,
        })
    }
}

/// The place of an artifact among those that can be swapped.
fn place_of(artifact: &str) -> Result<usize, SwapError> {
    SWAPPABLE
        .iter()
        .position(|swappable| swappable.artifact() == artifact)
        .ok_or_else(|| SwapError::NotSwappable(artifact.to_owned()))
}

/// The chunks of an artifact of a run.
fn in_run(artifact: &str, run: &RecordedRun) -> Result<Vec<Tensor>, SwapError> {
    let missing = || SwapError::NotThere {
        path: run.folder().to_owned(),
        artifact: artifact.to_owned(),
    };
    let mut artifacts = run.artifacts().iter();
    let record = artifacts.find(|record| record.name == artifact);
    let mut parts = Vec::new();
    for chunk in &record.ok_or_else(missing)?.chunks {
        for field in &chunk.fields {
            parts.push(run.tensor(field.hash)?.ok_or_else(missing)?.read()?);
        }
    }
    Ok(parts)
}

/// The chunks of an artifact at `path`.
fn find(artifact: &str, path: &Path) -> Result<Vec<Tensor>, SwapError> {
    let missing = || SwapError::NotThere {
        path: path.to_owned(),
        artifact: artifact.to_owned(),
    };
    if RecordedRun::is_at(path) {
        return in_run(artifact, &RecordedRun::open(path)?);
    }
    if IndexTensors::is_at(path) {
        let index = IndexTensors::open(path)?;
        if artifact == DOCLENS {
            return Ok(index.doclens()?);
        }
        let sources = index.artifact(artifact)?.ok_or_else(missing)?;
        return Ok(sources
            .iter()
            .map(|source| source.read())
            .collect::<Result<_, _>>()?);
    }
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let problem = |problem: String| SwapError::Json {
            path: path.to_owned(),
            problem,
        };
        let text = fs::read(path).map_err(|error| problem(error.to_string()))?;
        let numbers: Vec<i64> =
            serde_json::from_slice(&text).map_err(|error| problem(error.to_string()))?;
        return Ok(vec![Tensor::vector(numbers)]);
    }
    let mut tensors = open_tensors(path)?;
    let place = match tensors.iter().position(|(name, _)| name == artifact) {
        Some(place) => place,
        None if tensors.len() == 1 => 0,
        // `buckets.pt` is a pair without names.
        None if tensors.len() == 2 && artifact == BUCKET_CUTOFFS => 0,
        None if tensors.len() == 2 && artifact == BUCKET_WEIGHTS => 1,
        None => return Err(missing()),
    };
    Ok(vec![tensors.swap_remove(place).1.read()?])
}

/// Gives the chunks of a tensor as an artifact.
struct SwapStage {
    swappable: &'static Swappable,
    tensor: Arc<Tensor>,
    hash: BitHash,
}

impl Stage for SwapStage {
    fn declaration(&self) -> &'static StageDeclaration {
        &self.swappable.declaration
    }

    fn settings(&self) -> Vec<Setting> {
        vec![Setting::new("tensor", self.hash)]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, StageError> {
        let (range, total) = match self.swappable.rows {
            Rows::Whole => return Ok(vec![self.tensor.as_ref().clone().into()]),
            Rows::Passages => {
                let own = call.field(PASSAGES, "ends")?.len();
                (call.first_pid()..call.first_pid() + own, call.passages())
            }
            Rows::Embeddings => {
                let (mut range, mut total) = (0..0, 0);
                for (chunk, doclens) in call.chunks(DOCLENS)?.enumerate() {
                    let own = doclens?.as_slice::<i64>()?.iter().sum::<i64>() as usize;
                    if chunk == call.chunk() {
                        range = total..total + own;
                    }
                    total += own;
                }
                (range, total)
            }
        };
        if self.tensor.rows() != total {
            let (name, found) = (self.swappable.artifact(), self.tensor.rows());
            return Err(
                format!("the `{name}` given has {found} rows, and {total} are needed").into(),
            );
        }
        Ok(vec![self.tensor.slice_rows(range)?.into()])
    }
}
