//! BERT and the ColBERT head, over packed rows.
//!
//! A batch is the rows of its passages one below the other, without padding. Linear layers, layer
//! normalisation and GELU see rows; attention sees one passage at a time. So nothing that a passage's
//! rows go through depends on which other passages are in the batch.
//!
//! Every module has the path that `transformers` gives it, and reports what it computed under that path.

mod build;
mod layer;
mod modules;
mod observed;

pub use build::BuildError;
pub use modules::module_paths;
pub use observed::TapsOfBatch;

use concord_kernels::gemm::add_assign;
use concord_kernels::isa::Isa;
use concord_kernels::normalize::{Normalize, normalize};

use layer::Layer;
use modules::{LayerNorm, Linear};

/// The rows of several sequences of tokens, one below the other.
pub struct PackedRows<'a> {
    /// Token ids of all sequences.
    pub ids: &'a [u32],
    /// How many of them each sequence has.
    pub lengths: &'a [usize],
    /// Which tokens others may attend to; `None` means all.
    pub attend: Option<&'a [bool]>,
    /// Which rows are kept, the others being set to zero; `None` means all.
    pub keep: Option<&'a [bool]>,
}

/// The embedding tables: `(vocabulary, hidden)`, `(positions, hidden)`, and row 0 of the token types.
struct Tables {
    words: Vec<f32>,
    positions: Vec<f32>,
    token_type: Vec<f32>,
    norm: LayerNorm,
}

/// A BERT encoder with the ColBERT head, in `f32`.
pub struct Encoder {
    tables: Tables,
    layers: Vec<Layer>,
    linear: Linear,
    normalize: Option<Normalize>,
    hidden: usize,
    dim: usize,
}

impl Encoder {
    /// The width of an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The unit-length embedding of every token: `(tokens, dim)`, zero for those not kept.
    ///
    /// # Order of operations
    /// Each kernel's own; in between, `word + token type + position` in this order, and
    /// `dense output + residual` before each layer normalisation, every addition rounded once.
    ///
    /// # Panics
    /// When `lengths` do not add up to the ids, an id is outside the vocabulary, or a sequence is longer
    /// than the positions; the tokenizer's limits are checked against the checkpoint when it is loaded.
    pub fn encode(&self, isa: Isa, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        assert_eq!(
            rows.lengths.iter().sum::<usize>(),
            rows.ids.len(),
            "lengths add up to the ids"
        );
        let mut states = self.embed(isa, rows, taps);
        for layer in &self.layers {
            states = layer.forward(isa, states, rows, taps);
        }
        taps.take("bert.encoder", &states, self.hidden);
        taps.take("bert", &states, self.hidden);
        self.head(isa, &states, rows, taps)
    }

    fn embed(&self, isa: Isa, rows: &PackedRows<'_>, taps: &mut TapsOfBatch<'_>) -> Vec<f32> {
        let width = self.hidden;
        let row = |table: &[f32], at: usize| table[at * width..(at + 1) * width].to_vec();
        let gather = |table: &[f32], at: &mut dyn Iterator<Item = usize>| {
            at.flat_map(|at| row(table, at)).collect::<Vec<f32>>()
        };
        let mut words = gather(
            &self.tables.words,
            &mut rows.ids.iter().map(|&id| id as usize),
        );
        let places = rows.lengths.iter().flat_map(|&length| 0..length);
        let positions = gather(&self.tables.positions, &mut places.into_iter());
        taps.take("bert.embeddings.word_embeddings", &words, width);
        taps.take("bert.embeddings.position_embeddings", &positions, width);
        for row in words.chunks_exact_mut(width) {
            add_assign(row, &self.tables.token_type);
        }
        add_assign(&mut words, &positions);
        let mut states = words;
        self.tables.norm.apply(isa, &mut states, taps);
        taps.take("bert.embeddings", &states, width);
        states
    }

    fn head(
        &self,
        isa: Isa,
        states: &[f32],
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<f32> {
        let mut embeddings = self.linear.apply(isa, states, taps);
        if let Some(keep) = rows.keep {
            for (row, &keep) in embeddings.chunks_exact_mut(self.dim).zip(keep) {
                let factor = if keep { 1.0 } else { 0.0 };
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
        taps.take("mask", &embeddings, self.dim);
        if let Some(form) = self.normalize {
            normalize(isa, form, &mut embeddings, self.dim);
        }
        taps.take("normalize", &embeddings, self.dim);
        embeddings
    }
}
