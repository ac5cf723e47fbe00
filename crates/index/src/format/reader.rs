//! Reading an index into memory, whoever built it.

use std::path::Path;
use std::sync::Arc;

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, IVF, IVF_LENGTHS, RESIDUALS,
};
use concord_tensor::{DType, Element, TensorError, TensorSource};
use serde_json::Value as Json;

use super::error::IndexError;
use super::files::IndexFiles;
use super::finite::not_finite_in;
use super::names::{
    AVG_RESIDUAL_FILE, BUCKETS_FILE, CENTROIDS_FILE, IVF_FILE, METADATA_FILE, codes_file,
    doclens_file, residuals_file,
};
use super::tensors::{IndexTensors, value_at};
use crate::codec::can_pack;

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
    /// Reads the index in `folder`. Where it has a manifest, every file that belongs to the index is checked against
    /// it, and it is the checked bytes that are used. An index that is put in place of another by a rename is read
    /// as it was or as it is, never partly.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is not what the manifest says, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Index, IndexError> {
        IndexFiles::read(folder, |files| Index::of(files).map(|(index, _)| index))
    }

    /// [`Index::open`] of an index whose files are open, and those files.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn of(files: IndexFiles) -> Result<(Index, Arc<IndexFiles>), IndexError> {
        let tensors = IndexTensors::of(files)?;
        match Parts(&tensors).index() {
            Ok(mut index) => {
                index.metadata = tensors.metadata;
                Ok((index, tensors.files))
            }
            // Of several damaged files, the one that is told should not depend on the order of reading.
            Err(IndexError::Damaged { path, finding }) => {
                let finding = tensors.files.first_finding().unwrap_or(finding);
                Err(IndexError::Damaged { path, finding })
            }
            Err(error) => Err(error),
        }
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
        value_at(&self.metadata, key)
    }
}

/// A dimension of a tensor, as it has to be; `None` where any size will do.
type Size = Option<usize>;

/// Reads artifacts and checks their shapes before their values.
struct Parts<'a>(&'a IndexTensors);

