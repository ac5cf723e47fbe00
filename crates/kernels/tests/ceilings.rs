//! Ceilings are above the scores, not far, and the same on every instruction set.

use concord_kernels::approximate::row_of;
use concord_kernels::ceilings::{Ceilings, Embeddings, Levels, Scratch, Start, Token, ceilings};
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;
use proptest::prelude::*;

fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

/// The bucket of dimension `at`: its bits from the least significant on, bytes from their most significant bit on.
fn bucket(residual: &[u8], nbits: usize, at: usize) -> usize {
    (0..nbits).fold(0, |bucket, bit| {
        let place = at * nbits + bit;
        bucket | usize::from(residual[place / 8] >> (7 - place % 8) & 1) << bit
    })
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_ceiling_lies_above_the_score_and_not_far(
        nbits in prop_oneof![Just(1usize), Just(2), Just(4), Just(8)], units in 1usize..=6, tokens in 0usize..70,
        lengths in prop::collection::vec(prop_oneof![4 => 1usize..30, 1 => Just(200)], 0..9), seed: u64,
    ) {
        let (dim, count, passages) = (8 * nbits * units, 7, lengths.len());
        let embeddings: usize = lengths.iter().sum();
        let bytes = dim / 8 * nbits;
        let centroids = values(count * dim, seed);
        let weights = values(1 << nbits, !seed);
        let query = values(tokens * dim, seed ^ 5);
        let some = values(embeddings * (bytes + 2), seed ^ 9);
        let residuals: Vec<u8> = some[..embeddings * bytes].iter().map(|v| ((v + 0.5) * 256.0) as u8).collect();
        let rest = &some[embeddings * bytes..];
        let codes: Vec<i32> = rest[..embeddings].iter().map(|v| ((v + 0.5) * count as f32) as i32).collect();
        let reciprocals: Vec<f32> = rest[embeddings..].iter().map(|v| v + 0.5).collect();
        let row = row_of(tokens);
        let mut scores = vec![0.0; count * row];
        for (centroid, scores) in centroids.chunks_exact(dim).zip(scores.chunks_exact_mut(row.max(1))) {
            for (token, score) in query.chunks_exact(dim).zip(scores) {
                *score = product(centroid, token) as f32;
            }
        }
        let longest = 0.5 * (dim as f64).sqrt();
        let levels = Levels::new(nbits, &weights, longest / 2048.0);
        let missed = (dim as f64).sqrt() * levels.largest_error();
        let slack = |token: Token| {
            missed * token.length + (longest + missed) * token.missed + 1e-4 * longest * token.length
        };
        for floor in [Floor::None, Floor::Zero] {
            let mut found: Option<Vec<u32>> = None;
            for compute in Compute::available() {
                let by = Ceilings::new(&compute, &query, dim, &levels, slack);
                let mut starts = vec![Start::default(); count * by.groups()];
                by.start(&compute, &scores, &mut starts);
                let mut first = 0;
                let of_passages = lengths.iter().map(|&length| {
                    let places = first..first + length;
                    first += length;
                    Embeddings {
                        codes: &codes[places.clone()],
                        residuals: &residuals[places.start * bytes..places.end * bytes],
                        reciprocals: &reciprocals[places],
                    }
                });
                let mut bounds = Vec::new();
                ceilings(&compute, &by, &starts, floor, of_passages, &mut Scratch::default(), |bound| bounds.push(bound));
                prop_assert_eq!(bounds.len(), passages);
                let bits: Vec<u32> = bounds.iter().map(|bound| bound.to_bits()).collect();
                prop_assert_eq!(found.get_or_insert_with(|| bits.clone()), &bits, "{}", compute);

                let mut at = 0;
                for (&length, &bound) in lengths.iter().zip(&bounds) {
                    let (mut exact, mut most) = (0.0, 0.0);
                    for (number, token) in query.chunks_exact(dim).enumerate() {
                        prop_assert!(by.counts(number));
                        let norm = product(token, token).sqrt();
                        let mut best = match floor { Floor::None => f64::NEG_INFINITY, Floor::Zero => 0.0 };
                        for embedding in at..at + length {
                            let residual = &residuals[embedding * bytes..][..bytes];
                            let mut sum = f64::from(scores[codes[embedding] as usize * row + number]);
                            for (place, value) in token.iter().enumerate() {
                                sum += f64::from(weights[bucket(residual, nbits, place)]) * f64::from(*value);
                            }
                            best = best.max(sum * f64::from(reciprocals[embedding]));
                        }
                        exact += best;
                        // Half a step in each dimension of a token, and what is allowed for roundings.
                        let step = 0.51 / 127.0 * (dim as f64).sqrt();
                        most += 2.1 * (missed * norm + (longest + missed) * 0.5 * step + 1e-4 * longest * norm) + 0.01;
                    }
                    prop_assert!(f64::from(bound) >= exact - 1e-5, "{bound} {exact}");
                    prop_assert!(f64::from(bound) <= exact + most, "{bound} {exact} {most}");
                    at += length;
                }
            }
        }
    }
}
