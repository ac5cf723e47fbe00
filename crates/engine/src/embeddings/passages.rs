//! The embeddings of passages: checked as they come, and read again when a stage asks for them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use concord_corpus::{DocumentIds, Metadata, PlainPids};
use concord_index::passages::{PassageRecord, PassageTable};
use concord_pipeline::artifact::{DOCLENS, EMBS, NUM_PASSAGES};
use concord_pipeline::{ChunkRecord, Grid, Progress, READ, Source, StageError, Value};
use concord_tensor::{BitHash, ByteHasher, DType, Tensor};
use half::f16;
use rayon::prelude::*;

use super::doclens;
use super::error::{EmbeddingsError, Problem};
use super::files::{Cut, EmbeddingFile, EmbeddingFiles};
use super::looks::{Lengths, NO_LENGTHS, both, look_at};
use super::places::Places;
use crate::passages::{hash_of_texts, metadata_hash};

/// Rows that one task reads.
const ROWS_AT_ONCE: usize = 4096;

/// By how much the length of an embedding may be beside 1 without being mentioned: `f16` and `bf16` round by less.
const UNIT_LENGTH: f64 = 0.02;

/// The embeddings of passages, all of which are finite and none zero.
pub struct GivenPassages {
    files: Vec<EmbeddingFile>,
    /// Numbers of an embedding.
    pub(super) width: usize,
    /// The first embedding of each passage, and behind the last passage the number of embeddings.
    offsets: Vec<u64>,
    /// Where these lie in the files.
    places: Places,
    ids: Option<Vec<String>>,
    metadata: Metadata,
    pub(super) grid: Grid,
    /// What each chunk of `doclens` and of `embs` is.
    records: Vec<[ChunkRecord; 2]>,
    /// The least and the greatest length of an embedding.
    lengths: (f64, f64),
}

/// Ids, to be looked up.
struct Named<'a> {
    ids: &'a [String],
    pids: HashMap<&'a str, u32>,
}

impl Named<'_> {
    fn of(ids: &[String]) -> Named<'_> {
        let pids = ids.iter().map(String::as_str).zip(0..).collect();
        Named { ids, pids }
    }
}

impl DocumentIds for Named<'_> {
    fn external_id(&self, pid: u32) -> Cow<'_, str> {
        match self.ids.get(pid as usize) {
            Some(id) => Cow::Borrowed(id),
            None => PlainPids.external_id(pid),
        }
    }

    fn pid_of(&self, external_id: &str) -> Option<u32> {
        self.pids.get(external_id).copied()
    }
}

impl GivenPassages {
    /// Opens the files: of the embeddings nothing but their shapes is read.
    ///
    /// # Errors
    /// [`EmbeddingsError`]: files that cannot be read, or do not fit each other.
    pub fn open(files: &EmbeddingFiles) -> Result<GivenPassages, EmbeddingsError> {
        let opened = files
            .embeddings
            .iter()
            .map(|path| EmbeddingFile::open(path));
        let opened: Vec<EmbeddingFile> = opened.collect::<Result<_, _>>()?;
        let first = opened.first().ok_or(EmbeddingsError::NoFile)?;
        let width = first.width;
        if let Some(other) = opened.iter().find(|file| file.width != width) {
            return Err(EmbeddingsError::Width {
                path: other.path.clone(),
                name: String::new(),
                found: other.width,
                expected: width,
            });
        }
        let doclens = doclens_of(&opened, files)?;
        let passages = doclens.len();
        if passages > i32::MAX as usize {
            return Err(EmbeddingsError::TooManyPassages(passages));
        }
        let rows: usize = opened.iter().map(|file| file.rows).sum();
        if rows == 0 {
            return Err(EmbeddingsError::Empty(first.path.clone()));
        }
        let ids = files
            .ids
            .as_deref()
            .map(|path| doclens::ids(path, passages));
        let mut offsets = Vec::with_capacity(passages + 1);
        let mut end = 0;
        offsets.push(0);
        offsets.extend(doclens.iter().map(|&doclen| {
            end += u64::from(doclen);
            end
        }));
        Ok(GivenPassages {
            files: opened,
            width,
            offsets,
            places: Places::in_order(rows),
            ids: ids.transpose()?,
            metadata: Metadata::default(),
            grid: Grid::new(passages),
            records: Vec::new(),
            lengths: NO_LENGTHS,
        })
    }

