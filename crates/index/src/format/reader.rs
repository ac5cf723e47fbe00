//! Opening an index, whoever built it, and checking it.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytemuck::Pod;
use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, IVF, IVF_LENGTHS, RESIDUALS,
};
use concord_tensor::{DType, Element, TensorError, TensorSource};
use serde_json::Value as Json;

use super::chunks::{Chunk, Chunks};
use super::error::IndexError;
use super::files::IndexFiles;
use super::finite::not_finite_in;
use super::index::Index;
use super::mapped::{MappedFile, Values};
use super::names::{
    AVG_RESIDUAL_FILE, BUCKETS_FILE, CENTROIDS_FILE, IVF_FILE, METADATA_FILE, PASSAGES_FILE,
    codes_file, doclens_file, residuals_file,
};
use super::tensors::IndexTensors;
use crate::codec::can_pack;

/// An index whose files fit together by their shapes and sizes, of which only the small ones have been read: the
/// metadata, the buckets and the lengths of the passages. Centroids, codes, residuals and inverted lists are mapped.
///
/// Opening reads nothing that grows with the number of embeddings. What it leaves is done by
/// [`checked`](OpenedIndex::checked), which is the only way to an [`Index`]: the mapped files are hashed, several at a
/// time, and what they hold is checked to be in range. So nothing is searched of whose bytes one is not as it was
/// written. The alternative, to check a chunk when a search first touches it, would spare most queries little: the
/// candidates of one are spread over all chunks.
pub struct OpenedIndex {
    tensors: IndexTensors,
    located: Located,
    index: OnceLock<Arc<Index>>,
    checking: Mutex<()>,
}

/// What was read, and where the rest lies.
struct Located {
    dim: usize,
    nbits: usize,
    bucket_weights: Vec<f32>,
    offsets: Arc<Vec<usize>>,
    /// `(C, d)`.
    centroids: TensorSource,
    chunks: Vec<LocatedChunk>,
    /// The first passage of each chunk, and behind the last chunk the number of passages.
    passages: Vec<usize>,
    /// `(S,)` and `(C,)`.
    lists: InFile,
    lengths: TensorSource,
}

/// A tensor of a mapped file.
struct InFile {
    file: Arc<MappedFile>,
    source: TensorSource,
}

struct LocatedChunk {
    first: usize,
    codes: InFile,
    residuals: InFile,
}

impl OpenedIndex {
    /// Opens the index in `folder`.
    ///
    /// # Errors
    /// When a file is missing, has another size than the manifest says, or does not fit the others; when a small one
    /// cannot be read or is damaged.
    pub fn open(folder: &Path) -> Result<OpenedIndex, IndexError> {
        IndexFiles::read(folder, OpenedIndex::of)
    }

    /// [`OpenedIndex::open`] of an index whose files are open.
    ///
    /// # Errors
    /// As [`OpenedIndex::open`].
    pub fn of(files: IndexFiles) -> Result<OpenedIndex, IndexError> {
        let tensors = IndexTensors::of(files)?;
        let located = Parts(&tensors).located();
        let located = located.map_err(|error| tensors.files.reason(error))?;
        Ok(OpenedIndex {
            tensors,
            located,
            index: OnceLock::new(),
            checking: Mutex::new(()),
        })
    }

    pub fn files(&self) -> &IndexFiles {
        &self.tensors.files
    }

    pub fn passages(&self) -> usize {
        self.located.offsets.len() - 1
    }

    pub fn embeddings(&self) -> usize {
        self.located.offsets[self.passages()]
    }

    pub fn centroids(&self) -> usize {
        self.located.centroids.shape()[0]
    }

    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.located.dim
    }

    /// A setting of `metadata.json`, `config.` before those of the configuration.
    pub fn setting(&self, key: &str) -> Option<&Json> {
        self.tensors.setting(key)
    }

    /// How many bytes [`checked`](OpenedIndex::checked) compares with the manifest, the first time.
    pub fn unchecked_bytes(&self) -> u64 {
        match self.index.get() {
            Some(_) => 0,
            None => self.tensors.files.mapped_bytes(),
        }
    }

    /// The index, checked: by the first call, for which others wait. One that found it damaged leaves it unchecked.
    ///
    /// # Errors
    /// When a file is damaged, or holds what no index holds.
    pub fn checked(&self) -> Result<&Arc<Index>, IndexError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let _one = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = Arc::new(self.check()?);
        Ok(self.index.get_or_init(|| index))
    }

    /// The index, checked now.
    pub(super) fn check(&self) -> Result<Index, IndexError> {
        self.tensors.files.check_mapped()?;
        Parts(&self.tensors).index(&self.located)
    }
}

