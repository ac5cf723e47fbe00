//! Reading an index, whoever built it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS,
    RESIDUALS,
};
use concord_tensor::{DType, FileError, Tensor, TensorError, TensorSource, pt};
use serde_json::Value as Json;

use super::finding::Finding;
use super::manifest::{IndexManifest, ManifestError};
use super::names::{
    AVG_RESIDUAL_FILE, BUCKETS_FILE, CENTROIDS_FILE, IVF_FILE, METADATA_FILE, codes_file,
    doclens_file, residuals_file,
};
use crate::codec::can_pack;

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("{path} holds no ColBERT index: it has no {METADATA_FILE}", path = .0.display())]
    NotAnIndex(PathBuf),
    #[error("the index in {path} has no {file}: it is incomplete, build it again", path = path.display())]
    Missing { path: PathBuf, file: String },
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file is not as the manifest says.
    #[error("the index in {path} is damaged: {finding}; build it again, or restore the file", path = path.display())]
    Damaged {
        path: PathBuf,
        /// The file, and what is wrong with it.
        finding: Finding,
    },
    /// A JSON file is not JSON, or not what it should be.
    #[error("{path}: {source}", path = path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// A setting that search needs is missing or not what it should be.
    #[error("{path}: `{key}` is {found}", path = path.display())]
    Setting {
        path: PathBuf,
        key: String,
        found: String,
    },
    /// A tensor has another shape or dtype than the rest of the index.
    #[error("{path}: {what}", path = path.display())]
    Shape { path: PathBuf, what: String },
}

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
    folder: PathBuf,
    metadata: Json,
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
        let path = folder.join(METADATA_FILE);
        if !path.is_file() {
            return Err(IndexError::NotAnIndex(folder.to_owned()));
        }
        let metadata: Json = read_json(&path)?;
        let mut index = IndexTensors {
            folder: folder.to_owned(),
            metadata,
            chunks: 0,
        };
        index.chunks = index.number("num_chunks")?;
        Ok(index)
    }

    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// A setting of `metadata.json`, `config.` before those of the configuration.
    pub fn setting(&self, key: &str) -> Option<&Json> {
        key.split('.')
            .try_fold(&self.metadata, |value, key| value.get(key))
    }

    fn number(&self, key: &str) -> Result<usize, IndexError> {
        let value = self.setting(key);
        value
            .and_then(Json::as_u64)
            .map(|n| n as usize)
            .ok_or_else(|| IndexError::Setting {
                path: self.folder.join(METADATA_FILE),
                key: key.to_owned(),
                found: value.map_or_else(
                    || "missing".to_owned(),
                    |v| format!("{v}, not a whole number"),
                ),
            })
    }

    /// The tensors of an artifact that the index keeps, one per chunk; `None` for others.
    ///
    /// # Errors
    /// When a file is missing or not a tensor file.
    pub fn artifact(&self, name: &str) -> Result<Option<Vec<TensorSource>>, IndexError> {
        let each = |file: fn(usize) -> String| {
            (0..self.chunks)
                .map(|chunk| self.tensor(&file(chunk), 0))
                .collect::<Result<_, _>>()
        };
        Ok(Some(match name {
            CENTROIDS => vec![self.tensor(CENTROIDS_FILE, 0)?],
            AVG_RESIDUAL => vec![self.tensor(AVG_RESIDUAL_FILE, 0)?],
            BUCKET_CUTOFFS => vec![self.tensor(BUCKETS_FILE, 0)?],
            BUCKET_WEIGHTS => vec![self.tensor(BUCKETS_FILE, 1)?],
            CODES => each(codes_file)?,
            RESIDUALS => each(residuals_file)?,
            IVF => vec![self.tensor(IVF_FILE, 0)?],
            IVF_LENGTHS => vec![self.tensor(IVF_FILE, 1)?],
            _ => return Ok(None),
        }))
    }

    /// The lengths of the passages, chunk by chunk.
    ///
    /// # Errors
    /// When a file is missing or not a list of numbers.
    pub fn doclens(&self) -> Result<Vec<Tensor>, IndexError> {
        (0..self.chunks)
            .map(|chunk| {
                let path = self.present(&doclens_file(chunk))?;
                Ok(Tensor::vector(read_json::<Vec<i64>>(&path)?))
            })
            .collect()
    }

    /// The `number`-th tensor of a file.
    fn tensor(&self, file: &str, number: usize) -> Result<TensorSource, IndexError> {
        let path = self.present(file)?;
        let tensors = pt::open(&path)?.tensors();
        let found = tensors.len();
        tensors
            .into_iter()
            .nth(number)
            .map(|(_, source)| source)
            .ok_or_else(|| IndexError::Shape {
                path,
                what: format!("it holds {found} tensors where {} are needed", number + 1),
            })
    }

    fn present(&self, file: &str) -> Result<PathBuf, IndexError> {
        let path = self.folder.join(file);
        if path.exists() {
            Ok(path)
        } else {
            Err(IndexError::Missing {
                path: self.folder.clone(),
                file: file.to_owned(),
            })
        }
    }
}

