//! Two sides, artifact by artifact.

mod artifact;
mod error;
mod field;
mod files;
mod judgement;
mod names;
mod passages;
mod progress;
mod referee;
mod remarks;
mod report;
mod taps;
mod values;

use concord_pipeline::artifact::{BATCHES, position};
use concord_tensor::closeness::Tolerance;

use crate::side::{Holding, Side, SideKind};
use names::names;
use passages::Passages;

pub use error::DiffError;
pub use judgement::{Distance, Judgement, NotComparable};
pub use progress::DiffProgress;
pub use referee::{judge, to_be_judged};
pub use remarks::{About, Remark};
pub(crate) use remarks::{CHECKPOINT, CHECKPOINT_FILES, swapped};
pub use report::{
    Bits, Compared, Counts, DiffReport, DiffRow, Evidence, FieldDiff, Numbers, Outcome, Presence,
    RowKind, Spot, Spots, TappedPassages, TensorForm, Unknown, Verdict,
};
pub use values::{Renamed, ValueDifference, ValuesDiff};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiffOptions {
    /// What counts as close; by default what `torch.allclose` says.
    pub tolerance: Tolerance,
}

/// Compares two sides: one row for each artifact, tap or tensor that either has.
///
/// Rows of runs and indexes are in the order of the graph, with the taps where the encoder stands; rows
/// of files in the order of the first file, what only the second has behind what precedes it there.
/// `progress` is called after every piece, which is to say often.
///
/// A row differs if dtype, shape or bits do. Something that only one side has is a difference between
/// two sides of the same [kind](Side::kind), which should have the same, except for taps, which are
/// taken as asked, and for runs of other subjects, of which some end with the encoder; otherwise it is only shown.
/// What every index keeps in its files is one between any two indexes.
///
/// Two indexes also differ if the settings do by which they are read and searched. A side with files that are not as
/// its manifest says is compared by what they hold, and is never said to be the same as another.
///
/// Two files are compared value by value, [those](ValuesDiff) included that are no tensors. Of more than 10,000
/// tensors those that are the same are counted and not listed, and of more than 20,000 none are.
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
    let sides = [compared(a), compared(b)];
    if let (Holding::File(file_a), Holding::File(file_b)) = (a.holding(), b.holding()) {
        let found = files::compare(file_a, file_b, options.tolerance, progress)?;
        let rows = (found.rows, found.unlisted);
        return Ok(DiffReport::of_files(
            sides,
            options.tolerance,
            rows,
            found.values,
        ));
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
    let rows_differ = rows.iter().any(|row| row.outcome == Outcome::Different);
    let remarks = remarks::remarks(a, b, rows_differ)?;
    let settings = remarks::index_settings(a, b, &remarks)?;
    Ok(DiffReport::new(
        sides,
        options.tolerance,
        remarks,
        rows,
        settings,
    ))
}

fn compared(side: &Side) -> Compared {
    Compared {
        name: side.name(),
        kind: side.kind(),
        subject: side.run().map(|run| run.manifest().subject.clone()),
        damage: side
            .index()
            .and_then(|index| index.damage())
            .map(ToString::to_string),
    }
}
