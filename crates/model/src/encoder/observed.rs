//! Collecting the taps of one batch while it is computed.

use concord_pipeline::{Tap, TapSink, TappedPassage};
use concord_tensor::Tensor;

/// What the modules report about one batch.
///
/// Batches are computed side by side, so their taps are collected here and handed to the sink in the
/// order of batches afterwards.
pub struct TapsOfBatch<'a> {
    sink: Option<&'a dyn TapSink>,
    batch: usize,
    /// First row and number of rows of each wanted passage.
    wanted: Vec<(usize, TappedPassage)>,
    taken: Vec<Tap>,
}

impl<'a> TapsOfBatch<'a> {
    /// Takes no taps.
    pub fn none() -> TapsOfBatch<'a> {
        TapsOfBatch {
            sink: None,
            batch: 0,
            wanted: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Takes what `sink` wants of a batch of passages, given as pids and numbers of tokens.
    pub fn of(
        sink: &'a dyn TapSink,
        batch: usize,
        passages: impl Iterator<Item = TappedPassage>,
    ) -> TapsOfBatch<'a> {
        let mut row = 0;
        let mut wanted = Vec::new();
        for passage in passages {
            if sink.wants_passage(passage.pid) {
                wanted.push((row, passage));
            }
            row += passage.tokens;
        }
        let sink = Some(sink).filter(|_| !wanted.is_empty());
        TapsOfBatch {
            sink,
            batch,
            wanted,
            taken: Vec::new(),
        }
    }

    /// Whether anything is wanted of this batch.
    pub fn any(&self) -> bool {
        self.sink.is_some()
    }

    /// The module at `path` computed `rows` `(tokens, width)`.
    pub fn take(&mut self, path: &str, rows: &[f32], width: usize) {
        if !self.sink.is_some_and(|sink| sink.wants_path(path)) {
            return;
        }
        let mut values = Vec::new();
        for (row, passage) in &self.wanted {
            values.extend_from_slice(&rows[row * width..(row + passage.tokens) * width]);
        }
        let tokens = self
            .wanted
            .iter()
            .map(|(_, passage)| passage.tokens)
            .sum::<usize>();
        let rows = Tensor::new(vec![tokens, width], values)
            .unwrap_or_else(|error| unreachable!("each token gave {width} values: {error}"));
        self.taken.push(Tap {
            path: path.to_owned(),
            batch: self.batch,
            passages: self.wanted.iter().map(|(_, passage)| *passage).collect(),
            rows,
        });
    }

    /// What was taken, in the order of computation.
    pub fn into_taps(self) -> Vec<Tap> {
        self.taken
    }
}
