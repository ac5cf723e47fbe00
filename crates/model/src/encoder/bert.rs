//! BERT and the ColBERT head, put together out of operations of any precision.

use concord_kernels::normalize::Normalize;

use super::layer::Layer;
use super::modules::{LayerNorm, Linear};
use super::observed::TapsOfBatch;
use super::operations::{Number, Operations, add, add_parameter};
use super::rows::PackedRows;
use crate::architecture::{bert, head};

/// The embedding tables: `(vocabulary, hidden)`, `(positions, hidden)`, and row 0 of the token types.
pub(super) struct Tables {
    pub(super) words: Vec<f32>,
    pub(super) positions: Vec<f32>,
    pub(super) token_type: Vec<f32>,
    pub(super) norm: LayerNorm,
}

/// A BERT encoder with the ColBERT head.
pub(crate) struct Bert<O: Operations> {
    pub(super) tables: Tables,
    pub(super) layers: Vec<Layer<O>>,
    pub(super) linear: Linear<O>,
    pub(super) normalize: Option<Normalize>,
    pub(super) hidden: usize,
    pub(super) dim: usize,
}

impl<O: Operations> Bert<O> {
    /// The width of an embedding.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The unit-length embedding of every token of all parts: `(tokens, dim)`, zero for those not kept. A part is
    /// what operations see at once. Between the
    /// operations, `word + token type + position` in this order, and `dense output + residual` before each
    /// layer normalisation, every addition rounded once.
    ///
    /// # Panics
    /// When `lengths` do not add up to the ids, an id is outside the vocabulary, or a sequence is longer
    /// than the positions.
    pub(crate) fn encode(
        &self,
        operations: &O,
        parts: &[PackedRows<'_>],
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        let mut first = 0;
        let mut of_parts = Vec::with_capacity(parts.len());
        for rows in parts {
            let sequences = first..first + rows.lengths.len();
            first = sequences.end;
            taps.enter(sequences.clone());
            assert_eq!(
                rows.lengths.iter().sum::<usize>(),
                rows.ids.len(),
                "lengths add up to the ids"
            );
            of_parts.push((self.embed(operations, rows, taps), sequences));
        }
        // Layer by layer, not part by part: a layer's weights are read from afar once for all parts.
        for layer in &self.layers {
            for ((states, sequences), rows) in of_parts.iter_mut().zip(parts) {
                taps.enter(sequences.clone());
                *states = layer.forward(operations, std::mem::take(states), rows, taps);
            }
        }
        let mut embeddings = Vec::new();
        for ((mut states, sequences), rows) in of_parts.into_iter().zip(parts) {
            taps.enter(sequences);
            taps.hand_on(bert::ENCODER, &mut states, self.hidden);
            taps.hand_on(bert::MODEL, &mut states, self.hidden);
            embeddings.append(&mut self.head(operations, &states, rows, taps));
        }
        embeddings
    }

    fn embed(
        &self,
        operations: &O,
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        let width = self.hidden;
        let ids = rows.ids.iter().map(|&id| id as usize);
        let mut states = gather(&self.tables.words, ids, width);
        let places = rows.lengths.iter().flat_map(|&length| 0..length);
        let mut positions = gather(&self.tables.positions, places, width);
        taps.take(bert::WORDS, &mut states, width);
        taps.take(bert::POSITIONS, &mut positions, width);
        for row in states.chunks_exact_mut(width) {
            add_parameter(row, &self.tables.token_type);
        }
        add(&mut states, &positions);
        self.tables.norm.apply(operations, &mut states, taps);
        taps.hand_on(bert::EMBEDDINGS, &mut states, width);
        states
    }

    fn head(
        &self,
        operations: &O,
        states: &[O::Number],
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        let mut embeddings = self.linear.apply(operations, states, taps);
        if let Some(keep) = rows.keep {
            for (row, &keep) in embeddings.chunks_exact_mut(self.dim).zip(keep) {
                let factor = O::Number::from(if keep { 1.0 } else { 0.0 });
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
        taps.take(head::MASK, &mut embeddings, self.dim);
        if let Some(form) = self.normalize {
            operations.normalize(form, &mut embeddings, self.dim);
        }
        taps.take(head::NORMALIZE, &mut embeddings, self.dim);
        embeddings
    }
}

/// The rows of a table at those places, one below the other.
fn gather<N: Number>(table: &[f32], at: impl Iterator<Item = usize>, width: usize) -> Vec<N> {
    let mut rows = Vec::with_capacity(at.size_hint().0 * width);
    for at in at {
        let row = &table[at * width..(at + 1) * width];
        rows.extend(row.iter().map(|&value| N::from(value)));
    }
    rows
}
