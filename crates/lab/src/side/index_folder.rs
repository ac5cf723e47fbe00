//! An index folder, whoever built it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use concord_engine::index_settings::settings;
use concord_index::format::{IndexManifest, IndexTensors, KEPT};
use concord_index::verify::{AsItIs, Finding, open_as_it_is};
use concord_pipeline::artifact::{DOCLENS, IVF, IVF_LENGTHS};
use concord_tensor::{DType, TensorSource};
use serde_json::Value as Json;

use super::artifact::{Artifact, Field, Values, recorded_fields};
use super::error::SideError;
use super::form::{Form, Joined};
use super::part::Part;

/// An index opened for comparison.
pub(crate) struct IndexFolder {
    path: PathBuf,
    tensors: IndexTensors,
    damage: Option<Finding>,
}

impl IndexFolder {
    /// Opens an index. A manifest that the files do not agree with is believed in nothing: the index is then taken
    /// for what its files hold.
    pub(super) fn open(path: &Path) -> Result<IndexFolder, SideError> {
        let AsItIs {
            tensors, damage, ..
        } = open_as_it_is::<SideError>(path)?;
        Ok(IndexFolder {
            path: path.to_owned(),
            tensors,
            damage,
        })
    }

    /// Concord's manifest, where Concord built the index and nothing is wrong with it.
    pub(crate) fn manifest(&self) -> Option<&IndexManifest> {
        self.tensors.files().manifest()
    }

    /// In what the files of the index are not as its manifest says.
    pub(crate) fn damage(&self) -> Option<&Finding> {
        self.damage.as_ref()
    }

    /// The settings by which the index is read and searched.
    pub(crate) fn settings(&self) -> Result<BTreeMap<String, String>, SideError> {
        Ok(settings(&self.tensors)?)
    }

    /// A setting of `metadata.json`.
    pub(crate) fn setting(&self, key: &str) -> Option<&Json> {
        self.tensors.setting(key)
    }

    /// Every artifact with a record, and every one with a file.
    pub(super) fn artifacts(&self) -> Vec<&str> {
        let records = self.manifest().map(|manifest| &manifest.artifacts[..]);
        let mut names: Vec<&str> = records
            .unwrap_or_default()
            .iter()
            .map(|artifact| artifact.name.as_str())
            .collect();
        for kept in KEPT {
            if !names.contains(&kept) {
                names.push(kept);
            }
        }
        names
    }

    pub(super) fn artifact(&self, name: &str) -> Result<Option<Artifact<'_>>, SideError> {
        let record = self.manifest().and_then(|m| m.artifact(name));
        let values = self.values(name)?;
        let Some(record) = record else {
            return Ok(values.map(|(form, parts)| Artifact::of_values(form, parts)));
        };
        let mut fields: Vec<Field<'_>> = recorded_fields(&self.path, record)?
            .into_iter()
            .map(|(name, recorded)| Field {
                name,
                recorded: Some(recorded),
                values: Values::Absent,
            })
            .collect();
        if let (Some((form, parts)), [only]) = (values, fields.as_mut_slice()) {
            let recorded = only.recorded_form().map(|form| &form.shape);
            if let Some(recorded) = recorded.filter(|&recorded| *recorded != form.shape) {
                return Err(SideError::NotAsRecorded {
                    path: self.path.clone(),
                    artifact: name.to_owned(),
                    recorded: recorded.clone(),
                    found: form.shape,
                });
            }
            only.values = Values::Stored { form, parts };
        }
        Ok(Some(Artifact { fields }))
    }

    /// What the files say of an artifact; `None` for one that has no file.
    fn values(&self, name: &str) -> Result<Option<(Form, Vec<Part<'_>>)>, SideError> {
        let parts: Vec<Part<'_>> = match name {
            DOCLENS => {
                let doclens = self.tensors.doclens()?;
                doclens.into_iter().map(Part::Memory).collect()
            }
            IVF => self.lists()?,
            _ => match self.tensors.artifact(name)? {
                Some(sources) => sources.into_iter().map(whole).collect(),
                None => return Ok(None),
            },
        };
        let mut joined = Joined::default();
        for (chunk, part) in parts.iter().enumerate() {
            let added = match part {
                Part::File { source, len } if name == IVF => joined.add(source.dtype(), &[*len]),
                Part::File { source, .. } => joined.add(source.dtype(), source.shape()),
                Part::Memory(tensor) => joined.add(tensor.dtype(), tensor.shape()),
                Part::Blob { form, .. } => joined.add(form.dtype, &form.shape),
            };
            added.map_err(|what| SideError::Ragged {
                path: self.path.clone(),
                artifact: name.to_owned(),
                field: String::new(),
                chunk,
                what,
            })?;
        }
        Ok(joined.form.map(|form| (form, parts)))
    }

    /// The inverted lists without what follows them.
    ///
    /// The reference appends zeros to the file so that a window as long as the longest list can be read
    /// at the beginning of every list. Whether it does is no difference between two indexes: readers go
    /// by the lengths.
    fn lists(&self) -> Result<Vec<Part<'_>>, SideError> {
        let wrong = |what: String| SideError::InvertedLists {
            path: self.path.clone(),
            what,
        };
        let one = |name| -> Result<Option<TensorSource>, SideError> {
            Ok(self.tensors.artifact(name)?.and_then(|mut all| all.pop()))
        };
        let (Some(lists), Some(lengths)) = (one(IVF)?, one(IVF_LENGTHS)?) else {
            return Ok(Vec::new());
        };
        let lengths = lengths.read()?;
        let lengths = lengths
            .cast(DType::I64)
            .and_then(|all| all.as_slice::<i64>().map(<[i64]>::to_vec))
            .map_err(|error| wrong(format!("cannot be counted: {error}")))?;
        let mut len = 0usize;
        for length in lengths {
            len = usize::try_from(length)
                .ok()
                .and_then(|length| len.checked_add(length))
                .filter(|&len| len <= lists.len())
                .ok_or_else(|| {
                    wrong(format!("exceed the {} entries that there are", lists.len()))
                })?;
        }
        Ok(vec![Part::File { source: lists, len }])
    }
}

fn whole<'a>(source: TensorSource) -> Part<'a> {
    let len = source.len();
    Part::File { source, len }
}
