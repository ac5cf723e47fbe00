//! Writing an index.

use std::path::Path;

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS,
    PLAN, RESIDUALS,
};
use concord_pipeline::publish::PublishError;
use concord_pipeline::{EvaluateError, Evaluator, Grid, StageError};
use concord_tensor::pt::{self, PtValue, TensorFileWriter};
use concord_tensor::{DType, FileError, OpenFolder, Tensor, TensorError};
use serde::Serialize;

use super::json::{ChunkMetadata, Metadata, PlanJson, write_compact, write_indented};
use super::manifest::FileRecord;
use super::names::{
    AVG_RESIDUAL_FILE, BUCKETS_FILE, CENTROIDS_FILE, IVF_FILE, METADATA_FILE, PLAN_FILE,
    chunk_metadata_file, codes_file, doclens_file, residuals_file,
};
use crate::plan::Plan;

/// Why an index could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// An artifact is not what its file needs.
    #[error("artifact {0}")]
    Artifact(StageError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A tensor file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Writes the files of an index into the empty folder `folder`, computing what is not known yet, and
/// returns their names.
///
/// `config` is ColBERT's configuration as `metadata.json` has it. With `pad_ivf`, zeros follow the
/// inverted file where the reference would put them; a reader goes by the lengths and never sees them.
///
/// # Errors
/// When an artifact cannot be computed or a file not be written.
pub fn write_index(
    folder: &Path,
    evaluator: &Evaluator<'_>,
    grid: Grid,
    config: &impl Serialize,
    pad_ivf: bool,
) -> Result<Vec<String>, WriteError> {
    let mut writer = IndexWriter {
        folder,
        evaluator,
        names: Vec::new(),
    };
    let plan = Plan::from_value(&evaluator.load(PLAN, 0)?).map_err(WriteError::Artifact)?;
    let chunks = grid.index_chunks();
    let mut num_embeddings = 0;
    for (number, parts) in chunks.iter().enumerate() {
        num_embeddings += writer.chunk(number, parts.clone(), grid, num_embeddings)?;
    }
    writer.whole(pad_ivf)?;
    let num_chunks = chunks.len();
    let plan = PlanJson {
        config,
        num_chunks,
        num_partitions: plan.num_partitions,
        num_embeddings_est: plan.num_embeddings_est,
        avg_doclen_est: plan.avg_doclen_est,
    };
    write_indented(&writer.path(PLAN_FILE), &plan)?;
    // Centroids from elsewhere need not be as many as were planned.
    let num_partitions = writer.load(CENTROIDS, 0)?.rows();
    let avg_doclen = num_embeddings as f64 / grid.passages() as f64;
    let metadata = Metadata {
        config,
        num_chunks,
        num_partitions,
        num_embeddings,
        avg_doclen,
    };
    write_indented(&writer.path(METADATA_FILE), &metadata)?;
    Ok(writer.names)
}

/// Writes the codes, residuals and lengths of passages into the empty folder `folder`, in the chunks of an index.
///
/// # Errors
/// When an artifact cannot be computed or a file not be written.
pub fn write_rows(folder: &Path, evaluator: &Evaluator<'_>, grid: Grid) -> Result<(), WriteError> {
    let names = Vec::new();
    let mut writer = IndexWriter {
        folder,
        evaluator,
        names,
    };
    let mut num_embeddings = 0;
    for (number, parts) in grid.index_chunks().into_iter().enumerate() {
        num_embeddings += writer.chunk(number, parts, grid, num_embeddings)?;
    }
    Ok(())
}

struct IndexWriter<'a> {
    folder: &'a Path,
    evaluator: &'a Evaluator<'a>,
    names: Vec<String>,
}

