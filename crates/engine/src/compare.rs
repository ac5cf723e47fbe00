//! Whether two indexes hold the same, by the values in their files.

use std::path::{Path, PathBuf};

use concord_index::format::{IndexError, IndexTensors, KEPT};
use concord_pipeline::artifact::{DOCLENS, IVF, IVF_LENGTHS};
use concord_tensor::{BitHash, ByteHasher, DType, FileError, Tensor, TensorError, TensorSource};

/// The most bytes of a tensor that are in memory at a time.
const PIECE: usize = 1 << 20;

/// One artifact of two indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedArtifact {
    pub name: &'static str,
    /// Whether dtype, shape and bits are the same, however they are cut into chunks.
    pub same: bool,
}

/// Why two indexes cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the lengths of the inverted lists: {0}")]
    Lengths(#[from] TensorError),
    /// The chunks of an artifact do not make up one tensor.
    #[error("{path}: `{artifact}` is {found} here and {first} in the chunk before", path = path.display())]
    Ragged {
        path: PathBuf,
        artifact: String,
        /// Dtype and shape of a row, here and in the first chunk.
        found: String,
        first: String,
    },
}

/// Compares all that the index in `a` and the one in `b` keep, in the order of the graph. Zeros behind the
/// inverted lists, which the reference appends for its own reading, are no difference.
///
/// # Errors
/// When a file is missing or cannot be read.
pub fn compare(a: &Path, b: &Path) -> Result<Vec<ComparedArtifact>, CompareError> {
    let (a, b) = (IndexTensors::open(a)?, IndexTensors::open(b)?);
    let compared = |name: &'static str| {
        Ok(ComparedArtifact {
            name,
            same: digest(&a, name)? == digest(&b, name)?,
        })
    };
    KEPT.into_iter().map(compared).collect()
}

/// A hash over the rows of all chunks, with their dtype and the shape of a row.
fn digest(index: &IndexTensors, name: &str) -> Result<BitHash, CompareError> {
    let mut hasher = ByteHasher::new();
    if name == DOCLENS {
        for doclens in index.doclens()? {
            hasher.update(doclens.bytes());
        }
        return Ok(hasher.finish());
    }
    let mut form: Option<String> = None;
    for source in index.artifact(name)?.unwrap_or_default() {
        let own = form_of(&source);
        match &form {
            None => hasher.update(own.as_bytes()),
            Some(first) if *first == own => {}
            Some(first) => {
                return Err(CompareError::Ragged {
                    path: source.path().to_owned(),
                    artifact: name.to_owned(),
                    found: own,
                    first: first.clone(),
                });
            }
        }
        form = Some(own);
        let len = match name {
            IVF => listed(index, &source)?,
            _ => source.len(),
        };
        let step = PIECE / source.dtype().size();
        let mut start = 0;
        while start < len {
            let end = (start + step).min(len);
            hasher.update(source.read_range(start..end)?.bytes());
            start = end;
        }
    }
    Ok(hasher.finish())
}

/// Dtype and shape of a row: `f16 rows of 2 x 96`.
fn form_of(source: &TensorSource) -> String {
    let row = source.shape().get(1..).unwrap_or_default();
    let row: Vec<String> = row.iter().map(ToString::to_string).collect();
    let rows = if source.shape().is_empty() {
        "scalar"
    } else {
        "rows of"
    };
    format!("{} {rows} {}", source.dtype(), row.join(" x "))
}

/// How many entries of the inverted lists their lengths count; all, where the lengths exceed them.
fn listed(index: &IndexTensors, lists: &TensorSource) -> Result<usize, CompareError> {
    let mut sum = 0usize;
    for source in index.artifact(IVF_LENGTHS)?.unwrap_or_default() {
        let lengths: Tensor = source.read()?.cast(DType::I64)?;
        for &length in lengths.as_slice::<i64>()? {
            sum = sum.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        }
    }
    Ok(sum.min(lists.len()))
}
