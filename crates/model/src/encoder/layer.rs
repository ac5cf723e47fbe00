//! One layer of BERT.

use super::modules::{Activate, LayerNorm, Linear};
use super::observed::TapsOfBatch;
use super::operations::{Heads, Operations};
use super::rows::PackedRows;
use crate::architecture::bert;

/// A layer: self-attention and feed-forward, each with its residual and its layer normalisation.
pub(super) struct Layer<O: Operations> {
    pub(super) number: usize,
    /// The whole layer is cut out.
    pub(super) identity: bool,
    pub(super) query: Linear<O>,
    pub(super) key: Linear<O>,
    pub(super) value: Linear<O>,
    /// Attention itself is cut out, with its projections.
    pub(super) no_attention: bool,
    pub(super) heads: usize,
    pub(super) attention_output: Linear<O>,
    pub(super) attention_norm: LayerNorm,
    pub(super) intermediate: Linear<O>,
    pub(super) activate: Activate,
    pub(super) output: Linear<O>,
    pub(super) output_norm: LayerNorm,
}

impl<O: Operations> Layer<O> {
    /// `(tokens, hidden)` in, `(tokens, hidden)` out.
    pub(super) fn forward(
        &self,
        operations: &O,
        mut states: Vec<O::Number>,
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        let width = self.attention_output.outputs;
        let path = |module: &str| bert::BERT.path_in_layer(self.number, module);
        let tap = |taps: &mut TapsOfBatch<'_>, module: &str, rows: &mut [O::Number], width| {
            if taps.any() {
                taps.take(&path(module), rows, width);
            }
        };
        let hand_on = |taps: &mut TapsOfBatch<'_>, module: &str, rows: &mut [O::Number], width| {
            if taps.any() {
                taps.hand_on(&path(module), rows, width);
            }
        };
        if self.identity {
            hand_on(taps, bert::LAYER, &mut states, width);
            return states;
        }

        let mut context = self.attend(operations, &states, rows, taps);
        tap(taps, bert::ATTEND, &mut context, width);
        if taps.any() && !self.no_attention {
            taps.attended(&path(bert::ATTEND), rows.attend);
        }
        let mut attended = self.attention_output.apply(operations, &context, taps);
        let norm = &self.attention_norm;
        norm.apply_to_sum(operations, &mut attended, &states, taps);
        hand_on(taps, bert::ATTENTION_OUTPUT, &mut attended, width);
        hand_on(taps, bert::ATTENTION, &mut attended, width);

        let mut wide = self.intermediate.apply(operations, &attended, taps);
        let inner = self.intermediate.outputs;
        if !taps.any() || taps.sees(&path(bert::ACTIVATION)) {
            self.activate.apply(operations, &mut wide);
        }
        tap(taps, bert::ACTIVATION, &mut wide, inner);
        hand_on(taps, bert::INTERMEDIATE, &mut wide, inner);
        let mut states = self.output.apply(operations, &wide, taps);
        let norm = &self.output_norm;
        norm.apply_to_sum(operations, &mut states, &attended, taps);
        hand_on(taps, bert::OUTPUT, &mut states, width);
        hand_on(taps, bert::LAYER, &mut states, width);
        states
    }

    fn attend(
        &self,
        operations: &O,
        states: &[O::Number],
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<O::Number> {
        if self.no_attention {
            return states.to_vec();
        }
        let projections = [&self.query, &self.key, &self.value];
        let [query, key, value] = Linear::apply_each(projections, operations, states, taps);
        let mut context = vec![O::Number::default(); states.len()];
        let heads = Heads {
            query: &query,
            key: &key,
            value: &value,
            lengths: rows.lengths,
            attend: rows.attend,
            heads: self.heads,
            width: self.query.outputs,
        };
        let path = || bert::BERT.path_in_layer(self.number, bert::ATTEND);
        if !taps.any() || taps.sees(&path()) {
            operations.attention(&heads, &mut context);
        }
        context
    }
}
