//! One layer of BERT.

use concord_kernels::attention::{Projections, attention};
use concord_kernels::gemm::add_assign;
use concord_kernels::isa::Isa;

use super::modules::{Activate, LayerNorm, Linear};
use super::{PackedRows, TapsOfBatch};

/// A layer: self-attention and feed-forward, each with its residual and its layer normalisation.
pub(super) struct Layer {
    /// `bert.encoder.layer.3`.
    pub(super) path: String,
    /// The whole layer is cut out.
    pub(super) identity: bool,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    /// Attention itself is cut out, with its projections.
    pub(super) no_attention: bool,
    pub(super) heads: usize,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: LayerNorm,
    pub(super) intermediate: Linear,
    pub(super) activate: Activate,
    pub(super) output: Linear,
    pub(super) output_norm: LayerNorm,
}

impl Layer {
    /// `(tokens, hidden)` in, `(tokens, hidden)` out.
    pub(super) fn forward(
        &self,
        isa: Isa,
        states: Vec<f32>,
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<f32> {
        let width = self.attention_output.outputs;
        let tap = |taps: &mut TapsOfBatch<'_>, module: &str, rows: &[f32], width| {
            if taps.any() {
                taps.take(&format!("{}{module}", self.path), rows, width);
            }
        };
        if self.identity {
            tap(taps, "", &states, width);
            return states;
        }

        let context = self.attend(isa, &states, rows, taps);
        tap(taps, ".attention.self", &context, width);
        let mut attended = self.attention_output.apply(isa, &context, taps);
        add_assign(&mut attended, &states);
        self.attention_norm.apply(isa, &mut attended, taps);
        tap(taps, ".attention.output", &attended, width);
        tap(taps, ".attention", &attended, width);

        let mut wide = self.intermediate.apply(isa, &attended, taps);
        self.activate.apply(isa, &mut wide);
        tap(
            taps,
            ".intermediate.intermediate_act_fn",
            &wide,
            self.intermediate.outputs,
        );
        tap(taps, ".intermediate", &wide, self.intermediate.outputs);
        let mut states = self.output.apply(isa, &wide, taps);
        add_assign(&mut states, &attended);
        self.output_norm.apply(isa, &mut states, taps);
        tap(taps, ".output", &states, width);
        tap(taps, "", &states, width);
        states
    }

    fn attend(
        &self,
        isa: Isa,
        states: &[f32],
        rows: &PackedRows<'_>,
        taps: &mut TapsOfBatch<'_>,
    ) -> Vec<f32> {
        if self.no_attention {
            return states.to_vec();
        }
        let query = self.query.apply(isa, states, taps);
        let key = self.key.apply(isa, states, taps);
        let value = self.value.apply(isa, states, taps);
        let width = self.query.outputs;
        let mut context = vec![0.0; states.len()];
        let mut token = 0;
        for &length in rows.lengths {
            let tokens = token..token + length;
            let span = tokens.start * width..tokens.end * width;
            let projections = Projections {
                query: &query[span.clone()],
                key: &key[span.clone()],
                value: &value[span.clone()],
                attend: rows.attend.map(|attend| &attend[tokens.clone()]),
                heads: self.heads,
                width,
            };
            attention(isa, &projections, &mut context[span]);
            token = tokens.end;
        }
        context
    }
}
