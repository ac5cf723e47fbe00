//! Self-attention of one passage over its own tokens.

use crate::elementary::exp;
use crate::isa::{Isa, on_isa};
use crate::lanes::{Fma, LANES, lane_reduce};

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
}

/// `softmax(Q · Kᵀ / √d) · V` per head, for one passage, into `context` `(tokens, width)`.
///
/// # Order of operations
/// For each head and each query token, over the key tokens in order:
/// 1. `s_j = (Σ_c q_c · k_jc) / √d`: one chain of fused multiply-adds from zero, `c` ascending; the
///    quotient by the rounded `√d` rounds once.
/// 2. `e_j = exp(s_j − max_j s_j)`, [`crate::elementary::exp`].
/// 3. `p_j = e_j / Σ e_j`, the sum by [`lane_reduce`] over the keys' own numbering.
/// 4. `context_c = Σ_j p_j · v_jc`: one chain of fused multiply-adds from zero, `j` ascending.
///
/// Keys are numbered among those attended to, so a masked token changes nothing, wherever it stands.
///
/// # Panics
/// When the lengths do not match, or `heads` does not divide the width.
pub fn attention(isa: Isa, projections: &Projections<'_>, context: &mut [f32]) {
    let Projections {
        query,
        key,
        value,
        attend,
        heads,
        width,
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
    on_isa!(isa, body(projections: &Projections<'_>, keys: &[usize], context: &mut [f32]));
}

#[inline(always)]
fn body<A: Fma>(projections: &Projections<'_>, keys: &[usize], context: &mut [f32]) {
    let Projections {
        query,
        key,
        value,
        heads,
        width,
        ..
    } = *projections;
    let size = width / heads;
    let root = (size as f32).sqrt();
    // Keys of one head, transposed and padded to whole vectors: `(size, padded)`. The padding is
    // computed with and dropped before the softmax.
    let padded = keys.len().next_multiple_of(LANES);
    let mut transposed = vec![0.0f32; size * padded];
    let mut scores = vec![0.0f32; padded];
    for head in 0..heads {
        let columns = head * size..(head + 1) * size;
        for (j, &token) in keys.iter().enumerate() {
            for (c, &k) in key[token * width..][columns.clone()].iter().enumerate() {
                transposed[c * padded + j] = k;
            }
        }
        for (query, context) in query
            .chunks_exact(width)
            .zip(context.chunks_exact_mut(width))
        {
            scores.fill(0.0);
            for (c, &q) in query[columns.clone()].iter().enumerate() {
                for (s, &k) in scores.iter_mut().zip(&transposed[c * padded..][..padded]) {
                    *s = A::fma(q, k, *s);
                }
            }
            let scores = &mut scores[..keys.len()];
            softmax(scores, root);
            let context = &mut context[columns.clone()];
            context.fill(0.0);
            for (&p, &token) in scores.iter().zip(keys) {
                for (sum, &v) in context
                    .iter_mut()
                    .zip(&value[token * width..][columns.clone()])
                {
                    *sum = A::fma(p, v, *sum);
                }
            }
        }
    }
}

/// `exp(s_j / root − max) / Σ` in place; see [`attention`], steps 1 to 3.
#[inline(always)]
fn softmax(scores: &mut [f32], root: f32) {
    let mut largest = f32::NEG_INFINITY;
    for score in scores.iter_mut() {
        *score /= root;
        largest = if *score > largest { *score } else { largest };
    }
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let sum = lane_reduce(scores.len(), |sum, j| sum + scores[j]);
    for score in scores.iter_mut() {
        *score /= sum;
    }
}
