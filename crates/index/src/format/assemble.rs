//! An index out of passages that are compressed already, in files of other indexes.
//!
//! This is the one construction that adding, deleting, compacting and merging come to: the index of passages, in an
//! order, under a codec. Its chunks are cut by the number of passages alone, its inverted file follows from the
//! codes, its plan and metadata from the lengths and the codec. So it is, file by file, what a build from the texts
//! of these passages writes that is given the codec, and it does not matter in how many steps it came about. A
//! passage that is deleted has no embeddings: its length is 0, and no list has its pid.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use concord_pipeline::artifact::{
    AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS, CODES, DOCLENS, IVF, IVF_LENGTHS,
    NUM_PASSAGES, PLAN, RESIDUALS, SAMPLED_PIDS,
};
use concord_pipeline::publish::PublishError;
use concord_pipeline::{ArtifactRecord, ChunkRecord, Grid, Progress, Value};
use concord_tensor::pt::{self, TensorFileWriter};
use concord_tensor::{DType, FileError, OpenFolder, Tensor, TensorError};
use serde::Serialize;

use super::error::IndexError;
use super::json::{ChunkMetadata, Metadata, PlanJson, write_compact, write_indented};
use super::manifest::FileRecord;
use super::names::{
    CODEC_FILES, IVF_FILE, METADATA_FILE, PLAN_FILE, chunk_metadata_file, codes_file, doclens_file,
    residuals_file,
};
use super::rows::{CODE_ROWS, PassageRows, RESIDUAL_ROWS, RowReader};
use super::tensors::IndexTensors;
use super::writer::{padded, tuple};
use crate::invert::{InvertError, Inverter};
use crate::plan::Plan;
use crate::sample::sampled_pids;

/// Why an index cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
    #[error(transparent)]
    Invert(#[from] InvertError),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("nothing would be left: an index has one passage at least")]
    Empty,
    #[error("there would be more passages than an index numbers (2^31)")]
    TooManyPassages,
}

/// Passages that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Those of a source.
    Of { source: usize, pids: Range<usize> },
    /// So many that have no embeddings.
    Empty(usize),
}

impl Run {
    fn len(&self) -> usize {
        match self {
            Run::Of { pids, .. } => pids.len(),
            Run::Empty(passages) => *passages,
        }
    }

    /// A part of it.
    fn part(&self, range: Range<usize>) -> Run {
        match self {
            Run::Of { source, pids } => Run::Of {
                source: *source,
                pids: pids.start + range.start..pids.start + range.end,
            },
            Run::Empty(_) => Run::Empty(range.len()),
        }
    }
}

/// What an index is assembled from.
pub struct Assembly<'a, C> {
    /// Where passages come from.
    pub sources: &'a [PassageRows],
    /// All passages, in the order of their pids.
    pub runs: Vec<Run>,
    /// An index of Concord with the codec.
    pub codec: &'a IndexTensors,
    /// ColBERT's configuration, as `metadata.json` has it.
    pub config: &'a C,
    /// The seed of the sample that the plan follows from.
    pub seed: u32,
    /// How many centroids the plan asks for, instead of those by the rule.
    pub partitions: Option<NonZeroUsize>,
    /// Whether zeros follow the inverted file, as where the reference writes it.
    pub pad_ivf: bool,
}

/// What an assembled index is.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    pub files: Vec<FileRecord>,
    /// The artifacts that can be known without the texts, in the order of the graph. What they were made from is not.
    pub artifacts: Vec<ArtifactRecord>,
    pub embeddings: usize,
}

