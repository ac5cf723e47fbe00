//! Comparing indexes.

use std::path::Path;

use concord_engine::compare::compare;
use concord_index::verify::Finding;

use crate::error::Error;

/// Two indexes, artifact by artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The artifacts that an index keeps, in the order of the build.
    pub artifacts: Vec<ArtifactDiff>,
    /// The settings by which an index is read and searched, where those of the two are not the same.
    pub settings: Vec<SettingDiff>,
    /// What is wrong with the files of the first index and of the second, if anything is.
    pub damage: [Option<Finding>; 2],
}

/// A setting that two indexes do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDiff {
    /// Its name: `nbits`, `query_maxlen`, …
    pub name: String,
    /// The value in the first index, as JSON; `None` where it has none.
    pub a: Option<String>,
    /// The value in the second.
    pub b: Option<String>,
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
    /// Whether the indexes hold the same and are read by the same settings. One that is damaged is the same as no
    /// other: what it was cannot be told.
    pub fn same(&self) -> bool {
        self.artifacts.iter().all(|artifact| artifact.same)
            && self.settings.is_empty()
            && self.damage.iter().all(Option::is_none)
    }
}

/// Compares two indexes, Concord's or colbert-ai's, by the values in their files and by their settings. Zeros that
/// follow the inverted lists, which readers skip, are no difference.
///
/// # Errors
/// [`Error::Compare`] when a file of either is missing or cannot be read, or a manifest is not as it was written.
pub fn diff(a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<Diff, Error> {
    let compared = compare(a.as_ref(), b.as_ref())?;
    let settings = compared.settings.into_iter().map(|setting| SettingDiff {
        name: setting.name,
        a: setting.a,
        b: setting.b,
    });
    let artifacts = compared
        .artifacts
        .into_iter()
        .map(|artifact| ArtifactDiff {
            name: artifact.name,
            same: artifact.same,
        })
        .collect();
    Ok(Diff {
        artifacts,
        settings: settings.collect(),
        damage: compared.damage,
    })
}