    /// The same passages with the metadata in the file at `path`, by their ids, or by their numbers from 0 where they have
    /// none: see [`Metadata::parse`].
    ///
    /// # Errors
    /// [`EmbeddingsError::Metadata`].
    pub fn with_metadata(mut self, path: &Path) -> Result<GivenPassages, EmbeddingsError> {
        let passages = self.passages();
        self.metadata = match &self.ids {
            Some(ids) => Metadata::open(path, &Named::of(ids), passages)?,
            None => Metadata::open(path, &PlainPids, passages)?,
        };
        Ok(self)
    }

    /// Reads all embeddings once, on the threads of the pool that the caller is in: each is looked at, and what the graph
    /// is made from gets its hash. They are not kept in memory.
    ///
    /// # Errors
    /// [`EmbeddingsError`]: files that cannot be read, and embeddings that cannot be indexed.
    pub(super) fn read(&mut self, progress: &dyn Progress) -> Result<(), EmbeddingsError> {
        let passages = self.passages();
        self.records.clear();
        for chunk in 0..self.grid.chunks() {
            let (embeddings, lengths) = self.chunk(chunk)?;
            let embeddings = Value::from(embeddings);
            self.records
                .push([self.doclens(chunk).record(), embeddings.record()]);
            self.lengths = both(self.lengths, lengths);
            let done = self.grid.chunk(chunk).end;
            progress.advanced(READ, done as u64, passages as u64, "passages");
        }
        self.check_unchanged()
    }

    /// Those of these numbers alone, in this order, under these ids or their new numbers. None of them is read yet.
    pub(crate) fn selected(
        self,
        passages: &[usize],
        ids: Option<Vec<String>>,
        metadata: Metadata,
    ) -> GivenPassages {
        let (mut offsets, mut places) = (vec![0], Places::default());
        for &passage in passages {
            let rows = self.offsets[passage]..self.offsets[passage + 1];
            offsets.push(offsets[offsets.len() - 1] + (rows.end - rows.start));
            for rows in self.places.of(rows.start as usize..rows.end as usize) {
                places.push(rows);
            }
        }
        GivenPassages {
            offsets,
            places,
            ids,
            metadata,
            grid: Grid::new(passages.len()),
            records: Vec::new(),
            lengths: NO_LENGTHS,
            ..self
        }
    }

    /// How many embeddings a passage has.
    pub(crate) fn doclen(&self, passage: usize) -> usize {
        (self.offsets[passage + 1] - self.offsets[passage]) as usize
    }

    /// Numbers of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many passages there are.
    pub fn passages(&self) -> usize {
        self.grid.passages()
    }

    /// How many embeddings there are.
    pub fn embeddings(&self) -> usize {
        *self.offsets.last().unwrap_or(&0) as usize
    }

    /// The hash of all embeddings as they are indexed and of how they belong to passages.
    pub(super) fn hash(&self) -> BitHash {
        let mut hasher = ByteHasher::new();
        for record in self.records.iter().flatten() {
            hasher.update(record.hash.as_bytes());
        }
        hasher.finish()
    }

    /// The passages of the first chunk whose lengths or embeddings are others than these, and the files that they lie in.
    pub(super) fn first_difference(
        &self,
        doclens: &[ChunkRecord],
        embs: &[ChunkRecord],
    ) -> Option<(Range<usize>, Vec<PathBuf>)> {
        let mut chunks = self.records.iter().enumerate();
        let differs = |chunk: usize, own: &[ChunkRecord; 2]| {
            let hash = |record: Option<&ChunkRecord>| record.map(|record| record.hash);
            let theirs = [doclens.get(chunk), embs.get(chunk)].map(hash);
            [Some(own[0].hash), Some(own[1].hash)] != theirs
        };
        let (chunk, _) = chunks.find(|(chunk, own)| differs(*chunk, own))?;
        let passages = self.grid.chunk(chunk);
        let rows = self.offsets[passages.start] as usize..self.offsets[passages.end] as usize;
        let (mut first, mut files) = (0, Vec::new());
        for file in &self.files {
            let own = first..first + file.rows;
            let places = self.places.of(rows.clone());
            let mut inside = places.filter(|place| place.start < own.end && own.start < place.end);
            if inside.next().is_some() {
                files.push(file.path.clone());
            }
            first = own.end;
        }
        Some((passages, files))
    }

