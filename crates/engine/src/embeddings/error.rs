//! What is wrong with embeddings that are given.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use concord_corpus::CorpusError;
use concord_tensor::{DType, FileError, TensorError};

/// The narrowest and the widest embeddings that are indexed; their width is a multiple of [`WIDTH_STEP`].
pub(super) const WIDTHS: RangeInclusive<usize> = 16..=1024;
pub(super) const WIDTH_STEP: usize = 8;

/// Why files are not the embeddings of passages or of queries.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file with the metadata of the passages cannot be read, or is not of these.
    #[error(transparent)]
    Metadata(#[from] CorpusError),
    #[error("{} holds no tensor", .0.display())]
    NoTensor(PathBuf),
    #[error("no file of embeddings was given")]
    NoFile,
    #[error("there are no embeddings in {}", .0.display())]
    Empty(PathBuf),
    /// A tensor of other dimensions.
    #[error(
        "{}{name} has the shape {shape:?}: embeddings are tensors (embeddings, width), or one tensor (passages, embeddings, \
         width)", path.display()
    )]
    Shape {
        path: PathBuf,
        /// The tensor's name in quotes, with a space before it, where it has one.
        name: String,
        shape: Vec<usize>,
    },
    #[error("{}{name} holds {dtype}: embeddings are f16, bf16, f32 or f64", path.display())]
    Type {
        path: PathBuf,
        name: String,
        dtype: DType,
    },
    #[error(
        "the embeddings of {}{name} are {found} wide, and those before them {expected}", path.display()
    )]
    Width {
        path: PathBuf,
        name: String,
        found: usize,
        expected: usize,
    },
    #[error(
        "{} holds embeddings of width {width}: an index takes multiples of {WIDTH_STEP} from {least} to {most}",
        path.display(), least = WIDTHS.start(), most = WIDTHS.end()
    )]
    UnusableWidth { path: PathBuf, width: usize },
    /// Nothing says to which passage a row belongs.
    #[error(
        "{} holds {rows} embeddings in one tensor, and nothing says how many each passage has: give --doclens",
        path.display()
    )]
    DoclensNeeded { path: PathBuf, rows: usize },
    #[error(
        "{} has a passage of its own for each {part}, so --doclens has nothing to say: leave it out", path.display()
    )]
    DoclensUnneeded { path: PathBuf, part: &'static str },
    #[error("{} holds no list of whole numbers{detail}", path.display())]
    Doclens { path: PathBuf, detail: String },
    #[error("{}: passage {passage} cannot have {value} embeddings", path.display())]
    Doclen {
        path: PathBuf,
        passage: usize,
        value: i64,
    },
    #[error(
        "{} adds up to {sum} embeddings in {passages} passages, and there are {rows} of them", path.display()
    )]
    Sum {
        path: PathBuf,
        passages: usize,
        sum: u64,
        rows: usize,
    },
    #[error("{} has {ids} ids, and there are {passages} passages", path.display())]
    IdCount {
        path: PathBuf,
        ids: usize,
        passages: usize,
    },
    #[error("{}: line {line} is empty, where the id of a passage should be", path.display())]
    EmptyId { path: PathBuf, line: usize },
    #[error("{}: the id {id:?} of line {first} comes again in line {second}", path.display())]
    RepeatedId {
        path: PathBuf,
        id: String,
        first: usize,
        second: usize,
    },
    #[error("there are {0} passages, and an index takes fewer than 2^31")]
    TooManyPassages(usize),
    /// An embedding that nothing could be compared with.
    #[error(
        "the embedding {embedding} of {what}{of} {problem}; an index of it could not be searched"
    )]
    Unusable {
        /// `passage 3` or `query 3`.
        what: String,
        /// The id in brackets, with a space before it, where there is one.
        of: String,
        embedding: usize,
        problem: Problem,
    },
    #[error("{} has changed while it was read", .0.display())]
    Changed(PathBuf),
}

/// What is wrong with an embedding.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    #[error("is not finite ({0})")]
    NotFinite(f64),
    #[error("is zero, so it has no direction")]
    Zero,
    #[error("is not finite once it is rounded to half precision ({0})")]
    TooLarge(f64),
    #[error("is zero once it is rounded to half precision")]
    TooSmall,
}