impl Index {
    /// Opens the index in `folder` and checks it: [`OpenedIndex`] with all that it may leave for later. Where it has a
    /// manifest, every file that belongs to the index is compared with it, and it is those bytes that are used. An index
    /// that is put in place of another by a rename is read as it was or as it is, never partly.
    ///
    /// # Errors
    /// When a file is missing, cannot be read, is not what the manifest says, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Index, IndexError> {
        IndexFiles::read(folder, |files| OpenedIndex::of(files)?.check())
    }
}

/// A dimension of a tensor, as it has to be; `None` where any size will do.
type Size = Option<usize>;

/// Reads artifacts and checks their shapes before their values.
struct Parts<'a>(&'a IndexTensors);

impl Parts<'_> {
    /// Reads what is small and checks the shapes of the rest.
    fn located(&self) -> Result<Located, IndexError> {
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
        let (_, mut centroids) = tensors.mapped(CENTROIDS_FILE, 0)?;
        let centroids = centroids.swap_remove(0);
        shaped(&centroids, CENTROIDS, &[partitions, Some(dim)])?;
        let buckets = self.file(BUCKETS_FILE, 1)?;
        finite(&buckets[0], BUCKET_CUTOFFS, &[Some((1 << nbits) - 1)])?;
        let bucket_weights = finite(&buckets[1], BUCKET_WEIGHTS, &[Some(1 << nbits)])?;
        self.average()?;
        let (offsets, passages) = self.offsets()?;
        let width = Some(dim / 8 * nbits);
        let chunks = passages.windows(2).enumerate().map(|(chunk, passages)| {
            let (first, end) = (offsets[passages[0]], offsets[passages[1]]);
            let rows = end - first;
            Ok(LocatedChunk {
                first,
                codes: self.rows(&codes_file(chunk), CODES, rows, &[None])?,
                residuals: self.rows(&residuals_file(chunk), RESIDUALS, rows, &[None, width])?,
            })
        });
        let chunks = chunks.collect::<Result<_, IndexError>>()?;
        let (file, mut lists) = tensors.mapped(IVF_FILE, 1)?;
        let lengths = lists.swap_remove(1);
        let source = lists.swap_remove(0);
        shaped(&lengths, IVF_LENGTHS, &[Some(centroids.shape()[0])])?;
        shaped(&source, IVF, &[None])?;
        // It may be large, and its bytes need not be read before they are used.
        if tensors.files().has(PASSAGES_FILE) {
            tensors.files().mapped(PASSAGES_FILE)?;
        }
        tensors.files().check_rest()?;
        Ok(Located {
            dim,
            nbits,
            bucket_weights,
            offsets: Arc::new(offsets),
            centroids,
            chunks,
            passages,
            lists: InFile { file, source },
            lengths,
        })
    }

    /// What was located, once its bytes have been checked.
    fn index(&self, located: &Located) -> Result<Index, IndexError> {
        let &Located { dim, nbits, .. } = located;
        let centroids = finite(&located.centroids, CENTROIDS, &[None, Some(dim)])?;
        let count = centroids.len() / dim;
        let mut chunks = Vec::with_capacity(located.chunks.len());
        for (number, chunk) in located.chunks.iter().enumerate() {
            let codes: Values<i32> = chunk.codes.values(CODES)?;
            let in_range = |code: i32| usize::try_from(code).is_ok_and(|code| code < count);
            // A negative one is the largest of these, and nothing is looked for where there is nothing wrong.
            let largest = codes.iter().map(|code| code.cast_unsigned()).max();
            if largest.is_some_and(|largest| !in_range(largest.cast_signed())) {
                let code = codes.iter().find(|&&code| !in_range(code));
                let what = format!("code {} of {count} centroids", code.unwrap_or(&0));
                return Err(self.wrong(&codes_file(number), what));
            }
            chunks.push(Chunk {
                first: chunk.first,
                codes,
                residuals: chunk.residuals.values(RESIDUALS)?,
            });
        }
        let (ivf, ivf_offsets) = self.lists(located)?;
        Ok(Index {
            dim,
            nbits,
            centroids,
            bucket_weights: located.bucket_weights.clone(),
            chunks: Arc::new(Chunks::new(chunks, located.passages.clone())),
            offsets: Arc::clone(&located.offsets),
            ivf,
            ivf_offsets,
            metadata: self.0.metadata.clone(),
        })
    }

    /// The first embedding of each passage, and behind the last passage the number of embeddings; the first passage of
    /// each chunk, and behind the last chunk the number of passages.
    fn offsets(&self) -> Result<(Vec<usize>, Vec<usize>), IndexError> {
        let (mut offsets, mut end) = (vec![0usize], 0usize);
        let mut passages = vec![0];
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
            passages.push(offsets.len() - 1);
        }
        Ok((offsets, passages))
    }

    /// The inverted lists and where each begins, and behind the last the number of entries.
    fn lists(&self, located: &Located) -> Result<(Values<i32>, Vec<usize>), IndexError> {
        let lengths: Vec<i64> = values(&located.lengths, IVF_LENGTHS, &[None])?;
        let ivf: Values<i32> = located.lists.values(IVF)?;
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
        let passages = located.offsets.len() - 1;
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
        finite(&files[0], AVG_RESIDUAL, &shape).map(|_| ())
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

    /// A tensor of a chunk, which has so many rows.
    fn rows(
        &self,
        file: &str,
        name: &str,
        rows: usize,
        shape: &[Size],
    ) -> Result<InFile, IndexError> {
        let (mapped, mut sources) = self.0.mapped(file, 0)?;
        let source = sources.swap_remove(0);
        shaped(&source, name, shape)?;
        let found = source.shape()[0];
        if found != rows {
            let what =
                format!("`{name}` has {found} rows, but its passages have {rows} embeddings");
            return Err(self.wrong(file, what));
        }
        Ok(InFile {
            file: mapped,
            source,
        })
    }
}