impl<C: Serialize> Assembly<'_, C> {
    /// Writes the index into the empty folder `folder`. A chunk that a source has as it is to be becomes another name
    /// of the same file, where the file system can, and is neither read nor written.
    ///
    /// # Errors
    /// When a file of a source is missing or not as its manifest says, or one cannot be written.
    pub fn write(self, folder: &Path, progress: &dyn Progress) -> Result<Assembled, AssembleError> {
        let passages: usize = self.runs.iter().map(Run::len).sum();
        if passages == 0 {
            return Err(AssembleError::Empty);
        }
        let pids = u32::try_from(passages)
            .ok()
            .filter(|&n| n <= i32::MAX as u32);
        let sampled = sampled_pids(self.seed, pids.ok_or(AssembleError::TooManyPassages)?);
        let width = self.sources.first().map_or(0, PassageRows::width);
        let readers = |rows| self.sources.iter().map(|s| s.reader(rows)).collect();
        let mut writer = Writer {
            folder,
            sources: self.sources,
            codes: readers(CODE_ROWS),
            residuals: readers(RESIDUAL_ROWS),
            width,
            files: Vec::new(),
            records: [const { Vec::new() }; 3],
        };
        let centroids = writer.codec(self.codec)?;
        let mut inverter = Inverter::new(centroids[0].rows());
        let grid = Grid::new(passages);
        let (chunks, mut all_doclens) = (grid.index_chunks(), Vec::with_capacity(passages));
        let (mut embeddings, mut rest) = (0, Cut::new(&self.runs));
        for (number, parts) in chunks.iter().enumerate() {
            let groups: Vec<Vec<Run>> = parts
                .clone()
                .map(|part| rest.next(grid.chunk(part).len()))
                .collect();
            let first = grid.chunk(parts.start).start;
            let doclens = writer.chunk(number, &groups, first, embeddings, &mut inverter)?;
            embeddings += doclens.iter().sum::<i64>() as usize;
            all_doclens.extend(doclens);
            let done = all_doclens.len() as u64;
            progress.advanced("assemble", done, passages as u64, "passages");
        }
        let sizes = sizes(&sampled, &all_doclens, self.partitions);
        let inverted = inverter.finish();
        let (ivf, lengths) = (
            Tensor::vector(inverted.pids),
            Tensor::vector(inverted.lengths),
        );
        let listed = match self.pad_ivf {
            true => padded(&ivf, lengths.as_slice()?)?,
            false => ivf.clone(),
        };
        writer.written(IVF_FILE, |path| {
            Ok(pt::write(path, &tuple([listed, lengths.clone()]))?)
        })?;
        let (config, num_chunks) = (self.config, chunks.len());
        writer.written(PLAN_FILE, |path| {
            let plan = PlanJson {
                config,
                num_chunks,
                num_partitions: sizes.num_partitions,
                num_embeddings_est: sizes.num_embeddings_est,
                avg_doclen_est: sizes.avg_doclen_est,
            };
            Ok(write_indented(path, &plan)?)
        })?;
        writer.written(METADATA_FILE, |path| {
            let metadata = Metadata {
                config,
                num_chunks,
                num_partitions: centroids[0].rows(),
                num_embeddings: embeddings,
                avg_doclen: embeddings as f64 / passages as f64,
            };
            Ok(write_indented(path, &metadata)?)
        })?;
        let [doclens, codes, residuals] = writer.records;
        let one = |value: Value| vec![value.record()];
        let [centroids, cutoffs, weights, average] = centroids.map(|part| one(part.into()));
        let artifacts = [
            (NUM_PASSAGES, one(Tensor::scalar(passages as i64).into())),
            (SAMPLED_PIDS, one(Tensor::vector(sampled).into())),
            (DOCLENS, doclens),
            (PLAN, one(sizes.into_value())),
            (CENTROIDS, centroids),
            (BUCKET_CUTOFFS, cutoffs),
            (BUCKET_WEIGHTS, weights),
            (AVG_RESIDUAL, average),
            (CODES, codes),
            (RESIDUALS, residuals),
            (IVF, one(ivf.into())),
            (IVF_LENGTHS, one(lengths.into())),
        ];
        let mut files = writer.files;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let record = |(name, chunks)| ArtifactRecord::new(name, chunks, &[None]);
        Ok(Assembled {
            files,
            artifacts: artifacts.map(record).into(),
            embeddings,
        })
    }
}

/// The sizes that a build would plan with.
fn sizes(sampled: &[i64], doclens: &[i64], partitions: Option<NonZeroUsize>) -> Plan {
    let tokens: i64 = sampled.iter().map(|&pid| doclens[pid as usize]).sum();
    let mean = (tokens as f64 / sampled.len() as f64) as f32;
    let plan = Plan::of(doclens.len() as f64, mean, tokens as usize);
    plan.with_partitions(partitions, tokens as usize)
}

/// Runs that are taken piece by piece.
struct Cut<'a> {
    runs: &'a [Run],
    /// How much of the first is taken.
    taken: usize,
}

impl Cut<'_> {
    fn new(runs: &[Run]) -> Cut<'_> {
        Cut { runs, taken: 0 }
    }

    /// The next so many passages.
    fn next(&mut self, mut passages: usize) -> Vec<Run> {
        let mut next = Vec::new();
        while passages > 0
            && let Some((run, rest)) = self.runs.split_first()
        {
            let end = run.len().min(self.taken + passages);
            passages -= end - self.taken;
            if end > self.taken {
                push(&mut next, run.part(self.taken..end));
            }
            self.taken = end;
            if end == run.len() {
                (self.runs, self.taken) = (rest, 0);
            }
        }
        next
    }
}