/// An index in memory, ready to be searched.
pub struct Index {
    pub(crate) dim: usize,
    pub(crate) nbits: usize,
    /// `(C, d)`, widened from f16.
    pub(crate) centroids: Vec<f32>,
    pub(crate) bucket_weights: Vec<f32>,
    /// The centroid of each embedding.
    pub(crate) codes: Vec<i32>,
    /// `(E, d·b/8)`.
    pub(crate) residuals: Vec<u8>,
    /// The first embedding of each passage, and behind the last passage the number of embeddings.
    pub(crate) offsets: Vec<usize>,
    pub(crate) ivf: Vec<i32>,
    /// The first entry of `ivf` of each centroid, and behind the last the number of entries.
    pub(crate) ivf_offsets: Vec<usize>,
    metadata: Json,
}

impl Index {
    /// Reads the index in `folder`. Where it has a manifest, every file read is checked against it.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is not what the manifest says, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Index, IndexError> {
        let tensors = IndexTensors::open(folder)?;
        let files = IndexManifest::read(folder)?
            .map(|manifest| manifest.files)
            .unwrap_or_default();
        if let Some(finding) = files.iter().find_map(|file| Finding::of(folder, file)) {
            return Err(IndexError::Damaged {
                path: folder.to_owned(),
                finding,
            });
        }
        let read = Parts {
            folder,
            tensors: &tensors,
        };
        let (dim, nbits) = (
            tensors.number("config.dim")?,
            tensors.number("config.nbits")?,
        );
        if !can_pack(dim, nbits) {
            let what = format!("embeddings of {dim} dimensions cannot have {nbits} bits each");
            return Err(IndexError::Shape {
                path: folder.join(METADATA_FILE),
                what,
            });
        }
        let centroids = read.one::<f32>(CENTROIDS, &[None, Some(dim)])?;
        let bucket_weights = read.one::<f32>(BUCKET_WEIGHTS, &[Some(1 << nbits)])?;
        let mut offsets = vec![0usize];
        for doclens in tensors.doclens()? {
            for &doclen in doclens
                .as_slice::<i64>()
                .map_err(|e| read.wrong(METADATA_FILE, &e))?
            {
                let doclen = usize::try_from(doclen).map_err(|_| {
                    read.wrong(
                        &doclens_file(0),
                        &format!("a passage has {doclen} embeddings"),
                    )
                })?;
                let end = offsets[offsets.len() - 1].checked_add(doclen);
                offsets.push(end.ok_or_else(|| {
                    read.wrong(&doclens_file(0), &"more embeddings than can be counted")
                })?);
            }
        }
        let embeddings = offsets[offsets.len() - 1];
        let codes = read.all::<i32>(CODES, embeddings, &[None])?;
        let width = dim / 8 * nbits;
        let residuals = read.all::<u8>(RESIDUALS, embeddings, &[None, Some(width)])?;
        let count = centroids.len() / dim;
        if let Some(code) = codes
            .iter()
            .find(|&&code| code < 0 || code as usize >= count)
        {
            return Err(read.wrong(&codes_file(0), &format!("code {code} of {count} centroids")));
        }
        let ivf = read.one::<i32>(IVF, &[None])?;
        let lengths = read.one::<i64>(IVF_LENGTHS, &[Some(count)])?;
        let mut ivf_offsets = vec![0usize];
        for length in lengths {
            let end = usize::try_from(length)
                .ok()
                .and_then(|n| n.checked_add(ivf_offsets[ivf_offsets.len() - 1]));
            let end = end.filter(|&end| end <= ivf.len());
            ivf_offsets.push(end.ok_or_else(|| {
                read.wrong(
                    IVF_FILE,
                    &format!("its lengths exceed its {} entries", ivf.len()),
                )
            })?);
        }
        let passages = offsets.len() - 1;
        let listed = &ivf[..ivf_offsets[count]];
        if let Some(pid) = listed
            .iter()
            .find(|&&pid| pid < 0 || pid as usize >= passages)
        {
            return Err(read.wrong(IVF_FILE, &format!("passage {pid} of {passages}")));
        }
        let metadata = tensors.metadata;
        Ok(Index {
            dim,
            nbits,
            centroids,
            bucket_weights,
            codes,
            residuals,
            offsets,
            ivf,
            ivf_offsets,
            metadata,
        })
    }

    pub fn embeddings(&self) -> usize {
        self.codes.len()
    }

    pub fn passages(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn centroids(&self) -> usize {
        self.ivf_offsets.len() - 1
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A setting of `metadata.json`, `config.` before those of the configuration.
    pub fn setting(&self, key: &str) -> Option<&Json> {
        key.split('.')
            .try_fold(&self.metadata, |value, key| value.get(key))
    }
}

/// Reads artifacts and checks their shapes.
struct Parts<'a> {
    folder: &'a Path,
    tensors: &'a IndexTensors,
}

