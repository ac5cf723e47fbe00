//! Collecting the taps of one batch while it is computed, and replacing what its modules give on.

use std::collections::HashMap;
use std::ops::Range;

use concord_pipeline::{
    ForcingError, OtherMask, Replacements, Tap, TapRows, TapSink, TappedPassage,
};
use concord_tensor::{DType, RowsHash, Tensor, TensorError};

use super::operations::Number;

/// What the modules report about one batch, and what they are given on instead.
///
/// Rows are hashed where they are computed, while they are still in the core's caches, and copied only where
/// the sink wants them. Batches are computed side by side, so their taps are collected here and handed to the
/// sink in the order of batches afterwards.
pub struct TapsOfBatch<'a> {
    /// There if any passage is wanted.
    sink: Option<&'a dyn TapSink>,
    replacements: Option<&'a dyn Replacements>,
    batch: usize,
    passages: Vec<Passage>,
    /// What is computed now, of the parts in which the batch is taken.
    part: Part,
    /// What each part's last report was, by the part's first passage, where it may be handed on.
    last: HashMap<usize, Last>,
    taken: Vec<Taken>,
    /// The place of each path in `taken`.
    places: HashMap<String, usize>,
    /// The first thing that went wrong; nothing is taken or replaced after it.
    failure: Option<ForcingError>,
}

/// A passage of the batch.
struct Passage {
    first_row: usize,
    tapped: TappedPassage,
    wanted: bool,
}

/// Passages that are computed together.
struct Part {
    passages: Range<usize>,
    /// The first of their rows in the batch.
    first_row: usize,
}

/// The hashes that a module's tap has of a part.
#[derive(Clone)]
struct Last {
    /// The place of the tap among those that were taken.
    tap: usize,
    passages: Range<usize>,
}

/// What a module reported, of all parts so far.
struct Taken {
    path: String,
    dtype: DType,
    width: usize,
    passages: Vec<TapRows>,
    /// Of attention: the masks that are not the ordinary one.
    masks: Option<Vec<OtherMask>>,
    /// Little-endian bytes of the rows, where they are wanted.
    copy: Option<Vec<u8>>,
}

