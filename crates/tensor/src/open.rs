//! Opening any file of tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::container::Container;
use crate::file_error::{FileError, FileProblem};
use crate::npy;
use crate::npz;
use crate::pt::{self, PtDocument};
use crate::safetensors;
use crate::shards::{self, ShardsProblem};
use crate::source::TensorSource;
use crate::stored::StoredTensor;

/// All tensors in a file, by name, in the order in which the file has them.
///
/// The ending of the file's name decides the format: `.pt`, `.pth`, `.bin` and `.ckpt` are PyTorch's,
/// `.safetensors`, `.npy` and `.npz` speak for themselves, and a name in `.index.json` is that of a checkpoint
/// in several files. Names in PyTorch files are paths: a tensor of a
/// state dict has its key, the second of a tuple `"1"`, one deeper down both, joined by a dot. The
/// tensor of a file that holds nothing else has the empty name.
///
/// Tensors whose elements no [`DType`](crate::DType) describes are left out, and what is no tensor; they are
/// among the [contents](open_contents).
///
/// # Errors
/// [`FileProblem::UnknownExtension`], and those of [`pt::open`], [`safetensors::open`] and
/// [`npy::open`].
pub fn open_tensors(path: impl AsRef<Path>) -> Result<Vec<(String, TensorSource)>, FileError> {
    let path = path.as_ref();
    match ending(path) {
        "pt" | "pth" | "bin" | "ckpt" => Ok(pt::open(path)?.tensors()),
        "safetensors" => safetensors::open(path),
        "npy" => Ok(vec![(String::new(), npy::open(path)?)]),
        _ => match open_contents(path)? {
            Contents::Pickled(_) => Ok(Vec::new()),
            Contents::Named(named) => Ok(named
                .tensors
                .into_iter()
                .filter_map(|(name, stored)| Some((name.to_string(), stored.known()?)))
                .collect()),
        },
    }
}

/// What a file holds, with tensors of whatever elements.
#[derive(Debug)]
pub enum Contents {
    /// What `torch.save` wrote.
    Pickled(Box<PtDocument>),
    Named(NamedTensors),
}

/// Tensors by name.
#[derive(Clone, Debug, Default)]
pub struct NamedTensors {
    /// In the order of the file; the only tensor of an `.npy` file has the empty name.
    pub tensors: Vec<(Arc<str>, StoredTensor)>,
    /// What the file says beside, where the format has room for that; of several files, each of which says it for
    /// itself, what the first says of a thing.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Names of what is there and cannot be read: arrays of Python objects.
    pub unread: Vec<String>,
}

/// What is in a file; see [`open_tensors`] for the formats.
///
/// # Errors
/// [`FileProblem::UnknownExtension`], and those of the format's reader.
pub fn open_contents(path: impl AsRef<Path>) -> Result<Contents, FileError> {
    let path = path.as_ref();
    Ok(match ending(path) {
        "pt" | "pth" | "bin" | "ckpt" => Contents::Pickled(Box::new(PtDocument::open(path)?)),
        "safetensors" => {
            let opened = safetensors::open_stored(Container::open(path)?)?;
            Contents::Named(NamedTensors {
                tensors: opened.tensors,
                metadata: Some(opened.metadata),
                unread: Vec::new(),
            })
        }
        "npy" => {
            let array = npy::open_stored(Container::open(path)?)?;
            Contents::Named(NamedTensors {
                tensors: vec![("".into(), array)],
                ..NamedTensors::default()
            })
        }
        "npz" => {
            let opened = npz::open_container(Container::open(path)?)?;
            Contents::Named(NamedTensors {
                tensors: opened
                    .arrays
                    .into_iter()
                    .map(|(name, array)| (name.into(), array))
                    .collect(),
                unread: opened.unread,
                metadata: None,
            })
        }
        "json" if is_index(path) => Contents::Named(sharded(path)?),
        _ => return Err(FileError::new(path, FileProblem::UnknownExtension)),
    })
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(OsStr::to_str).unwrap_or_default()
}

/// Whether it is named like the index of a checkpoint in several files.
fn is_index(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| name.ends_with(shards::ENDING))
}

/// The tensors of all files that an index names, file by file.
fn sharded(path: &Path) -> Result<NamedTensors, FileError> {
    let mut all = NamedTensors::default();
    for (file, listed) in shards::read(path)? {
        let shard = path.with_file_name(&file);
        let opened = match open_contents(&shard)? {
            Contents::Named(named) => named,
            Contents::Pickled(_) => {
                let tensors = pt::open(&shard)?.tensors();
                let stored = tensors
                    .into_iter()
                    .map(|(name, source)| (name.into(), source.into()));
                NamedTensors {
                    tensors: stored.collect(),
                    ..NamedTensors::default()
                }
            }
        };
        let names: BTreeSet<&str> = opened.tensors.iter().map(|(name, _)| &**name).collect();
        let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        if let Some(&tensor) = names.symmetric_difference(&listed).next() {
            let tensor = tensor.to_owned();
            return Err(FileError::new(
                path,
                ShardsProblem::Disagree { file, tensor },
            ));
        }
        all.tensors.extend(opened.tensors);
        for (key, value) in opened.metadata.into_iter().flatten() {
            let metadata = all.metadata.get_or_insert_default();
            metadata.entry(key).or_insert(value);
        }
        all.unread.extend(opened.unread);
    }
    Ok(all)
}