    /// The hash of the ids, where there are any, as that of a collection's ids.
    pub(super) fn ids_hash(&self) -> Option<BitHash> {
        let ids = self.ids.as_ref()?;
        Some(hash_of_texts(ids.iter().map(String::as_str)))
    }

    pub(super) fn metadata_hash(&self) -> Option<BitHash> {
        metadata_hash(&self.metadata)
    }

    /// The passage's id from outside, where there are such.
    pub(super) fn id(&self, passage: usize) -> Option<&str> {
        self.ids.as_ref()?.get(passage).map(String::as_str)
    }

    /// What is known of the passages: their ids and metadata.
    pub(crate) fn table(&self) -> PassageTable {
        let id = |pid: usize| match &self.ids {
            Some(ids) => ids[pid].clone(),
            None => pid.to_string(),
        };
        let record = |pid: usize| PassageRecord {
            id: id(pid),
            text: None,
            deleted: false,
            metadata: self.metadata.get(pid).map(Into::into),
        };
        PassageTable::new(
            self.ids.is_some(),
            (0..self.passages()).map(record).collect(),
        )
    }

    /// That embeddings are not of unit length, if that is so.
    pub(super) fn notices(&self) -> Vec<String> {
        let (least, most) = self.lengths;
        let unit = (least - 1.0).abs() <= UNIT_LENGTH && (most - 1.0).abs() <= UNIT_LENGTH;
        let notice = || {
            format!(
                "the embeddings are {least:.3} to {most:.3} long; an index keeps directions, so a search takes each for 1 \
                 long"
            )
        };
        (!unit).then(notice).into_iter().collect()
    }