impl<'a> TapsOfBatch<'a> {
    /// Takes no taps and replaces nothing.
    pub fn none() -> TapsOfBatch<'a> {
        TapsOfBatch::of(None, None, 0, std::iter::empty())
    }

    /// Takes what `sink` wants of a batch of passages, given as pids and numbers of tokens, and gives modules
    /// what `replacements` has.
    pub fn of(
        sink: Option<&'a dyn TapSink>,
        replacements: Option<&'a dyn Replacements>,
        batch: usize,
        passages: impl Iterator<Item = TappedPassage>,
    ) -> TapsOfBatch<'a> {
        let mut first_row = 0;
        let mut placed = Vec::new();
        for tapped in passages {
            placed.push(Passage {
                first_row,
                tapped,
                wanted: sink.is_some_and(|sink| sink.wants_passage(tapped.pid)),
            });
            first_row += tapped.tokens;
        }
        let part = Part {
            passages: 0..placed.len(),
            first_row: 0,
        };
        TapsOfBatch {
            sink: sink.filter(|_| placed.iter().any(|passage| passage.wanted)),
            replacements,
            batch,
            passages: placed,
            part,
            last: HashMap::new(),
            taken: Vec::new(),
            places: HashMap::new(),
            failure: None,
        }
    }

    /// Whether anything is wanted of this batch or may be replaced in it.
    pub fn any(&self) -> bool {
        self.sink.is_some() || self.replacements.is_some()
    }

    /// Whether anybody sees what the module at `path` computes of the part: somebody who takes its tap, or a module
    /// that is given it. Nobody does where all its passages are given something else.
    pub(super) fn sees(&self, path: &str) -> bool {
        if self.sink.is_some_and(|sink| sink.wants_path(path)) {
            return true;
        }
        let of_part = &self.passages[self.part.passages.clone()];
        let is_replaced = |replacements: &dyn Replacements| {
            let mut pids = of_part.iter().map(|passage| passage.tapped.pid);
            pids.all(|pid| replacements.has(path, pid))
        };
        !self.replacements.is_some_and(is_replaced)
    }

    /// Whether there is a sink, which then wants hashes of what every module computes.
    pub(super) fn hashes(&self) -> bool {
        self.sink.is_some()
    }

    /// What is reported from now on is of these passages alone, by their places in the batch.
    pub(super) fn enter(&mut self, passages: Range<usize>) {
        if self.any() {
            let first = self.passages.get(passages.start);
            self.part = Part {
                first_row: first.map_or(0, |passage| passage.first_row),
                passages,
            };
        }
    }

    /// The module at `path` computed `rows` `(tokens, width)` of the passages of the part: they are recorded, and
    /// then become what it gives on.
    pub(super) fn take<N: Number>(&mut self, path: &str, rows: &mut [N], width: usize) {
        self.report(path, rows, width, false);
    }

    /// The module at `path` gives on, unchanged, what the last module computed that was reported of the part.
    pub(super) fn hand_on<N: Number>(&mut self, path: &str, rows: &mut [N], width: usize) {
        self.report(path, rows, width, true);
    }

    /// The module at `path`, which was taken of the part, is attention in which tokens attend to those of their own
    /// passage that `attend` has, row by row of the part; `None` means all.
    pub(super) fn attended(&mut self, path: &str, attend: Option<&[bool]>) {
        let Some(&place) = self.places.get(path) else {
            return;
        };
        let of_part = &self.passages[self.part.passages.clone()];
        let wanted = of_part.iter().filter(|passage| passage.wanted);
        let masks = wanted.filter_map(|passage| {
            let own = &attend?[self.part.span(passage, 1)];
            OtherMask::of(passage.tapped.pid, own)
        });
        self.taken[place]
            .masks
            .get_or_insert_default()
            .extend(masks);
    }

    fn report<N: Number>(&mut self, path: &str, rows: &mut [N], width: usize, handed_on: bool) {
        if self.failure.is_some() || !self.any() {
            return;
        }
        let last = self.last.remove(&self.part.passages.start);
        let mut last = last.filter(|_| handed_on);
        if self.sink.is_some_and(|sink| sink.wants_path(path)) {
            last = Some(self.record(path, rows, width, last));
        }
        let mut replaced = false;
        if let Some(replacements) = self.replacements {
            match self.replace(replacements, path, rows, width) {
                Ok(any) => replaced = any,
                Err(error) => self.failure = Some(error),
            }
        }
        if let Some(last) = last.filter(|_| !replaced) {
            self.last.insert(self.part.passages.start, last);
        }
    }

    /// Adds the part's rows to the module's tap; they are those of `same`, if there is one.
    fn record<N: Number>(
        &mut self,
        path: &str,
        rows: &[N],
        width: usize,
        same: Option<Last>,
    ) -> Last {
        let place = match self.places.get(path) {
            Some(&place) => place,
            None => self.begin(path, N::DTYPE, width),
        };
        let of_part = &self.passages[self.part.passages.clone()];
        let wanted = || of_part.iter().filter(|passage| passage.wanted);
        let bytes = |passage: &Passage| bytemuck::cast_slice(&rows[self.part.span(passage, width)]);
        let hashes = match same {
            Some(Last { tap, passages }) => self.taken[tap].passages[passages].to_vec(),
            None => {
                let pieces = wanted().map(|passage| (passage.tapped.tokens, bytes(passage)));
                let hashes = RowsHash::of_each(N::DTYPE, width, pieces);
                let of_passages = wanted().map(|passage| passage.tapped).zip(hashes);
                of_passages
                    .map(|(TappedPassage { pid, tokens }, hash)| TapRows { pid, tokens, hash })
                    .collect()
            }
        };
        let taken = &mut self.taken[place];
        if let Some(copy) = &mut taken.copy {
            wanted().for_each(|passage| copy.extend_from_slice(bytes(passage)));
        }
        let first = taken.passages.len();
        taken.passages.extend(hashes);
        Last {
            tap: place,
            passages: first..taken.passages.len(),
        }
    }

    /// Begins the tap of a module.
    fn begin(&mut self, path: &str, dtype: DType, width: usize) -> usize {
        let place = self.taken.len();
        let wanted = self.sink.is_some_and(|sink| sink.wants_rows());
        self.taken.push(Taken {
            path: path.to_owned(),
            dtype,
            width,
            passages: Vec::new(),
            masks: None,
            copy: wanted.then(Vec::new),
        });
        self.places.insert(path.to_owned(), place);
        place
    }

    /// Gives the module what the replacements have, and says whether that is anything else.
    fn replace<N: Number>(
        &self,
        replacements: &dyn Replacements,
        path: &str,
        rows: &mut [N],
        width: usize,
    ) -> Result<bool, ForcingError> {
        let mut any = false;
        for passage in &self.passages[self.part.passages.clone()] {
            let TappedPassage { pid, tokens } = passage.tapped;
            let Some(replacement) = replacements.rows(path, pid)? else {
                continue;
            };
            if replacement.shape() != [tokens, width] {
                return Err(ForcingError::Shape {
                    path: path.to_owned(),
                    pid,
                    tokens,
                    width,
                    found: replacement.shape().to_vec(),
                });
            }
            let values = &mut rows[self.part.span(passage, width)];
            let replaced =
                replace(&replacement, values).map_err(|source| ForcingError::Tensor {
                    path: path.to_owned(),
                    pid,
                    source,
                })?;
            any = any || replaced;
        }
        Ok(any)
    }

    /// What was taken, in the order of computation.
    ///
    /// # Errors
    /// The first replacement that could not be had or did not fit.
    pub fn into_taps(self) -> Result<Vec<Tap>, ForcingError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut taps = Vec::<Tap>::with_capacity(self.taken.len());
        for taken in self.taken {
            let Taken {
                path,
                dtype,
                width,
                passages,
                masks,
                copy,
            } = taken;
            // What repeats another is kept once.
            let last = taps.last().filter(|last| {
                (last.dtype, last.width, &last.passages) == (dtype, width, &passages)
            });
            let rows = copy.map(|copy| match last.and_then(|last| last.rows.clone()) {
                Some(rows) => rows,
                None => {
                    let tokens = passages.iter().map(|rows| rows.tokens).sum::<usize>();
                    Tensor::from_le_bytes(dtype, vec![tokens, width], &copy)
                        .unwrap_or_else(|error| unreachable!("{width} values a token: {error}"))
                }
            });
            taps.push(Tap {
                path,
                batch: self.batch,
                dtype,
                width,
                passages,
                masks,
                rows,
            });
        }
        Ok(taps)
    }
}

impl Part {
    /// Where the values of one of its passages lie among its rows of `width`.
    fn span(&self, passage: &Passage, width: usize) -> Range<usize> {
        let first = passage.first_row - self.first_row;
        first * width..(first + passage.tapped.tokens) * width
    }
}

/// Puts the values of a tensor in place of others, in their precision: widened exactly, or rounded once. Returns
/// whether any bit is another.
fn replace<N: Number>(from: &Tensor, to: &mut [N]) -> Result<bool, TensorError> {
    let from = from.cast(N::DTYPE)?;
    let differs = from.bytes() != bytemuck::cast_slice::<N, u8>(to);
    to.copy_from_slice(from.as_slice()?);
    Ok(differs)
}