impl IndexWriter<'_> {
    /// The path of a file that is about to be written.
    fn path(&mut self, name: impl Into<String>) -> std::path::PathBuf {
        let name = name.into();
        let path = self.folder.join(&name);
        self.names.push(name);
        path
    }

    fn load(&self, artifact: &str, chunk: usize) -> Result<Tensor, WriteError> {
        let value = self.evaluator.load(artifact, chunk)?;
        let tensor = value.field("").cloned();
        tensor.ok_or_else(|| {
            let what = format!("`{artifact}`: a single tensor was expected, but it has fields");
            WriteError::Artifact(what.into())
        })
    }

    /// Writes chunk `number` of the index, made of `parts`, and returns how many embeddings it has.
    fn chunk(
        &mut self,
        number: usize,
        parts: std::ops::Range<usize>,
        grid: Grid,
        embedding_offset: usize,
    ) -> Result<usize, WriteError> {
        let mut doclens = Vec::new();
        for part in parts.clone() {
            doclens.extend_from_slice(self.load(DOCLENS, part)?.as_slice::<i64>()?);
        }
        let num_embeddings = doclens.iter().sum::<i64>() as usize;
        self.rows(codes_file(number), CODES, parts.clone(), num_embeddings)?;
        self.rows(
            residuals_file(number),
            RESIDUALS,
            parts.clone(),
            num_embeddings,
        )?;
        write_compact(&self.path(doclens_file(number)), &doclens)?;
        let metadata = ChunkMetadata {
            passage_offset: grid.chunk(parts.start).start,
            num_passages: doclens.len(),
            num_embeddings,
            embedding_offset,
        };
        write_indented(&self.path(chunk_metadata_file(number)), &metadata)?;
        Ok(num_embeddings)
    }

    /// Writes the rows of several chunks of an artifact as one tensor, a chunk at a time.
    fn rows(
        &mut self,
        name: String,
        artifact: &str,
        parts: std::ops::Range<usize>,
        rows: usize,
    ) -> Result<(), WriteError> {
        let path = self.path(name);
        let mut file = None;
        for part in parts {
            let tensor = self.load(artifact, part)?;
            let file = match &mut file {
                Some(file) => file,
                None => {
                    let mut shape = tensor.shape().to_vec();
                    shape[0] = rows;
                    file.insert(TensorFileWriter::create(&path, tensor.dtype(), &shape)?)
                }
            };
            file.append(&tensor)?;
        }
        file.map_or(Ok(()), TensorFileWriter::finish)?;
        Ok(())
    }

    fn whole(&mut self, pad_ivf: bool) -> Result<(), WriteError> {
        let centroids = self.load(CENTROIDS, 0)?.cast(DType::F16)?;
        pt::write(self.path(CENTROIDS_FILE), &PtValue::Tensor(centroids))?;
        let average = self.load(AVG_RESIDUAL, 0)?;
        pt::write(self.path(AVG_RESIDUAL_FILE), &PtValue::Tensor(average))?;
        let buckets = [BUCKET_CUTOFFS, BUCKET_WEIGHTS];
        let buckets = [self.load(buckets[0], 0)?, self.load(buckets[1], 0)?];
        pt::write(self.path(BUCKETS_FILE), &tuple(buckets))?;
        let (mut ivf, lengths) = (self.load(IVF, 0)?, self.load(IVF_LENGTHS, 0)?);
        if pad_ivf {
            ivf = padded(&ivf, lengths.as_slice()?)?;
        }
        pt::write(self.path(IVF_FILE), &tuple([ivf, lengths]))?;
        Ok(())
    }
}

pub(super) fn tuple(tensors: [Tensor; 2]) -> PtValue<Tensor> {
    PtValue::Tuple(tensors.into_iter().map(PtValue::Tensor).collect())
}

/// The inverted file with the zeros that let the reference read a window of the longest list's length
/// at the beginning of every list.
pub(super) fn padded(ivf: &Tensor, lengths: &[i64]) -> Result<Tensor, TensorError> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let last = lengths.last().copied().unwrap_or(0);
    let mut pids = ivf.as_slice::<i32>()?.to_vec();
    if last < longest {
        pids.resize(pids.len() + longest as usize, 0);
    }
    Ok(Tensor::vector(pids))
}

/// The records of the files of an index, in the order of their names.
///
/// # Errors
/// When one cannot be read.
pub fn file_records(folder: &Path, mut names: Vec<String>) -> std::io::Result<Vec<FileRecord>> {
    names.sort();
    let folder = OpenFolder::open(folder)?;
    names
        .iter()
        .map(|name| FileRecord::of(&folder, name))
        .collect()
}