/// Puts a run behind others, as a part of the last where it goes on there.
fn push(runs: &mut Vec<Run>, run: Run) {
    match (runs.last_mut(), &run) {
        (
            Some(Run::Of { source, pids }),
            Run::Of {
                source: of,
                pids: more,
            },
        ) if source == of && pids.end == more.start => {
            pids.end = more.end;
        }
        (Some(Run::Empty(passages)), Run::Empty(more)) => *passages += more,
        _ => runs.push(run),
    }
}

/// The one run that others are, if they are one.
fn joined(groups: &[Vec<Run>]) -> Option<Run> {
    let mut all = Vec::new();
    groups
        .iter()
        .flatten()
        .for_each(|run| push(&mut all, run.clone()));
    match <[Run; 1]>::try_from(all) {
        Ok([run]) => Some(run),
        Err(_) => None,
    }
}

struct Writer<'a> {
    folder: &'a Path,
    sources: &'a [PassageRows],
    codes: Vec<RowReader<'a>>,
    residuals: Vec<RowReader<'a>>,
    width: usize,
    files: Vec<FileRecord>,
    /// Of doclens, codes and residuals, chunk by chunk of the graph.
    records: [Vec<ChunkRecord>; 3],
}

impl Writer<'_> {
    /// Takes over the files of the codec, and returns centroids, cutoffs, weights and average, as a build has them
    /// that is given them.
    fn codec(&mut self, codec: &IndexTensors) -> Result<[Tensor; 4], AssembleError> {
        let read = |name: &str| -> Result<Tensor, AssembleError> {
            let sources = codec.artifact(name)?.unwrap_or_default();
            let source = sources.first().ok_or_else(|| IndexError::Missing {
                path: codec.files().path().to_owned(),
                file: name.to_owned(),
            })?;
            Ok(source.read()?.cast(DType::F32)?)
        };
        let average = read(AVG_RESIDUAL)?.reshape([])?;
        let parts = [
            read(CENTROIDS)?,
            read(BUCKET_CUTOFFS)?,
            read(BUCKET_WEIGHTS)?,
            average,
        ];
        for name in CODEC_FILES {
            self.linked(codec.files().path(), name, name.to_owned())?;
            self.record(name.to_owned())?;
        }
        Ok(parts)
    }

    /// Writes chunk `number` of the index, made of groups of passages of which `first` is the first, and returns how
    /// many embeddings each has.
    fn chunk(
        &mut self,
        number: usize,
        groups: &[Vec<Run>],
        first: usize,
        embedding_offset: usize,
        inverter: &mut Inverter,
    ) -> Result<Vec<i64>, AssembleError> {
        let of_group: Vec<Vec<i64>> = groups.iter().map(|group| self.doclens(group)).collect();
        let doclens = of_group.concat();
        let num_embeddings = doclens.iter().sum::<i64>() as usize;
        let names = [codes_file, residuals_file, doclens_file];
        let there = joined(groups).and_then(|run| self.is_there(&run, names));
        let [mut codes_out, mut residuals_out] = [None, None];
        match &there {
            Some((source, chunk)) => {
                let folder = self.sources[*source].files().path();
                for name in names {
                    self.linked(folder, &name(*chunk), name(number))?;
                    let record = self.sources[*source].file_record(&name(*chunk));
                    let record = record.cloned().map(|record| FileRecord {
                        name: name(number),
                        ..record
                    });
                    self.files.extend(record);
                }
            }
            None => {
                let create = |name: fn(usize) -> String, dtype, shape: &[usize]| {
                    TensorFileWriter::create(self.folder.join(name(number)), dtype, shape)
                };
                codes_out = Some(create(codes_file, DType::I32, &[num_embeddings])?);
                let shape = [num_embeddings, self.width];
                residuals_out = Some(create(residuals_file, DType::U8, &shape)?);
            }
        }
        for (group, doclens) in groups.iter().zip(of_group) {
            let known = self.known(group);
            let codes = self.values(group, true)?;
            inverter.add(codes.as_slice()?, &doclens)?;
            let residuals = match (&residuals_out, &known) {
                (None, Some(_)) => None,
                _ => Some(self.values(group, false)?),
            };
            let [of_codes, of_residuals] = match (known, &residuals) {
                (Some(known), _) => known,
                (None, Some(residuals)) => {
                    [codes.clone(), residuals.clone()].map(|values| Value::from(values).record())
                }
                (None, None) => unreachable!("residuals are read where their hash is not known"),
            };
            if let Some(out) = &mut codes_out {
                out.append(&codes)?;
            }
            if let (Some(out), Some(residuals)) = (&mut residuals_out, residuals) {
                out.append(&residuals)?;
            }
            let of_doclens = Value::from(Tensor::vector(doclens)).record();
            let records = [of_doclens, of_codes, of_residuals];
            for (all, record) in self.records.iter_mut().zip(records) {
                all.push(record);
            }
        }
        for out in [codes_out, residuals_out].into_iter().flatten() {
            out.finish()?;
        }
        if there.is_none() {
            [codes_file, residuals_file]
                .iter()
                .try_for_each(|name| self.record(name(number)))?;
            self.written(&doclens_file(number), |path| {
                Ok(write_compact(path, &doclens)?)
            })?;
        }
        self.written(&chunk_metadata_file(number), |path| {
            let metadata = ChunkMetadata {
                passage_offset: first,
                num_passages: doclens.len(),
                num_embeddings,
                embedding_offset,
            };
            Ok(write_indented(path, &metadata)?)
        })?;
        Ok(doclens)
    }

    fn doclens(&self, group: &[Run]) -> Vec<i64> {
        let doclens = group.iter().map(|run| match run {
            Run::Of { source, pids } => self.sources[*source].doclens()[pids.clone()].to_vec(),
            Run::Empty(passages) => vec![0; *passages],
        });
        doclens.collect::<Vec<_>>().concat()
    }

    /// The codes or the residuals of a group.
    fn values(&mut self, group: &[Run], codes: bool) -> Result<Tensor, AssembleError> {
        let readers = if codes {
            &mut self.codes
        } else {
            &mut self.residuals
        };
        let mut parts = vec![match codes {
            true => Tensor::vector(Vec::<i32>::new()),
            false => Tensor::vector(Vec::<u8>::new()),
        }];
        for run in group {
            if let Run::Of { source, pids } = run {
                readers[*source].read(pids.clone(), |part| {
                    parts.push(part);
                    Ok::<_, IndexError>(())
                })?;
            }
        }
        let values = Tensor::concat_rows(&parts)?;
        if codes {
            return Ok(values);
        }
        let rows = values.len() / self.width.max(1);
        Ok(values.reshape([rows, self.width])?)
    }

    /// The source and the chunk of it that are a run, of which the manifest has the files of these names.
    fn is_there(&self, run: &Run, names: [fn(usize) -> String; 3]) -> Option<(usize, usize)> {
        let Run::Of { source, pids } = run else {
            return None;
        };
        let rows = &self.sources[*source];
        let chunk = rows.chunk_of(pids)?;
        let recorded = |name: &fn(usize) -> String| rows.file_record(&name(chunk)).is_some();
        names.iter().all(recorded).then_some((*source, chunk))
    }

    /// What the manifest of a source says of the codes and residuals of a group, where it is one of that source's.
    fn known(&self, group: &[Run]) -> Option<[ChunkRecord; 2]> {
        let [Run::Of { source, pids }] = group else {
            return None;
        };
        let rows = &self.sources[*source];
        let grid = Grid::new(rows.passages());
        let number = (0..grid.chunks()).find(|&chunk| grid.chunk(chunk) == *pids)?;
        let chunk = |name| rows.artifact_record(name)?.chunks.get(number).cloned();
        Some([chunk(CODES)?, chunk(RESIDUALS)?])
    }

    /// Gives a file of another folder a name here too, or copies it.
    fn linked(&self, folder: &Path, name: &str, as_name: String) -> Result<(), AssembleError> {
        let (from, to) = (folder.join(name), self.folder.join(as_name));
        fs::hard_link(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(drop))
            .map_err(|source| AssembleError::Write { path: to, source })
    }

    fn written(
        &mut self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), AssembleError>,
    ) -> Result<(), AssembleError> {
        write(&self.folder.join(name))?;
        self.record(name.to_owned())
    }

    fn record(&mut self, name: String) -> Result<(), AssembleError> {
        let path = self.folder.join(&name);
        let record =
            OpenFolder::open(self.folder).and_then(|folder| FileRecord::of(&folder, &name));
        self.files
            .push(record.map_err(|source| AssembleError::Write { path, source })?);
        Ok(())
    }
}
