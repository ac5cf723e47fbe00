//! Collecting the taps of one batch while it is computed, and replacing what its modules give on.

use concord_pipeline::{ForcingError, Replacements, Tap, TapSink, TappedPassage};
use concord_tensor::{Tensor, TensorError};

use super::operations::Number;

/// What the modules report about one batch, and what they are given on instead.
///
/// Batches are computed side by side, so their taps are collected here and handed to the sink in the
/// order of batches afterwards.
pub struct TapsOfBatch<'a> {
    /// There if any passage is wanted.
    sink: Option<&'a dyn TapSink>,
    replacements: Option<&'a dyn Replacements>,
    batch: usize,
    passages: Vec<Passage>,
    taken: Vec<Tap>,
    /// The first thing that went wrong; nothing is taken or replaced after it.
    failure: Option<ForcingError>,
}

/// A passage of the batch.
struct Passage {
    first_row: usize,
    tapped: TappedPassage,
    wanted: bool,
}

impl Passage {
    /// Where its values lie among rows of `width`.
    fn span(&self, width: usize) -> std::ops::Range<usize> {
        self.first_row * width..(self.first_row + self.tapped.tokens) * width
    }
}

impl<'a> TapsOfBatch<'a> {
    /// Takes no taps and replaces nothing.
    pub fn none() -> TapsOfBatch<'a> {
        TapsOfBatch {
            sink: None,
            replacements: None,
            batch: 0,
            passages: Vec::new(),
            taken: Vec::new(),
            failure: None,
        }
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
        TapsOfBatch {
            sink: sink.filter(|_| placed.iter().any(|passage| passage.wanted)),
            replacements,
            batch,
            passages: placed,
            ..TapsOfBatch::none()
        }
    }

    /// Whether anything is wanted of this batch or may be replaced in it.
    pub fn any(&self) -> bool {
        self.sink.is_some() || self.replacements.is_some()
    }

    /// The module at `path` computed `rows` `(tokens, width)`: they are recorded, and then become what it
    /// gives on.
    pub(super) fn take<N: Number>(&mut self, path: &str, rows: &mut [N], width: usize) {
        if self.failure.is_some() {
            return;
        }
        if self.sink.is_some_and(|sink| sink.wants_path(path)) {
            self.record(path, rows, width);
        }
        if let Some(replacements) = self.replacements {
            self.failure = self.replace(replacements, path, rows, width).err();
        }
    }

    fn record<N: Number>(&mut self, path: &str, rows: &[N], width: usize) {
        let wanted = || self.passages.iter().filter(|passage| passage.wanted);
        let mut values = Vec::new();
        for passage in wanted() {
            values.extend_from_slice(&rows[passage.span(width)]);
        }
        let passages: Vec<TappedPassage> = wanted().map(|passage| passage.tapped).collect();
        let tokens = passages.iter().map(|passage| passage.tokens).sum::<usize>();
        let mut rows = Tensor::new(vec![tokens, width], values)
            .unwrap_or_else(|error| unreachable!("each token gave {width} values: {error}"));
        // A third of what modules report is what another inside them computed: it is kept, and hashed, once.
        if let Some(Tap { rows: last, .. }) = self.taken.last()
            && (last.dtype(), last.shape(), last.bytes()) == (N::DTYPE, rows.shape(), rows.bytes())
        {
            rows = last.clone();
        }
        self.taken.push(Tap {
            path: path.to_owned(),
            batch: self.batch,
            passages,
            rows,
        });
    }

    fn replace<N: Number>(
        &self,
        replacements: &dyn Replacements,
        path: &str,
        rows: &mut [N],
        width: usize,
    ) -> Result<(), ForcingError> {
        for passage in &self.passages {
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
            let values = &mut rows[passage.span(width)];
            copy(&replacement, values).map_err(|source| ForcingError::Tensor {
                path: path.to_owned(),
                pid,
                source,
            })?;
        }
        Ok(())
    }

    /// What was taken, in the order of computation.
    ///
    /// # Errors
    /// The first replacement that could not be had or did not fit.
    pub fn into_taps(self) -> Result<Vec<Tap>, ForcingError> {
        self.failure.map_or(Ok(self.taken), Err)
    }
}

/// The values of a tensor in another precision: widened exactly, or rounded once.
fn copy<N: Number>(from: &Tensor, to: &mut [N]) -> Result<(), TensorError> {
    to.copy_from_slice(from.cast(N::DTYPE)?.as_slice()?);
    Ok(())
}
