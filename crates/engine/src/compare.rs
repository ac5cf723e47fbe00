//! Whether two indexes hold the same, by the values in their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use concord_index::format::{IndexError, IndexTensors, KEPT};
use concord_index::verify::{Finding, VerifyError, open_as_it_is};
use concord_pipeline::artifact::{DOCLENS, IVF, IVF_LENGTHS};
use concord_tensor::{BitHash, ByteHasher, DType, FileError, Tensor, TensorError, TensorSource};

use crate::index_settings::{SettingsError, settings};

/// The most bytes of a tensor that are in memory at a time.
const PIECE: usize = 1 << 20;

/// One artifact of two indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedArtifact {
    pub name: &'static str,
    /// Whether dtype, shape and bits are the same, however they are cut into chunks.
    pub same: bool,
}

/// Two indexes compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// All that an index keeps, in the order of the graph.
    pub artifacts: Vec<ComparedArtifact>,
    /// The settings that decide how an index is read and searched, and that are not the same.
    pub settings: Vec<ComparedSetting>,
    /// What is wrong with the files of either; an index of which a byte was altered is the same as no other.
    pub damage: [Option<Finding>; 2],
}

/// A setting that two indexes do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedSetting {
    pub name: String,
    /// As JSON; `None` where it is not set.
    pub a: Option<String>,
    pub b: Option<String>,
}

/// Why two indexes cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
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

/// Compares all that the index in `a` and the one in `b` keep, and the settings by which they are read. Zeros behind
/// the inverted lists, which the reference appends for its own reading, are no difference.
///
/// # Errors
/// When a file is missing or cannot be read, or a manifest is not as it was written.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison, CompareError> {
    let open = open_as_it_is::<CompareError>;
    let (a, b) = (open(a)?, open(b)?);
    let compared = |name: &'static str| {
        Ok::<_, CompareError>(ComparedArtifact {
            name,
            same: digest(&a.tensors, name)? == digest(&b.tensors, name)?,
        })
    };
    let artifacts = KEPT.into_iter().map(compared).collect::<Result<_, _>>()?;
    Ok(Comparison {
        artifacts,
        settings: differing(
            &settings(&a.tensors)?,
            &settings(&b.tensors)?,
            a.has_manifest == b.has_manifest,
        ),
        damage: [a.damage, b.damage],
    })
}

/// The settings that are not the same. What only one side has is a difference between sides of one `kind`, which
/// should have the same.
pub fn differing(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
    same_kind: bool,
) -> Vec<ComparedSetting> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let of = |name: &String| (a.get(name).cloned(), b.get(name).cloned());
    names
        .into_iter()
        .map(|name| (name, of(name)))
        .filter(|(_, (a, b))| a != b && (same_kind || (a.is_some() && b.is_some())))
        .map(|(name, (a, b))| ComparedSetting {
            name: name.clone(),
            a,
            b,
        })
        .collect()
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
