//! What can be compared.

mod artifact;
mod error;
pub(crate) mod form;
mod index_folder;
pub(crate) mod part;
mod recorded_run;
mod tensor_file;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use concord_index::format::IndexTensors;
use concord_pipeline::RecordedRun;
use concord_pipeline::artifact::DOCLENS;
use concord_tensor::BitHash;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use error::SideError;

pub(crate) use artifact::{Artifact, Field, Recorded};
pub(crate) use form::Form;
pub(crate) use index_folder::IndexFolder;
pub(crate) use part::Part;
pub(crate) use tensor_file::{FileHolding, TensorFile};

/// One of the two things that are compared. Its elements stay on disk until they are needed.
pub struct Side {
    path: PathBuf,
    name: Option<String>,
    holding: Holding,
}

/// What a side is, opened.
pub(crate) enum Holding {
    Run(Box<RecordedRun>),
    Index(Box<IndexFolder>),
    File(TensorFile),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideKind {
    /// A recorded run of the native engine.
    NativeRun,
    /// A recorded run of another subject.
    ForeignRun,
    /// An index with a manifest, built by Concord.
    ConcordIndex,
    /// An index with a manifest that its files do not agree with.
    DamagedIndex,
    /// An index without one, built by another program.
    ForeignIndex,
    File,
}

impl fmt::Display for SideKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SideKind::NativeRun | SideKind::ForeignRun => "recorded run",
            SideKind::ConcordIndex => "index",
            SideKind::DamagedIndex => "damaged index",
            SideKind::ForeignIndex => "index without concord.json",
            SideKind::File => "tensor file",
        })
    }
}

impl Side {
    /// Opens what is at `path`: a recorded run, an index folder, or a file of tensors.
    ///
    /// # Errors
    /// When nothing is there, it is none of these, or it cannot be read.
    pub fn open(path: &Path) -> Result<Side, SideError> {
        let found = match path.metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SideError::Missing(path.to_owned()));
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(SideError::Unreadable { path, source });
            }
        };
        let holding = if !found.is_dir() {
            Holding::File(TensorFile::open(path)?)
        } else if RecordedRun::is_at(path) {
            Holding::Run(Box::new(RecordedRun::open(path)?))
        } else if IndexTensors::is_at(path) {
            Holding::Index(Box::new(IndexFolder::open(path)?))
        } else {
            return Err(SideError::UnknownFolder(path.to_owned()));
        };
        let path = path.to_owned();
        Ok(Side {
            path,
            name: None,
            holding,
        })
    }

    /// The same side under another name than its path, for one that was only recorded to be compared.
    #[must_use]
    pub fn named(mut self, name: &str) -> Side {
        self.name = Some(name.to_owned());
        self
    }

    /// What the side is called in reports: the name it was given, or its path.
    pub fn name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.path.display().to_string())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn kind(&self) -> SideKind {
        match &self.holding {
            Holding::Run(run) if run.manifest().contract.is_some() => SideKind::NativeRun,
            Holding::Run(_) => SideKind::ForeignRun,
            Holding::Index(index) if index.manifest().is_some() => SideKind::ConcordIndex,
            Holding::Index(index) if index.damage().is_some() => SideKind::DamagedIndex,
            Holding::Index(_) => SideKind::ForeignIndex,
            Holding::File(_) => SideKind::File,
        }
    }

    /// The hash of each input that it was made from, by name, where it has a manifest.
    pub fn inputs(&self) -> Option<&BTreeMap<String, BitHash>> {
        match &self.holding {
            Holding::Run(run) => Some(&run.manifest().inputs),
            Holding::Index(index) => index.manifest().map(|manifest| &manifest.inputs),
            Holding::File(_) => None,
        }
    }

    /// An option that it was made with: one of its manifest, or of the configuration in an index's
    /// `metadata.json` where it has none.
    pub fn option(&self, name: &str) -> Option<&Json> {
        match &self.holding {
            Holding::Run(run) => run.manifest().options.get(name),
            Holding::Index(index) => match index.manifest() {
                Some(manifest) => manifest.options.get(name),
                None => index.setting(&format!("config.{name}")),
            },
            Holding::File(_) => None,
        }
    }

    /// How many passages it is of, where it is of passages.
    ///
    /// # Errors
    /// When the record of their lengths cannot be read.
    pub fn passages(&self) -> Result<Option<usize>, SideError> {
        if self.kind() == SideKind::File {
            return Ok(None);
        }
        let lengths = self.artifact(DOCLENS)?;
        let lengths = lengths.as_ref().and_then(|known| known.fields.first());
        let form = lengths.and_then(|field| field.stored_form());
        Ok(form.and_then(|form| form.shape.first().copied()))
    }

    /// The recorded run, where it is one.
    pub fn run(&self) -> Option<&RecordedRun> {
        match &self.holding {
            Holding::Run(run) => Some(run),
            _ => None,
        }
    }

    /// The index, where it is one.
    pub(crate) fn index(&self) -> Option<&IndexFolder> {
        match &self.holding {
            Holding::Index(index) => Some(index),
            _ => None,
        }
    }

    pub(crate) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// The names of the artifacts that it holds, in the order of the graph; a file has none.
    pub(crate) fn artifacts(&self) -> Vec<&str> {
        match &self.holding {
            Holding::Run(run) => run.artifacts().iter().map(|a| a.name.as_str()).collect(),
            Holding::Index(index) => index.artifacts(),
            Holding::File(_) => Vec::new(),
        }
    }

    /// What it knows of an artifact; `None` where it has none of that name.
    pub(crate) fn artifact(&self, name: &str) -> Result<Option<Artifact<'_>>, SideError> {
        match &self.holding {
            Holding::Run(run) => recorded_run::artifact(&self.path, run, name),
            Holding::Index(index) => index.artifact(name),
            Holding::File(_) => Ok(None),
        }
    }
}
