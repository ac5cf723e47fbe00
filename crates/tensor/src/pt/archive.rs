//! The archive around a PyTorch file.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::problem::PtProblem;
use crate::container::Container;
use crate::file_error::FileError;
use crate::zip_directory::{self, Entry, Extent};

/// The entries of a PyTorch archive.
#[derive(Debug)]
pub(crate) struct Archive {
    container: Container,
    /// The folder all entries are in, with its slash.
    prefix: String,
    entries: HashMap<String, Entry>,
}

impl Archive {
    /// Reads the archive's directory.
    pub(crate) fn open(container: Container) -> Result<Archive, FileError> {
        let mut entries = HashMap::new();
        let mut first = None;
        zip_directory::entries(&container, |name, entry| {
            entry.check(&name)?;
            first.get_or_insert_with(|| name.clone());
            match entries.entry(name) {
                Slot::Vacant(slot) => {
                    slot.insert(entry);
                    Ok(())
                }
                Slot::Occupied(slot) => {
                    let entry = slot.key().clone();
                    Err(PtProblem::DuplicateEntry { entry })
                }
            }
        })?;
        // As `torch.load` does, take the folder of the first entry for that of all.
        let prefix = match first.as_deref().and_then(|name| name.split_once('/')) {
            Some((folder, _)) => format!("{folder}/"),
            None => return Err(container.error(PtProblem::NotATorchArchive)),
        };
        Ok(Archive {
            container,
            prefix,
            entries,
        })
    }

    pub(crate) fn container(&self) -> &Container {
        &self.container
    }

    /// An entry's full name: the archive's folder and the name in it.
    pub(crate) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether the archive's folder has an entry of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(&self.full_name(name))
    }

    /// Where an entry of the archive's folder lies, if there is one of that name.
    pub(crate) fn extent(&self, name: &str) -> Result<Option<Extent>, FileError> {
        let name = self.full_name(name);
        match self.entries.get(&name) {
            Some(entry) => entry.extent(&self.container, &name).map(Some),
            None => Ok(None),
        }
    }
}
