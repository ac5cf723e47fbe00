//! Comparing indexes.

use std::path::Path;

use concord_engine::compare::compare;

use crate::error::Error;

/// Two indexes, artifact by artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The artifacts that an index keeps, in the order of the build.
    pub artifacts: Vec<ArtifactDiff>,
}

/// One artifact of two indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactDiff {
    /// Its name: `centroids`, `codes`, …
    pub name: &'static str,
    /// Whether both have the same values of the same dtype and shape, bit for bit.
    pub same: bool,
}

impl Diff {
    /// Whether the indexes hold the same.
    pub fn same(&self) -> bool {
        self.artifacts.iter().all(|artifact| artifact.same)
    }
}

/// Compares two indexes, Concord's or colbert-ai's, by the values in their files; what they record of themselves is
/// not asked. Zeros that follow the inverted lists, which readers skip, are no difference.
///
/// # Errors
/// [`Error::Compare`] when a file of either cannot be read.
pub fn diff(a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<Diff, Error> {
    let artifacts = compare(a.as_ref(), b.as_ref())?;
    let artifacts = artifacts
        .into_iter()
        .map(|artifact| ArtifactDiff {
            name: artifact.name,
            same: artifact.same,
        })
        .collect();
    Ok(Diff { artifacts })
}
