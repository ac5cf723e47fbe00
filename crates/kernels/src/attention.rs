//! Self-attention of one passage over its own tokens.

use std::marker::PhantomData;

use crate::compute::Compute;
use crate::exponential::exp;
use crate::isa::on_isa;
use crate::lanes::Lanes;
use crate::linear::Single;
use crate::machine::Machine;
use crate::reduction::{LANES, lane_reduce};
use crate::rounding::Format;
use crate::tile::{Tiled, chains, cover, stretches};

/// What [`attention`] works on: one passage's projections, heads side by side in a row.
#[derive(Clone, Copy)]
pub struct Projections<'a> {
    /// `(tokens, width)`.
    pub query: &'a [f32],
    /// `(tokens, width)`.
    pub key: &'a [f32],
    /// `(tokens, width)`.
    pub value: &'a [f32],
    /// Which tokens are keys, one flag a token; `None` means all. A token that is no key takes no part
    /// in any sum; it still asks, as a query, and gets a context.
    pub attend: Option<&'a [bool]>,
    /// The number of heads; `width / heads` is the size `d` of one.
    pub heads: usize,
    /// The width of a row.
    pub width: usize,
    /// What probabilities are rounded to before they meet the values: the precision's own format, in which
    /// the projections are as well.
    pub format: Format,
}

/// `softmax(Q · Kᵀ / √d) · V` per head, for one passage, into `context` `(tokens, width)`.
///
/// # Order of operations
/// For each head and each query token, over the key tokens in order, everything in `f32`:
/// 1. `s_j = (Σ_c q_c · k_jc) · (1 / √d)`: one chain of fused multiply-adds from zero, `c` ascending; the
///    root, its reciprocal and the product round once each.
/// 2. `e_j = exp(s_j − max_j s_j)`, the `exp` of `exponential.rs`.
/// 3. `p_j = e_j · (1 / Σ e_j)`, the sum by [`lane_reduce`] over the keys' own numbering, rounded to
///    `format`.
/// 4. `context_c = Σ_j p_j · v_jc`: one chain of fused multiply-adds from zero, `j` ascending.
///
/// Keys are numbered among those attended to, so a masked token changes nothing, wherever it stands.
///
/// # Panics
/// When the lengths do not match, or `heads` does not divide the width.
pub fn attention(compute: &Compute, projections: &Projections<'_>, context: &mut [f32]) {
    let Projections {
        query,
        key,
        value,
        attend,
        heads,
        width,
        ..
    } = *projections;
    assert!(
        heads > 0 && width.is_multiple_of(heads),
        "the heads share the width evenly"
    );
    let tokens = context.len() / width.max(1);
    for rows in [query, key, value, &*context] {
        assert_eq!(rows.len(), tokens * width, "rows are (tokens, width)");
    }
    let keys: Vec<usize> = match attend {
        None => (0..tokens).collect(),
        Some(attend) => {
            assert_eq!(attend.len(), tokens, "one flag a token");
            (0..tokens).filter(|&token| attend[token]).collect()
        }
    };
    if keys.is_empty() {
        context.fill(0.0);
        return;
    }
    let keys = keys.as_slice();
    on_isa!(compute.isa(), body(projections: &Projections<'_>, keys: &[usize], context: &mut [f32]));
}

#[inline(always)]
fn body<M: Machine>(projections: &Projections<'_>, keys: &[usize], context: &mut [f32]) {
    let Projections {
        query,
        key,
        value,
        heads,
        width,
        format,
        ..
    } = *projections;
    let size = width / heads;
    let tokens = context.len() / width.max(1);
    let key_panels = keys.len().div_ceil(LANES);
    let value_panels = size.div_ceil(LANES);
    let mut of_keys = vec![Lanes::ZERO; key_panels * size];
    let mut of_values = vec![Lanes::ZERO; value_panels * keys.len()];
    let mut scores = vec![0.0f32; tokens * key_panels * LANES];
    for head in 0..heads {
        let first = head * size;
        for (j, &token) in keys.iter().enumerate() {
            let panel = &mut of_keys[j / LANES * size..][..size];
            let row = &key[token * width + first..][..size];
            for (lanes, &k) in panel.iter_mut().zip(row) {
                lanes.0[j % LANES] = k;
            }
            let row = &value[token * width + first..][..size];
            for (panel, columns) in row.chunks(LANES).enumerate() {
                of_values[panel * keys.len() + j] = Lanes::load(columns, 0.0);
            }
        }
        let mut scored = Scores::<M> {
            query: &query[first..],
            width,
            size,
            keys: &of_keys,
            count: keys.len(),
            scale: 1.0 / (size as f32).sqrt(),
            scores: &mut scores,
            machine: PhantomData,
        };
        cover(&mut scored, tokens, key_panels);
        for scores in scores.chunks_exact_mut(key_panels * LANES) {
            softmax::<M>(scores);
            format.round_all::<M>(scores);
        }
        let mut mixed = Context::<M> {
            probabilities: &scores,
            stride: key_panels * LANES,
            keys: keys.len(),
            values: &of_values,
            size,
            context: &mut context[first..],
            width,
            machine: PhantomData,
        };
        cover(&mut mixed, tokens, value_panels);
    }
}

/// The scores of one head: `(tokens, key panels · 16)`, minus infinity where there is no key.
struct Scores<'a, M> {
    /// From the head's first column of the first row on.
    query: &'a [f32],
    width: usize,
    size: usize,
    keys: &'a [Lanes],
    count: usize,
    scale: f32,
    scores: &'a mut [f32],
    machine: PhantomData<M>,
}

impl<M: Machine> Tiled for Scores<'_, M> {
    type MultiplyAdd = Single<M>;

    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize) {
        let (query, keys, size, width) = (self.query, self.keys, self.size, self.width);
        let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
        chains::<Single<M>, ROWS, PANELS>(
            [Lanes::ZERO; PANELS],
            stretches(&query[row * width..], width, 0, size),
            stretches(&keys[panel * size..], size, 0, size),
            &mut sums,
        );
        let stride = self.keys.len() / size * LANES;
        for r in 0..ROWS {
            for p in 0..PANELS {
                let mut scores = sums[r][p];
                let first = (panel + p) * LANES;
                for l in 0..LANES {
                    let scaled = scores.0[l] * self.scale;
                    let is_key = first + l < self.count;
                    scores.0[l] = if is_key { scaled } else { f32::NEG_INFINITY };
                }
                scores.store(&mut self.scores[(row + r) * stride + first..][..LANES]);
            }
        }
    }
}