    /// # Errors
    /// When a file is not the one that was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), EmbeddingsError> {
        self.files
            .iter()
            .try_for_each(EmbeddingFile::check_unchanged)
    }

    fn doclens(&self, chunk: usize) -> Value {
        let passages = self.grid.chunk(chunk);
        let bounds = &self.offsets[passages.start..=passages.end];
        let doclens = bounds.windows(2).map(|ends| (ends[1] - ends[0]) as i64);
        Tensor::vector(doclens.collect()).into()
    }

    /// The embeddings of a chunk `(E, width)` in `f16`, each looked at.
    fn chunk(&self, chunk: usize) -> Result<(Tensor, Lengths), EmbeddingsError> {
        let passages = self.grid.chunk(chunk);
        let (start, end) = (
            self.offsets[passages.start] as usize,
            self.offsets[passages.end] as usize,
        );
        let mut rounded = vec![f16::ZERO; (end - start) * self.width];
        let parts = rounded.par_chunks_mut(ROWS_AT_ONCE * self.width);
        let parts = parts.enumerate().map(|(part, rounded)| {
            let first = start + part * ROWS_AT_ONCE;
            self.rows(first..first + rounded.len() / self.width, rounded)
        });
        let lengths = parts.try_reduce(|| NO_LENGTHS, |a, b| Ok(both(a, b)))?;
        let shape = vec![end - start, self.width];
        Ok((Tensor::new(shape, rounded)?, lengths))
    }

    /// Reads rows into `rounded`.
    fn rows(&self, rows: Range<usize>, rounded: &mut [f16]) -> Result<Lengths, EmbeddingsError> {
        let (mut done, mut lengths) = (0, NO_LENGTHS);
        for place in self.places.of(rows.clone()) {
            let begin = rows.start + done;
            let part = &mut rounded[done * self.width..][..place.len() * self.width];
            done += place.len();
            lengths = both(lengths, self.rows_at(place, begin, part)?);
        }
        Ok(lengths)
    }

    /// Reads the rows at a place in the files into `rounded`; the first of them is the row `begin`.
    fn rows_at(
        &self,
        rows: Range<usize>,
        begin: usize,
        rounded: &mut [f16],
    ) -> Result<Lengths, EmbeddingsError> {
        let (mut first, mut done, mut lengths) = (0, 0, NO_LENGTHS);
        for file in &self.files {
            let from = rows.start.clamp(first, first + file.rows) - first;
            let to = rows.end.clamp(first, first + file.rows) - first;
            if from < to {
                file.read(from..to, |tensor| {
                    let out = &mut rounded[done * self.width..][..tensor.len()];
                    // From whatever it is to `f16` at once, so that it is rounded once.
                    out.copy_from_slice(tensor.cast(DType::F16)?.as_slice::<f16>()?);
                    let values = tensor.cast(DType::F32)?;
                    let seen = look_at(values.as_slice::<f32>()?, out, self.width);
                    let seen =
                        seen.map_err(|(row, problem)| self.unusable(begin + done + row, problem))?;
                    lengths = both(lengths, seen);
                    done += tensor.len() / self.width;
                    Ok(())
                })?;
            }
            first += file.rows;
        }
        Ok(lengths)
    }

    fn unusable(&self, row: usize, problem: Problem) -> EmbeddingsError {
        let passage = self.offsets.partition_point(|&first| first <= row as u64) - 1;
        let of = self.id(passage).map(|id| format!(" ({id:?})"));
        EmbeddingsError::Unusable {
            what: format!("passage {passage}"),
            of: of.unwrap_or_default(),
            embedding: row - self.offsets[passage] as usize,
            problem,
        }
    }

    /// The artifacts that are given.
    pub(super) fn sources(&self) -> [Given<'_>; 3] {
        [NUM_PASSAGES, DOCLENS, EMBS].map(|artifact| Given {
            artifact,
            passages: self,
        })
    }
}

fn doclens_of(
    opened: &[EmbeddingFile],
    files: &EmbeddingFiles,
) -> Result<Vec<u32>, EmbeddingsError> {
    let rows: usize = opened.iter().map(|file| file.rows).sum();
    let mut doclens = Vec::new();
    for file in opened {
        match (&file.cut, &files.doclens) {
            (Cut::Rows, None) => {
                let (path, rows) = (file.path.clone(), file.rows);
                return Err(EmbeddingsError::DoclensNeeded { path, rows });
            }
            (Cut::Each { part, .. }, Some(_)) => {
                let path = file.path.clone();
                return Err(EmbeddingsError::DoclensUnneeded { path, part });
            }
            (Cut::Rows, Some(_)) => {}
            (Cut::Each { rows, .. }, None) => doclens.extend(rows.iter().map(|&rows| rows as u32)),
        }
    }
    match &files.doclens {
        Some(path) => doclens::read(path, rows),
        None => Ok(doclens),
    }
}

/// An artifact that is given.
pub(super) struct Given<'a> {
    artifact: &'static str,
    passages: &'a GivenPassages,
}

impl Source for Given<'_> {
    fn name(&self) -> &'static str {
        self.artifact
    }

    fn chunks(&self) -> usize {
        match self.artifact {
            NUM_PASSAGES => 1,
            _ => self.passages.grid.chunks(),
        }
    }

    fn value(&self, chunk: usize) -> Result<Value, StageError> {
        let given = self.passages;
        match self.artifact {
            NUM_PASSAGES => Ok(Tensor::scalar(given.passages() as i64).into()),
            DOCLENS => Ok(given.doclens(chunk)),
            _ => {
                let (embeddings, _) = given.chunk(chunk)?;
                given.check_unchanged()?;
                Ok(embeddings.into())
            }
        }
    }

    fn record(&self, chunk: usize) -> Option<ChunkRecord> {
        let [doclens, embs] = self.passages.records.get(chunk)?;
        match self.artifact {
            DOCLENS => Some(doclens.clone()),
            EMBS => Some(embs.clone()),
            _ => None,
        }
    }
}
