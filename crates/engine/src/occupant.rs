//! What is at the place where an index is to be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use concord_index::format::{INDEX_MANIFEST, IndexManifest, ManifestError, belongs_to_an_index};
use concord_index::verify::{Finding, LOG, VerifyError, check};

/// Why an index cannot be built where it should be.
#[derive(Debug, thiserror::Error)]
pub enum OccupiedError {
    #[error("{path} holds something that is no index of Concord: choose another --out", path = .0.display())]
    NoIndex(PathBuf),
    /// The output holds an index of something else.
    #[error(
        "{path} holds an index that was built otherwise ({difference}): choose another --out, or give --replace",
        path = path.display()
    )]
    OtherIndex { path: PathBuf, difference: String },
    /// The output holds this index, but not as it was written.
    #[error(
        "{path} holds this index, but it is damaged ({finding}): choose another --out, or give --replace",
        path = path.display()
    )]
    Damaged { path: PathBuf, finding: Finding },
    /// An index would be replaced that has other files beside its own.
    #[error(
        "{path} cannot be replaced: it holds {file}, which is no part of an index; move it away first",
        path = path.display()
    )]
    MoreThanAnIndex { path: PathBuf, file: String },
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The manifest that is there cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What is at the place where an index is to be.
pub(crate) enum Occupant {
    Nothing,
    /// The index that would be built, every byte as it was written.
    ThisIndex(IndexManifest),
    /// An index that has to make room.
    ToBeReplaced,
}

/// What is at `out`, where the index of `wanted` is to be.
///
/// # Errors
/// When it is something that must stay: anything but an index of Concord, and unless it may `replace` one, any but
/// this index.
pub(crate) fn occupant(
    out: &Path,
    wanted: &IndexManifest,
    replace: bool,
) -> Result<Occupant, OccupiedError> {
    let path = || out.to_owned();
    let unreadable = |source| OccupiedError::Unreadable {
        path: path(),
        source,
    };
    match fs::read_dir(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        // It may also be a parent that is a file, and then `out` is not there.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory && out.exists() => {
            return Err(OccupiedError::NoIndex(path()));
        }
        Err(error) => return Err(unreadable(error)),
        Ok(mut entries) => {
            if entries.next().transpose().map_err(unreadable)?.is_none() {
                return Ok(Occupant::Nothing);
            }
        }
    }
    let in_the_way = match check(out) {
        Err(VerifyError::NoManifest(_)) => return Err(OccupiedError::NoIndex(path())),
        Err(VerifyError::Unreadable { source, .. }) => return Err(unreadable(source)),
        Err(VerifyError::Manifest(error)) => error.into(),
        Ok(checked) => {
            let own = |finding: &Finding| !matches!(finding, Finding::Unknown { .. });
            let finding = checked.findings.into_iter().find(own);
            let difference = checked
                .manifest
                .as_ref()
                .and_then(|there| difference(there, wanted));
            match (checked.manifest, difference, finding) {
                (Some(there), None, None) => return Ok(Occupant::ThisIndex(there)),
                (_, Some(difference), _) => OccupiedError::OtherIndex {
                    path: path(),
                    difference,
                },
                (_, None, Some(finding)) => OccupiedError::Damaged {
                    path: path(),
                    finding,
                },
                (None, None, None) => return Err(OccupiedError::NoIndex(path())),
            }
        }
    };
    if !replace {
        return Err(in_the_way);
    }
    check_only_an_index(out)?;
    Ok(Occupant::ToBeReplaced)
}

/// Refuses a folder in which there is more than an index, so that nothing else goes with it when it is replaced.
///
/// # Errors
/// [`OccupiedError::MoreThanAnIndex`], and when it cannot be listed.
pub(crate) fn check_only_an_index(out: &Path) -> Result<(), OccupiedError> {
    let unreadable = |source| OccupiedError::Unreadable {
        path: out.to_owned(),
        source,
    };
    for entry in fs::read_dir(out).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let own = file == INDEX_MANIFEST || file == LOG || belongs_to_an_index(&file);
        let folder = entry.file_type().map_err(unreadable)?.is_dir();
        if !own || folder {
            return Err(OccupiedError::MoreThanAnIndex {
                path: out.to_owned(),
                file,
            });
        }
    }
    Ok(())
}

/// The first thing in which two builds differ before anything is computed.
fn difference(there: &IndexManifest, wanted: &IndexManifest) -> Option<String> {
    if there.contract != wanted.contract {
        return Some(format!("numeric contract {} there", there.contract));
    }
    if let Some((name, _)) = wanted
        .inputs
        .iter()
        .find(|(k, v)| there.inputs.get(*k) != Some(*v))
    {
        return Some(format!("another {name}"));
    }
    if let Some((name, value)) = wanted
        .options
        .iter()
        .find(|(k, v)| there.options.get(*k) != Some(*v))
    {
        let old = there
            .options
            .get(name)
            .map_or("nothing".to_owned(), ToString::to_string);
        return Some(format!("{name} is {old} there and {value} here"));
    }
    let only_there = |name: &&String| !wanted.inputs.contains_key(*name);
    if let Some(name) = there.inputs.keys().find(only_there) {
        return Some(format!("{name} there and none here"));
    }
    (there.inputs != wanted.inputs || there.options != wanted.options)
        .then(|| "other options or swaps".to_owned())
}
