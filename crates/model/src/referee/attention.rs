//! Self-attention.

use rayon::prelude::*;

use super::elementary::exp;
use crate::encoder::operations::Heads;

/// `softmax(Q · Kᵀ / √d) · V` per head, for each sequence over its own tokens. A token that may not be
/// attended to takes no part in any sum.
pub(super) fn attention(heads: &Heads<'_, f64>, context: &mut [f64]) {
    let mut sequences = Vec::with_capacity(heads.lengths.len());
    let (mut first, mut rest) = (0, context);
    for &length in heads.lengths {
        let (own, others) = rest.split_at_mut(length * heads.width);
        sequences.push((first, length, own));
        (first, rest) = (first + length, others);
    }
    sequences
        .into_par_iter()
        .for_each(|(first, length, context)| sequence(heads, first, length, context));
}

/// The sequence of `length` tokens from row `first` on.
fn sequence(heads: &Heads<'_, f64>, first: usize, length: usize, context: &mut [f64]) {
    let keys: Vec<usize> = (first..first + length)
        .filter(|&token| heads.attend.is_none_or(|attend| attend[token]))
        .collect();
    context.fill(0.0);
    if keys.is_empty() {
        return;
    }
    let size = heads.width / heads.heads;
    for head in 0..heads.heads {
        let columns = head * size..(head + 1) * size;
        let of = |rows: &[f64], token: usize| rows[token * heads.width..][columns.clone()].to_vec();
        let transposed: Vec<Vec<f64>> = columns
            .clone()
            .map(|c| {
                keys.iter()
                    .map(|&k| heads.key[k * heads.width + c])
                    .collect()
            })
            .collect();
        let values: Vec<Vec<f64>> = keys.iter().map(|&k| of(heads.value, k)).collect();
        for (row, context) in context.chunks_exact_mut(heads.width).enumerate() {
            let query = of(heads.query, first + row);
            let scores = weighted_sum(&query, &transposed);
            let weights = softmax(scores, (size as f64).sqrt());
            context[columns.clone()].copy_from_slice(&weighted_sum(&weights, &values));
        }
    }
}

/// `Σ_i weights_i · rows_i`, `i` ascending.
fn weighted_sum(weights: &[f64], rows: &[Vec<f64>]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.first().map_or(0, Vec::len)];
    for (&weight, row) in weights.iter().zip(rows) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    sums
}

/// `exp(s / root − max) / Σ`.
fn softmax(mut scores: Vec<f64>, root: f64) -> Vec<f64> {
    scores.iter_mut().for_each(|score| *score /= root);
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores
        .iter_mut()
        .for_each(|score| *score = exp(*score - largest));
    let sum = scores.iter().fold(0.0, |sum, score| sum + score);
    scores.iter_mut().for_each(|score| *score /= sum);
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The context of one token, one head after the other, in the order that is stated.
    fn plainly(heads: &Heads<'_, f64>, token: usize, tokens: std::ops::Range<usize>) -> Vec<f64> {
        let size = heads.width / heads.heads;
        let keys: Vec<usize> = tokens
            .filter(|&key| heads.attend.is_none_or(|attend| attend[key]))
            .collect();
        let mut context = vec![0.0; heads.width];
        for head in 0..heads.heads {
            let at =
                |rows: &[f64], token: usize, c: usize| rows[token * heads.width + head * size + c];
            let mut scores: Vec<f64> = Vec::new();
            for &key in &keys {
                let mut score = 0.0;
                for c in 0..size {
                    score += at(heads.query, token, c) * at(heads.key, key, c);
                }
                scores.push(score / (size as f64).sqrt());
            }
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = scores.iter().map(|score| exp(score - largest)).collect();
            let total = powers.iter().fold(0.0, |sum, power| sum + power);
            for (power, &key) in powers.iter().zip(&keys) {
                for c in 0..size {
                    context[head * size + c] += power / total * at(heads.value, key, c);
                }
            }
        }
        context
    }

    #[test]
    fn every_sequence_attends_to_its_own_tokens_in_the_stated_order() {
        let (width, lengths) = (12, [3usize, 1, 0, 7]);
        let tokens = lengths.iter().sum::<usize>();
        let rows = |from: usize| -> Vec<f64> {
            (0..tokens * width)
                .map(|i| ((i + from) * 7919 % 1000) as f64 / 300.0 - 1.5)
                .collect()
        };
        let (query, key, value) = (rows(0), rows(17), rows(400));
        // The fourth token is the only one of its sequence.
        let masked: Vec<bool> = (0..tokens).map(|token| token % 3 != 0).collect();
        for attend in [None, Some(masked.as_slice())] {
            let heads = Heads {
                query: &query,
                key: &key,
                value: &value,
                lengths: &lengths,
                attend,
                heads: 3,
                width,
            };
            let mut context = vec![9.0; tokens * width];
            attention(&heads, &mut context);
            let mut first = 0;
            for length in lengths {
                for token in first..first + length {
                    let expected = plainly(&heads, token, first..first + length);
                    assert_eq!(context[token * width..][..width], expected);
                }
                first += length;
            }
        }
    }
}