impl Parts<'_> {
    fn index(&self) -> Result<Index, IndexError> {
        let tensors = self.0;
        let (dim, nbits) = (
            tensors.number("config.dim")?,
            tensors.number("config.nbits")?,
        );
        if !can_pack(dim, nbits) {
            let what = format!("embeddings of {dim} dimensions cannot have {nbits} bits each");
            return Err(self.wrong(METADATA_FILE, what));
        }
        // Indexes of early versions of the reference do not count their centroids.
        let partitions = match tensors.setting("num_partitions") {
            Some(_) => Some(tensors.number("num_partitions")?),
            None => None,
        };
        let centroids = self.file(CENTROIDS_FILE, 0)?;
        let centroids = self.finite(&centroids[0], CENTROIDS, &[partitions, Some(dim)])?;
        let buckets = self.file(BUCKETS_FILE, 1)?;
        self.finite(&buckets[0], BUCKET_CUTOFFS, &[Some((1 << nbits) - 1)])?;
        let bucket_weights = self.finite(&buckets[1], BUCKET_WEIGHTS, &[Some(1 << nbits)])?;
        self.average()?;
        let offsets = self.offsets()?;
        let passages = offsets.len() - 1;
        let embeddings = offsets[passages];
        let count = centroids.len() / dim;
        let codes: Vec<i32> = self.chunks(codes_file, CODES, embeddings, &[None])?;
        let in_range = |&code: &i32| usize::try_from(code).is_ok_and(|code| code < count);
        if let Some(code) = codes.iter().find(|code| !in_range(code)) {
            return Err(self.wrong(&codes_file(0), format!("code {code} of {count} centroids")));
        }
        let width = Some(dim / 8 * nbits);
        let residuals = self.chunks(residuals_file, RESIDUALS, embeddings, &[None, width])?;
        let (ivf, ivf_offsets) = self.lists(count, passages)?;
        tensors.files().check_rest()?;
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
            metadata: Json::Null,
        })
    }

    /// The first embedding of each passage, and behind the last passage the number of embeddings.
    fn offsets(&self) -> Result<Vec<usize>, IndexError> {
        let (mut offsets, mut end) = (vec![0usize], 0usize);
        for (chunk, doclens) in self.0.doclens()?.iter().enumerate() {
            let wrong = |what: String| self.wrong(&doclens_file(chunk), what);
            let doclens = doclens.as_slice::<i64>();
            for &doclen in doclens.map_err(|error| wrong(error.to_string()))? {
                let length = usize::try_from(doclen)
                    .map_err(|_| wrong(format!("a passage has {doclen} embeddings")))?;
                end = end
                    .checked_add(length)
                    .ok_or_else(|| wrong("more embeddings than can be counted".to_owned()))?;
                offsets.push(end);
            }
        }
        Ok(offsets)
    }

    /// The inverted lists and where each begins, and behind the last the number of entries.
    fn lists(
        &self,
        centroids: usize,
        passages: usize,
    ) -> Result<(Vec<i32>, Vec<usize>), IndexError> {
        let files = self.file(IVF_FILE, 1)?;
        let lengths: Vec<i64> = self.values(&files[1], IVF_LENGTHS, &[Some(centroids)])?;
        let ivf: Vec<i32> = self.values(&files[0], IVF, &[None])?;
        let (mut offsets, mut end) = (vec![0usize], 0usize);
        for length in lengths {
            end = usize::try_from(length)
                .ok()
                .and_then(|length| end.checked_add(length))
                .filter(|&end| end <= ivf.len())
                .ok_or_else(|| {
                    let what = format!("its lengths exceed its {} entries", ivf.len());
                    self.wrong(IVF_FILE, what)
                })?;
            offsets.push(end);
        }
        let in_range = |&pid: &i32| usize::try_from(pid).is_ok_and(|pid| pid < passages);
        if let Some(pid) = ivf[..end].iter().find(|pid| !in_range(pid)) {
            return Err(self.wrong(IVF_FILE, format!("passage {pid} of {passages}")));
        }
        Ok((ivf, offsets))
    }

    /// Checks the average residual. Search does not need it, so an index that has none can be searched.
    fn average(&self) -> Result<(), IndexError> {
        let files = match self.file(AVG_RESIDUAL_FILE, 0) {
            Err(IndexError::Missing { .. }) => return Ok(()),
            files => files?,
        };
        let shape = vec![None; files[0].shape().len()];
        self.finite(&files[0], AVG_RESIDUAL, &shape).map(|_| ())
    }

    fn wrong(&self, file: &str, what: String) -> IndexError {
        IndexError::Shape {
            path: self.0.files().at(file),
            what,
        }
    }

    /// The tensors of a file, those of the numbers up to `last`.
    fn file(&self, name: &str, last: usize) -> Result<Vec<TensorSource>, IndexError> {
        self.0.all_of(name, last)
    }

    /// The values of an artifact in chunks, `rows` in all.
    fn chunks<T: Element>(
        &self,
        file: fn(usize) -> String,
        name: &str,
        rows: usize,
        shape: &[Size],
    ) -> Result<Vec<T>, IndexError> {
        let (mut values, mut found) = (Vec::new(), 0usize);
        for chunk in 0..self.0.chunks() {
            let sources = self.file(&file(chunk), 0)?;
            found = found.saturating_add(sources[0].shape().first().copied().unwrap_or(1));
            if found > rows {
                break;
            }
            let part = self.values::<T>(&sources[0], name, shape)?;
            if values.is_empty() {
                values = part;
            } else {
                values.extend(part);
            }
        }
        if found == rows {
            return Ok(values);
        }
        let than = if found > rows { "at least " } else { "" };
        let what =
            format!("`{name}` has {than}{found} rows, but the passages have {rows} embeddings");
        Err(self.wrong("", what))
    }

    /// The values of a tensor of floats, all of them finite.
    fn finite(
        &self,
        source: &TensorSource,
        name: &str,
        shape: &[Size],
    ) -> Result<Vec<f32>, IndexError> {
        let values = self.values(source, name, shape)?;
        match not_finite_in(&values, source.shape(), 0) {
            None => Ok(values),
            Some(found) => Err(IndexError::NotFinite {
                path: source.path().to_owned(),
                tensor: name.to_owned(),
                value: found.value,
                at: found.at,
            }),
        }
    }

    /// The values of a tensor, read once its shape is known to be right.
    fn values<T: Element>(
        &self,
        source: &TensorSource,
        name: &str,
        shape: &[Size],
    ) -> Result<Vec<T>, IndexError> {
        let wrong = |what: String| IndexError::Shape {
            path: source.path().to_owned(),
            what,
        };
        let sizes = source.shape().iter().zip(shape);
        let fits = source.shape().len() == shape.len()
            && sizes
                .clone()
                .all(|(has, wants)| wants.is_none_or(|w| w == *has));
        if !fits {
            let shown: Vec<String> = shape
                .iter()
                .map(|d| d.map_or("any".into(), |d| d.to_string()))
                .collect();
            let (found, wanted) = (source.shape(), shown.join(", "));
            return Err(wrong(format!(
                "`{name}` has shape {found:?}, not ({wanted})"
            )));
        }
        let tensor = source.read()?;
        // f16 centroids and weights are widened; of integers the dtype must be right.
        let tensor = match (tensor.dtype(), T::DTYPE) {
            (DType::F16 | DType::BF16, DType::F32) => tensor.cast(DType::F32),
            _ => Ok(tensor),
        };
        let values = tensor.and_then(|tensor| tensor.as_slice::<T>().map(<[T]>::to_vec));
        values.map_err(|error: TensorError| wrong(format!("`{name}`: {error}")))
    }
}