impl InFile {
    /// The values: where they lie if that can be.
    fn values<T: Element + Pod>(&self, name: &str) -> Result<Values<T>, IndexError> {
        if self.source.dtype() == T::DTYPE
            && let Some(values) = Values::in_place(&self.file, &self.source)
        {
            return Ok(values);
        }
        let shape = vec![None; self.source.shape().len()];
        values(&self.source, name, &shape).map(Values::Owned)
    }
}

fn wrong(source: &TensorSource, what: String) -> IndexError {
    IndexError::Shape {
        path: source.path().to_owned(),
        what,
    }
}

/// Refuses a tensor of another shape.
fn shaped(source: &TensorSource, name: &str, shape: &[Size]) -> Result<(), IndexError> {
    let mut sizes = source.shape().iter().zip(shape);
    let fits = source.shape().len() == shape.len()
        && sizes.all(|(has, wants)| wants.is_none_or(|wants| wants == *has));
    if fits {
        return Ok(());
    }
    let shown: Vec<String> = shape
        .iter()
        .map(|d| d.map_or("any".into(), |d| d.to_string()))
        .collect();
    let (found, wanted) = (source.shape(), shown.join(", "));
    let what = format!("`{name}` has shape {found:?}, not ({wanted})");
    Err(wrong(source, what))
}

/// The values of a tensor of floats, all of them finite.
fn finite(source: &TensorSource, name: &str, shape: &[Size]) -> Result<Vec<f32>, IndexError> {
    let values = values(source, name, shape)?;
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
    source: &TensorSource,
    name: &str,
    shape: &[Size],
) -> Result<Vec<T>, IndexError> {
    shaped(source, name, shape)?;
    let tensor = source.read()?;
    // f16 centroids and weights are widened; of integers the dtype must be right.
    let tensor = match (tensor.dtype(), T::DTYPE) {
        (DType::F16 | DType::BF16, DType::F32) => tensor.cast(DType::F32),
        _ => Ok(tensor),
    };
    let values = tensor.and_then(|tensor| tensor.as_slice::<T>().map(<[T]>::to_vec));
    values.map_err(|error: TensorError| wrong(source, format!("`{name}`: {error}")))
}
