//! Two sides, artifact by artifact.

mod field;
mod passages;
mod remarks;
mod report;
mod taps;

use concord_pipeline::artifact::{BATCHES, position};
use concord_tensor::closeness::Tolerance;

use crate::elements::ElementsError;
use crate::side::{Artifact, Side, SideError, SideKind};
use passages::Passages;

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
        "a single file can only be compared with another: {file} is one, and {folder} is a {kind}; name \
         a file inside it instead"
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
                file: file.path().display().to_string(),
                folder: folder.path().display().to_string(),
                kind: folder.kind(),
            });
        }
    }
    let passages = Passages::new(a, b);
    let mut rows = Vec::new();
    for name in names(a, b) {
        rows.push(artifact_row(
            a,
            b,
            name,
            options.tolerance,
            &passages,
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
        path: side.path().display().to_string(),
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

fn artifact_row(
    a: &Side,
    b: &Side,
    name: &str,
    tolerance: Tolerance,
    passages: &Passages<'_>,
    progress: &mut dyn FnMut(DiffProgress<'_>),
) -> Result<DiffRow, DiffError> {
    let kind = if a.kind() == SideKind::File {
        RowKind::Tensor
    } else {
        RowKind::Artifact
    };
    let (known_a, known_b) = (a.artifact(name)?, b.artifact(name)?);
    let presence = Presence::of(known_a.is_some(), known_b.is_some());
    let (Some(known_a), Some(known_b)) = (&known_a, &known_b) else {
        let (outcome, bits) = if a.kind() == b.kind() {
            (Outcome::Different, Bits::Different(Evidence::Form))
        } else {
            (Outcome::OneSided, Bits::Unknown(Unknown::OneSided))
        };
        let of_a = known_a.iter().flat_map(|known| &known.fields);
        let of_b = known_b.iter().flat_map(|known| &known.fields);
        let fields = of_a
            .map(|field| field::one_sided(Some(field), None, bits))
            .chain(of_b.map(|field| field::one_sided(None, Some(field), bits)))
            .collect();
        return Ok(DiffRow {
            name: name.to_owned(),
            kind,
            presence,
            outcome,
            fields,
            passages: None,
        });
    };
    let names_of = |known: &'_ Artifact<'_>| -> Vec<String> {
        known
            .fields
            .iter()
            .map(|field| field.name.clone())
            .collect()
    };
    let (names_a, names_b) = (names_of(known_a), names_of(known_b));
    let all = merged(
        names_a.iter().map(String::as_str).collect(),
        names_b.iter().map(String::as_str).collect(),
    );
    let mut fields = Vec::with_capacity(all.len());
    for field in all {
        let of =
            |known: &'_ Artifact<'_>| known.fields.iter().position(|known| known.name == field);
        let of_a = of(known_a).map(|at| &known_a.fields[at]);
        let of_b = of(known_b).map(|at| &known_b.fields[at]);
        let (Some(of_a), Some(of_b)) = (of_a, of_b) else {
            let bits = Bits::Different(Evidence::Form);
            fields.push(field::one_sided(of_a, of_b, bits));
            continue;
        };
        let rows = of_a
            .stored_form()
            .and_then(|form| form.shape.first().copied());
        let spot = passages.spot(name, field, rows.unwrap_or(1));
        let compared = field::compare(of_a, of_b, tolerance, spot, &mut |done, total| {
            progress(DiffProgress { name, done, total });
        });
        fields.push(compared.map_err(|source| DiffError::Elements {
            name: name.to_owned(),
            source,
        })?);
    }
    Ok(DiffRow {
        name: name.to_owned(),
        kind,
        presence,
        outcome: Outcome::of(&fields),
        fields,
        passages: None,
    })
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
