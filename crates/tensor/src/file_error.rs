//! What can be wrong with a file of tensors.

use std::io;
use std::path::{Path, PathBuf};

use crate::atomic_file::{Action, AtomicFileError};
use crate::closeness::error::ClosenessError;
use crate::dtype::DType;
use crate::error::TensorError;
use crate::npy::problem::NpyProblem;
use crate::npz::problem::NpzProblem;
use crate::pt::problem::PtProblem;
use crate::safetensors::problem::SafetensorsProblem;
use crate::shards::problem::ShardsProblem;

/// A file of tensors that could not be read or written, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// The file, or the name given to a container in memory.
    pub path: PathBuf,
    /// What was wrong. The message has its text already, so it is not the error's source too.
    pub problem: FileProblem,
}

impl FileError {
    pub(crate) fn new(path: &Path, problem: impl Into<FileProblem>) -> FileError {
        FileError {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

impl From<AtomicFileError> for FileError {
    fn from(error: AtomicFileError) -> FileError {
        let problem = FileProblem::from_io(error.action, error.source);
        FileError {
            path: error.path,
            problem,
        }
    }
}

/// Why a file of tensors could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The system refused to open, read or write.
    #[error("cannot {action}: {source}{hint}", hint = hint(source))]
    Io {
        /// What was being done, as a verb phrase.
        action: &'static str,
        source: io::Error,
    },
    #[error(
        "the file is empty (0 bytes): whatever was to write it did not finish; make or fetch it again"
    )]
    Empty,
    /// Git has put a text in the place of the file, which says where it is kept.
    #[error(
        "this is a Git LFS pointer, the text that stands for a file that was not fetched; run `git lfs pull` in its \
         repository, or download the file itself"
    )]
    LfsPointer,
    /// The file is compressed as a whole.
    #[error("the file is compressed with {with}, which is not read; unpack it first: {command}")]
    Compressed {
        with: &'static str,
        /// What unpacks it.
        command: &'static str,
    },
    /// A page was saved in the place of the file.
    #[error(
        "this is an HTML page, as servers send in the place of a file; download the file itself"
    )]
    HtmlPage,
    /// The archive of NumPy holds something else than plain arrays.
    #[error(transparent)]
    Npz(#[from] NpzProblem),
    /// The index of a checkpoint in several files is not as it should be.
    #[error(transparent)]
    Shards(#[from] ShardsProblem),
    /// The file ends before something it should hold.
    #[error(
        "the file ends at byte {len}, but {what} takes bytes {start} to {end}: it is truncated or \
         damaged"
    )]
    Truncated {
        /// What should have been there.
        what: String,
        start: u64,
        end: u64,
        /// How long the file is.
        len: u64,
    },
    /// The file name has an ending that no supported format has.
    #[error(
        "cannot tell the format from the name: expected it to end in .pt, .pth, .bin, .ckpt, \
         .safetensors, .npy, .npz or .index.json"
    )]
    UnknownExtension,
    /// A tensor was expected where the file holds something else.
    #[error("expected {expected}, found {found}")]
    UnexpectedValue {
        /// What the caller asked for.
        expected: &'static str,
        found: String,
    },
    /// A tensor has a size, or holds elements, that a tensor cannot have.
    #[error("tensor {name:?}: {source}")]
    Tensor {
        /// The tensor's name in the file; empty if the format gives it none.
        name: String,
        source: TensorError,
    },
    /// A range of elements ends past the last element.
    #[error("elements {start}..{end} are not within a tensor of {len} elements")]
    ElementsOutOfRange {
        start: usize,
        /// One past the last element asked for.
        end: usize,
        len: usize,
    },
    #[error(transparent)]
    Comparison(ClosenessError),
    /// The format has no way to write this dtype.
    #[error("{format} files cannot hold {dtype} elements; cast the tensor first")]
    UnsupportedDType { format: &'static str, dtype: DType },
    /// The elements given to a writer do not make up the tensor it was told to expect.
    #[error("the tensor announced as {expected} bytes of elements was given {actual}")]
    WrongPayload {
        /// How many bytes dtype and shape make.
        expected: u64,
        actual: u64,
    },
    /// A PyTorch file is not as it should be.
    #[error(transparent)]
    Pt(#[from] PtProblem),
    /// A `.safetensors` file is not as it should be.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsProblem),
    /// An `.npy` file is not as it should be.
    #[error(transparent)]
    Npy(#[from] NpyProblem),
}

impl FileProblem {
    pub(crate) fn from_io(action: Action, source: io::Error) -> FileProblem {
        let action = action.as_str();
        FileProblem::Io { action, source }
    }
}

/// What can be done where the system says no, after the message that it did.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and try again"
        }
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files and try again",
        _ => "",
    }
}
