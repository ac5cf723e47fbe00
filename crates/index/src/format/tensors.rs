//! Where the tensors of an index lie.

use std::path::Path;
use std::sync::Arc;

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS,
    RESIDUALS,
};
use concord_tensor::{Container, Tensor, TensorSource, pt};
use serde_json::Value as Json;

use super::error::IndexError;
use super::files::{IndexFiles, Purpose};
use super::finding::Finding;
use super::mapped::MappedFile;
use super::names::{
    AVG_RESIDUAL_FILE, BUCKETS_FILE, CENTROIDS_FILE, IVF_FILE, METADATA_FILE, PLAN_FILE,
    codes_file, doclens_file, residuals_file,
};

/// The artifacts that every index keeps as files, in the order of the graph.
pub const KEPT: [&str; 9] = [
    DOCLENS,
    CENTROIDS,
    BUCKET_CUTOFFS,
    BUCKET_WEIGHTS,
    AVG_RESIDUAL,
    CODES,
    RESIDUALS,
    IVF,
    IVF_LENGTHS,
];

/// Where the tensors of an index lie: by artifact, chunk after chunk.
pub struct IndexTensors {
    pub(super) files: Arc<IndexFiles>,
    pub(super) metadata: Json,
    chunks: usize,
}

impl IndexTensors {
    /// Whether `folder` looks like an index.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(METADATA_FILE).is_file()
    }

    /// Opens the index in `folder` without reading its tensors.
    ///
    /// # Errors
    /// When there is none, or its metadata cannot be read.
    pub fn open(folder: &Path) -> Result<IndexTensors, IndexError> {
        IndexFiles::read(folder, IndexTensors::of)
    }

    /// [`IndexTensors::open`] of an index whose files are open.
    ///
    /// # Errors
    /// When its metadata cannot be read, or says that it has no chunks.
    pub fn of(files: impl Into<Arc<IndexFiles>>) -> Result<IndexTensors, IndexError> {
        let files = files.into();
        let metadata = files.bytes(METADATA_FILE, Purpose::Settings);
        let metadata = metadata.map_err(|error| match error {
            IndexError::Missing { path, .. } => IndexError::NotAnIndex(path),
            error => error,
        })?;
        let mut index = IndexTensors {
            metadata: parsed(&files, METADATA_FILE, &metadata)?,
            files,
            chunks: 0,
        };
        index.chunks = index.number("num_chunks")?;
        if index.chunks == 0 {
            return Err(index.wrong_setting("num_chunks", "0, and an index has one at least"));
        }
        Ok(index)
    }

    pub fn files(&self) -> &IndexFiles {
        &self.files
    }

    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// A setting of `metadata.json`, `config.` before those of the configuration.
    pub fn setting(&self, key: &str) -> Option<&Json> {
        value_at(&self.metadata, key)
    }

    /// What `plan.json` says; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn plan(&self) -> Result<Option<Json>, IndexError> {
        match self.files.bytes(PLAN_FILE, Purpose::Settings) {
            Ok(text) => Ok(Some(parsed(&self.files, PLAN_FILE, &text)?)),
            Err(
                IndexError::Missing { .. }
                | IndexError::Damaged {
                    finding: Finding::Missing { .. },
                    ..
                },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A setting that is a whole number.
    pub(super) fn number(&self, key: &str) -> Result<usize, IndexError> {
        let value = self.setting(key);
        let number = value.and_then(Json::as_u64);
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| match value {
                None => self.wrong_setting(key, "missing"),
                Some(value) => self.wrong_setting(key, &format!("{value}, not a whole number")),
            })
    }

    fn wrong_setting(&self, key: &str, found: &str) -> IndexError {
        IndexError::Setting {
            path: self.files.at(METADATA_FILE),
            key: key.to_owned(),
            found: found.to_owned(),
        }
    }

    /// The tensors of an artifact that the index keeps, one per chunk; `None` for others.
    ///
    /// # Errors
    /// When a file is missing, not as the manifest says, or not a tensor file.
    pub fn artifact(&self, name: &str) -> Result<Option<Vec<TensorSource>>, IndexError> {
        let Some((file, number)) = place_of(name) else {
            return Ok(None);
        };
        let one = |file: String| one_of(&self.files, &file, self.files.on_disk(&file)?, number);
        match file {
            Place::Whole(file) => Ok(Some(vec![one(file.to_owned())?])),
            Place::Chunks(file) => {
                let chunks = (0..self.chunks).map(|chunk| one(file(chunk)));
                Ok(Some(chunks.collect::<Result<_, _>>()?))
            }
        }
    }

    /// The lengths of the passages, chunk by chunk.
    ///
    /// # Errors
    /// When a file is missing or not a list of numbers.
    pub fn doclens(&self) -> Result<Vec<Tensor>, IndexError> {
        (0..self.chunks)
            .map(|chunk| {
                let file = doclens_file(chunk);
                let text = self.files.bytes(&file, Purpose::Doclens)?;
                Ok(Tensor::vector(parsed::<Vec<i64>>(
                    &self.files,
                    &file,
                    &text,
                )?))
            })
            .collect()
    }

    /// The only tensor of a file, or the first of several.
    pub(super) fn only_of(files: &IndexFiles, file: &str) -> Result<TensorSource, IndexError> {
        one_of(files, file, files.on_disk(file)?, 0)
    }

    /// The tensors of a file that is read into memory once, in order: those of the numbers up to `last`.
    pub(super) fn all_of(&self, file: &str, last: usize) -> Result<Vec<TensorSource>, IndexError> {
        let (container, bytes) = self.files.in_memory(file)?;
        self.first_of(file, (container, bytes), last)
    }

    /// The tensors of a file that is mapped, of which no byte was checked.
    pub(super) fn mapped(
        &self,
        file: &str,
        last: usize,
    ) -> Result<(Arc<MappedFile>, Vec<TensorSource>), IndexError> {
        let (mapped, container) = self.files.mapped(file)?;
        let tensors = self.first_of(file, (container, mapped.len()), last)?;
        Ok((mapped, tensors))
    }

    fn first_of(
        &self,
        file: &str,
        (container, bytes): (Container, u64),
        last: usize,
    ) -> Result<Vec<TensorSource>, IndexError> {
        (0..=last)
            .map(|number| one_of(&self.files, file, (container.clone(), bytes), number))
            .collect()
    }
}

