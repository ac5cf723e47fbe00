//! Two sides, artifact by artifact.

mod artifact;
mod field;
mod judgement;
mod passages;
mod referee;
mod remarks;
mod report;
mod taps;

use concord_pipeline::artifact::{BATCHES, position};
use concord_tensor::closeness::Tolerance;

use crate::elements::ElementsError;
use crate::side::{Side, SideError, SideKind};
use passages::Passages;

pub use judgement::{Distance, Judgement, NotComparable};
pub use referee::{judge, to_be_judged};
pub use remarks::{About, Remark};
pub use report::{
    Bits, Compared, Counts, DiffReport, DiffRow, Evidence, FieldDiff, Numbers, Outcome, Presence,
    RowKind, Spot, Spots, TappedPassages, TensorForm, Unknown, Verdict,
};

/// How to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiffOptions {
    /// What counts as close; by default what `torch.allclose` says.
    pub tolerance: Tolerance,
}

/// How far the comparison of one row has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffProgress<'a> {
    /// The row.
    pub name: &'a str,
    /// Bytes of each side compared so far.
    pub done: u64,
    /// Bytes of each side in all.
    pub total: u64,
}

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One is a file and the other a folder.
    #[error(
        "a single file can only be compared with another: {file} is one, {folder} is not ({kind}); name a \
         file inside it instead"
    )]
    FileWithFolder {
        /// The file.
        file: String,
        /// The folder.
        folder: String,
        /// What the folder is.
        kind: SideKind,
    },
    /// A side cannot be read, or contradicts itself.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The elements of an artifact cannot be read.
    #[error("comparing `{name}`: {source}")]
    Elements {
        /// The artifact or tap.
        name: String,
        /// What went wrong.
        source: ElementsError,
    },
}

/// Compares two sides: one row for each artifact, tap or tensor that either has.
///
/// Rows of runs and indexes are in the order of the graph, with the taps where the encoder stands; rows
/// of files in the order of the first file, what only the second has behind what precedes it there.
/// `progress` is called after every piece, which is to say often.
///
/// A row differs if dtype, shape or bits do. Something that only one side has is a difference between
/// two sides of the same [kind](Side::kind), which should have the same, except for taps, which are
/// taken as asked; otherwise it is only shown.
///
/// # Errors
/// When a file is to be compared with a folder, or one of the sides cannot be read.
pub fn diff(
    a: &Side,
    b: &Side,
    options: &DiffOptions,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<DiffReport, DiffError> {
    for (file, folder) in [(a, b), (b, a)] {
        if file.kind() == SideKind::File && folder.kind() != SideKind::File {
            return Err(DiffError::FileWithFolder {
                file: file.name(),
                folder: folder.name(),
                kind: folder.kind(),
            });
        }
    }
    let mut passages = Passages::new(a, b);
    let mut rows = Vec::new();
    for name in names(a, b) {
        rows.push(artifact::row(
            a,
            b,
            name,
            options.tolerance,
            &mut passages,
            progress,
        )?);
    }
    if let (Some(run_a), Some(run_b)) = (a.run(), b.run()) {
        let place = rows.partition_point(|row| position(&row.name) < position(BATCHES));
        let taps = taps::rows(run_a, run_b, options.tolerance, progress)?;
        rows.splice(place..place, taps);
    }
    let sides = [compared(a), compared(b)];
    let remarks = remarks::remarks(a, b);
    Ok(DiffReport::new(sides, options.tolerance, remarks, rows))
}

fn compared(side: &Side) -> Compared {
    Compared {
        name: side.name(),
        kind: side.kind(),
        subject: side.run().map(|run| run.manifest().subject.clone()),
    }
}

/// The names of all rows but the taps.
fn names<'a>(a: &'a Side, b: &'a Side) -> Vec<&'a str> {
    let mut names = merged(a.artifacts(), b.artifacts());
    if a.kind() != SideKind::File {
        names.sort_by_key(|name| position(name));
    }
    names
}

/// The names of the first list in its order; those that only the second has follow what precedes them
/// there.
fn merged<'a>(first: Vec<&'a str>, second: Vec<&'a str>) -> Vec<&'a str> {
    let mut names = first;
    let mut place = 0;
    for name in second {
        match names.iter().position(|known| *known == name) {
            Some(known) => place = known + 1,
            None => {
                names.insert(place, name);
                place += 1;
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_second_has_follows_what_precedes_it_there() {
        let merge = |a: &[&'static str], b: &[&'static str]| merged(a.to_vec(), b.to_vec());
        assert_eq!(merge(&["a", "c"], &["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(merge(&["a", "b"], &["x", "b", "y"]), ["x", "a", "b", "y"]);
        assert_eq!(merge(&[], &["x", "y"]), ["x", "y"]);
    }
}