impl Parts<'_> {
    fn wrong(&self, file: &str, what: &dyn std::fmt::Display) -> IndexError {
        IndexError::Shape {
            path: self.folder.join(file),
            what: what.to_string(),
        }
    }

    /// The values of an artifact that is one tensor.
    fn one<T: concord_tensor::Element>(
        &self,
        name: &str,
        shape: &[Option<usize>],
    ) -> Result<Vec<T>, IndexError> {
        self.read(name, shape).map(|(values, _)| values)
    }

    /// The values of an artifact in chunks, `rows` in all.
    fn all<T: concord_tensor::Element>(
        &self,
        name: &str,
        rows: usize,
        shape: &[Option<usize>],
    ) -> Result<Vec<T>, IndexError> {
        let (values, found) = self.read(name, shape)?;
        if found == rows {
            return Ok(values);
        }
        let what = format!("`{name}` has {found} rows, but the passages have {rows} embeddings");
        Err(self.wrong("", &what))
    }

    fn read<T: concord_tensor::Element>(
        &self,
        name: &str,
        shape: &[Option<usize>],
    ) -> Result<(Vec<T>, usize), IndexError> {
        let (mut values, mut rows) = (Vec::new(), 0);
        for source in self.tensors.artifact(name)?.unwrap_or_default() {
            let fits = source.shape().len() == shape.len()
                && source
                    .shape()
                    .iter()
                    .zip(shape)
                    .all(|(has, wants)| wants.is_none_or(|w| w == *has));
            let wrong = |what: String| IndexError::Shape {
                path: source.path().to_owned(),
                what,
            };
            if !fits {
                let shown: Vec<String> = shape
                    .iter()
                    .map(|d| d.map_or("any".into(), |d| d.to_string()))
                    .collect();
                let wanted = shown.join(", ");
                return Err(wrong(format!(
                    "`{name}` has shape {:?}, not ({wanted})",
                    source.shape()
                )));
            }
            let tensor = source.read()?;
            // f16 centroids and weights are widened; of integers the dtype must be right.
            let tensor = match (tensor.dtype(), T::DTYPE) {
                (DType::F16 | DType::BF16, DType::F32) => tensor.cast(DType::F32),
                _ => Ok(tensor),
            };
            let cast = tensor.and_then(|t| t.as_slice::<T>().map(<[T]>::to_vec));
            let part = cast.map_err(|error: TensorError| wrong(format!("`{name}`: {error}")))?;
            rows += source.shape().first().copied().unwrap_or(1);
            values.extend(part);
        }
        Ok((values, rows))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, IndexError> {
    let text = fs::read(path).map_err(|source| IndexError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| IndexError::Json {
        path: path.to_owned(),
        source,
    })
}