/// The context of one head.
struct Context<'a, M> {
    probabilities: &'a [f32],
    stride: usize,
    keys: usize,
    values: &'a [Lanes],
    size: usize,
    /// From the head's first column of the first row on.
    context: &'a mut [f32],
    width: usize,
    machine: PhantomData<M>,
}

impl<M: Machine> Tiled for Context<'_, M> {
    type MultiplyAdd = Single<M>;

    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(&mut self, row: usize, panel: usize) {
        let (probabilities, values) = (self.probabilities, self.values);
        let (keys, stride) = (self.keys, self.stride);
        let mut sums = [[Lanes::ZERO; PANELS]; ROWS];
        chains::<Single<M>, ROWS, PANELS>(
            [Lanes::ZERO; PANELS],
            stretches(&probabilities[row * stride..], stride, 0, keys),
            stretches(&values[panel * keys..], keys, 0, keys),
            &mut sums,
        );
        for r in 0..ROWS {
            for p in 0..PANELS {
                let columns = (panel + p) * LANES..self.size.min((panel + p + 1) * LANES);
                sums[r][p].store(&mut self.context[(row + r) * self.width..][columns]);
            }
        }
    }
}

/// `exp(s_j − max) · (1 / Σ)` in place; see [`attention`], steps 2 and 3. Scores of minus infinity, of which
/// there is never a whole row, become zero and add nothing.
#[inline(always)]
fn softmax<M: Machine>(scores: &mut [f32]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let (panels, _) = scores.as_chunks_mut::<LANES>();
    for scores in &*panels {
        for (largest, &score) in largest.iter_mut().zip(scores) {
            *largest = if score > *largest { score } else { *largest };
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            let other = largest[l + half];
            largest[l] = if other > largest[l] {
                other
            } else {
                largest[l]
            };
        }
        half /= 2;
    }
    let largest = largest[0];
    for scores in &mut *panels {
        for score in scores {
            *score = exp::<M>(*score - largest);
        }
    }
    let reciprocal = 1.0 / lane_reduce(panels.as_flattened(), |sum, e| sum + e);
    for scores in panels {
        for score in scores {
            *score *= reciprocal;
        }
    }
}
