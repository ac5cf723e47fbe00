//! `.npz` files of NumPy: ZIP archives of arrays.

pub(crate) mod problem;

use std::collections::HashSet;

pub use problem::NpzProblem;

use crate::container::Container;
use crate::file_error::{FileError, FileProblem};
use crate::npy::{self, NpyProblem};
use crate::pt::problem::PtProblem;
use crate::sniff::something_else;
use crate::stored::StoredTensor;
use crate::zip_directory::{self, Entry};

/// What the names of arrays have behind them in the archive.
const ENDING: &str = ".npy";

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The arrays by name, in the order of the archive.
    pub arrays: Vec<(String, StoredTensor)>,
    /// The names of arrays of Python objects, which are pickled and not read.
    pub unread: Vec<String>,
}

/// The arrays in a container.
///
/// # Errors
/// [`FileProblem::Npz`] for what is no archive of stored arrays; those of [`npy::open`] for an array.
pub fn open_container(container: Container) -> Result<Opened, FileError> {
    let mut entries: Vec<(String, Entry)> = Vec::new();
    let listed = zip_directory::entries(&container, |name, entry| {
        entries.push((name, entry));
        Ok(())
    });
    if let Err(error) = listed {
        let no_archive = matches!(
            error.problem,
            FileProblem::Pt(PtProblem::NotAnArchive | PtProblem::LegacyFormat)
        );
        return Err(match something_else(&container)? {
            Some(found) => container.error(found),
            None if no_archive => container.error(NpzProblem::NotAnArchive),
            None => error,
        });
    }
    let mut opened = Opened::default();
    let mut names = HashSet::new();
    for (entry, described) in entries {
        let Some(name) = entry.strip_suffix(ENDING) else {
            return Err(container.error(NpzProblem::NotAnArray { entry }));
        };
        let name = name.to_owned();
        match described.check(&entry) {
            Ok(()) => {}
            Err(PtProblem::CompressedEntry { .. }) => {
                return Err(container.error(NpzProblem::Compressed { entry }));
            }
            Err(problem) => return Err(container.error(problem)),
        }
        if !names.insert(name.clone()) {
            return Err(container.error(PtProblem::DuplicateEntry { entry }));
        }
        let extent = described.extent(&container, &entry)?;
        let array = container.slice(extent.start, extent.size, &format!("entry {entry:?}"))?;
        match npy::open_stored(array) {
            Ok(array) => opened.arrays.push((name, array)),
            Err(error) if matches!(error.problem, FileProblem::Npy(NpyProblem::ObjectArray)) => {
                opened.unread.push(name);
            }
            Err(error) => {
                let problem = error.problem.to_string();
                return Err(container.error(NpzProblem::Array { entry, problem }));
            }
        }
    }
    Ok(opened)
}