/// The `number`-th tensor of a file of so many bytes.
fn one_of(
    files: &IndexFiles,
    file: &str,
    (container, bytes): (Container, u64),
    number: usize,
) -> Result<TensorSource, IndexError> {
    let tensors = pt::open_container(container)?.tensors();
    let found = tensors.len();
    let source = tensors.into_iter().nth(number).map(|(_, source)| source);
    let wrong = |what| IndexError::Shape {
        path: files.at(file),
        what,
    };
    let source = source.ok_or_else(|| {
        wrong(format!(
            "it holds {found} tensors where {} are needed",
            number + 1
        ))
    })?;
    // A tensor of strides 0 has any number of elements in a few bytes; an index has no such tensors.
    let needed = (source.len() as u64).saturating_mul(source.dtype().size() as u64);
    if needed > bytes {
        return Err(wrong(format!(
            "its tensor of shape {:?} has {needed} bytes, and the file has {bytes}",
            source.shape()
        )));
    }
    Ok(source)
}

/// The file or files of an artifact.
enum Place {
    Whole(&'static str),
    Chunks(fn(usize) -> String),
}

/// In which files an artifact lies, and as which tensor of them.
fn place_of(artifact: &str) -> Option<(Place, usize)> {
    Some(match artifact {
        CENTROIDS => (Place::Whole(CENTROIDS_FILE), 0),
        AVG_RESIDUAL => (Place::Whole(AVG_RESIDUAL_FILE), 0),
        BUCKET_CUTOFFS => (Place::Whole(BUCKETS_FILE), 0),
        BUCKET_WEIGHTS => (Place::Whole(BUCKETS_FILE), 1),
        IVF => (Place::Whole(IVF_FILE), 0),
        IVF_LENGTHS => (Place::Whole(IVF_FILE), 1),
        CODES => (Place::Chunks(codes_file), 0),
        RESIDUALS => (Place::Chunks(residuals_file), 0),
        _ => return None,
    })
}

/// The value at a path of keys joined by dots.
pub(super) fn value_at<'a>(whole: &'a Json, key: &str) -> Option<&'a Json> {
    key.split('.').try_fold(whole, |value, key| value.get(key))
}

fn parsed<T: serde::de::DeserializeOwned>(
    files: &IndexFiles,
    name: &str,
    text: &[u8],
) -> Result<T, IndexError> {
    serde_json::from_slice(text).map_err(|source| IndexError::Json {
        path: files.at(name),
        source,
    })
}
