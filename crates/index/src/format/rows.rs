//! The codes and residuals of passages that lie in the chunk files of a folder.

use std::ops::Range;
use std::sync::Arc;

use concord_pipeline::ArtifactRecord;
use concord_pipeline::artifact::{CODES, RESIDUALS};
use concord_tensor::{Tensor, TensorSource};

use super::error::IndexError;
use super::files::{IndexFiles, Purpose};
use super::manifest::FileRecord;
use super::names::{codes_file, doclens_file, residuals_file};
use super::tensors::IndexTensors;

/// The codes and residuals of passages, in the chunk files of an index or in files like these.
pub struct PassageRows {
    files: Arc<IndexFiles>,
    /// How many embeddings each passage has.
    doclens: Vec<i64>,
    /// The first embedding of each passage, and behind the last passage the number of embeddings.
    offsets: Vec<usize>,
    /// The passages of each chunk.
    chunks: Vec<Range<usize>>,
    /// The bytes of a packed residual.
    width: usize,
}

/// The values of an artifact of some passages.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) name: &'static str,
    file: fn(usize) -> String,
    with_width: bool,
}

pub(super) const CODE_ROWS: Rows = Rows {
    name: CODES,
    file: codes_file,
    with_width: false,
};
pub(super) const RESIDUAL_ROWS: Rows = Rows {
    name: RESIDUALS,
    file: residuals_file,
    with_width: true,
};

impl PassageRows {
    /// Those of an index; a residual takes `width` bytes.
    ///
    /// # Errors
    /// When the lengths of the passages cannot be read or are none.
    pub fn of_index(index: &IndexTensors, width: usize) -> Result<PassageRows, IndexError> {
        PassageRows::of(Arc::clone(&index.files), index.chunks(), width)
    }

    /// Those in so many `chunks` of a folder.
    ///
    /// # Errors
    /// As [`PassageRows::of_index`].
    pub fn of(
        files: Arc<IndexFiles>,
        chunks: usize,
        width: usize,
    ) -> Result<PassageRows, IndexError> {
        let mut rows = PassageRows {
            files,
            doclens: Vec::new(),
            offsets: vec![0],
            chunks: Vec::new(),
            width,
        };
        for chunk in 0..chunks {
            let name = doclens_file(chunk);
            let text = rows.files.bytes(&name, Purpose::Doclens)?;
            let doclens: Vec<i64> =
                serde_json::from_slice(&text).map_err(|source| IndexError::Json {
                    path: rows.files.at(&name),
                    source,
                })?;
            let first = rows.doclens.len();
            for &doclen in &doclens {
                let end = rows.offsets.last().copied().unwrap_or(0);
                let end = usize::try_from(doclen)
                    .ok()
                    .and_then(|own| end.checked_add(own));
                rows.offsets.push(end.ok_or_else(|| IndexError::Shape {
                    path: rows.files.at(&name),
                    what: format!("a passage has {doclen} embeddings"),
                })?);
            }
            rows.doclens.extend(doclens);
            rows.chunks.push(first..rows.doclens.len());
        }
        Ok(rows)
    }

    pub fn passages(&self) -> usize {
        self.doclens.len()
    }

    /// How many embeddings each passage has.
    pub fn doclens(&self) -> &[i64] {
        &self.doclens
    }

    pub(super) fn files(&self) -> &IndexFiles {
        &self.files
    }

    /// The bytes of a packed residual.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The chunk that has these passages and no others.
    pub(super) fn chunk_of(&self, pids: &Range<usize>) -> Option<usize> {
        self.chunks.iter().position(|chunk| chunk == pids)
    }

    /// What the manifest says of a file, where there is one.
    pub(super) fn file_record(&self, name: &str) -> Option<&FileRecord> {
        let mut records = self.files.manifest()?.files.iter();
        records.find(|record| record.name == name)
    }

    /// What the manifest says of an artifact.
    pub(super) fn artifact_record(&self, name: &str) -> Option<&ArtifactRecord> {
        self.files.manifest()?.artifact(name)
    }

    /// A reader of one artifact.
    pub(super) fn reader(&self, rows: Rows) -> RowReader<'_> {
        RowReader {
            of: self,
            rows,
            open: None,
        }
    }
}

/// Reads an artifact chunk after chunk; the file of the chunk that was read last is open.
pub(super) struct RowReader<'a> {
    of: &'a PassageRows,
    rows: Rows,
    open: Option<(usize, TensorSource)>,
}

impl RowReader<'_> {
    /// Hands the values of these passages to `take`, in flat pieces.
    ///
    /// # Errors
    /// When a file is missing, not as the manifest says, or has other rows than the passages.
    pub(super) fn read<E: From<IndexError>>(
        &mut self,
        pids: Range<usize>,
        mut take: impl FnMut(Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        for (number, chunk) in self.of.chunks.iter().enumerate() {
            let (start, end) = (pids.start.max(chunk.start), pids.end.min(chunk.end));
            if start >= end {
                continue;
            }
            let before = self.of.offsets[chunk.start];
            let per_row = if self.rows.with_width {
                self.of.width
            } else {
                1
            };
            let rows = self.of.offsets[chunk.end] - before;
            let source = self.source(number, rows)?;
            let [first, last] = [start, end].map(|pid| (self.of.offsets[pid] - before) * per_row);
            take(source.read_range(first..last).map_err(IndexError::from)?)?;
        }
        Ok(())
    }

    /// The file of a chunk, which has so many rows.
    fn source(&mut self, chunk: usize, rows: usize) -> Result<TensorSource, IndexError> {
        if let Some((open, source)) = &self.open
            && *open == chunk
        {
            return Ok(source.clone());
        }
        let name = (self.rows.file)(chunk);
        let source = IndexTensors::only_of(&self.of.files, &name)?;
        let mut shape = vec![rows];
        if self.rows.with_width {
            shape.push(self.of.width);
        }
        if source.shape() != shape {
            return Err(IndexError::Shape {
                path: source.path().to_owned(),
                what: format!(
                    "`{}` has shape {:?}, and the passages need {shape:?}",
                    self.rows.name,
                    source.shape()
                ),
            });
        }
        Ok(self.open.insert((chunk, source)).1.clone())
    }
}
