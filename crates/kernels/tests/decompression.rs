//! Decompression and scores by centroids are what their documentation says, on every instruction set.

use concord_kernels::approximate::{
    Approximated, BLOCK, NOTHING, Scratch, Survey, approximate_scores, packed_in_rows, survey,
};
use concord_kernels::compute::Compute;
use concord_kernels::linear::{PackedWeights, linear};
use concord_kernels::normalize::{Normalize, normalize};
use concord_kernels::residual::{BucketWeights, Coded, decompress};
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

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The bucket of dimension `at`: its bits from the least significant on, bytes from their most significant bit on.
fn bucket(residual: &[u8], nbits: usize, at: usize) -> usize {
    (0..nbits).fold(0, |bucket, bit| {
        let place = at * nbits + bit;
        bucket | usize::from(residual[place / 8] >> (7 - place % 8) & 1) << bit
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_embedding_is_its_centroid_and_weights_at_unit_length(
        nbits in prop_oneof![Just(1usize), Just(2), Just(4), Just(8)], eights in 1usize..=128, rows in 0usize..6, zero: bool, seed: u64,
    ) {
        let width = 8 * eights;
        let (count, bytes) = (5, width / 8 * nbits);
        let centroids = match zero { true => vec![0.0; count * width], false => values(count * width, seed) };
        let weights = match zero { true => vec![0.0; 1 << nbits], false => values(1 << nbits, !seed) };
        let some = values(rows * (bytes + 1), seed ^ 9);
        let byte = |v: &f32| ((v + 0.5) * 256.0) as u8;
        let residuals: Vec<u8> = some[..rows * bytes].iter().map(byte).collect();
        let codes: Vec<i32> = some[rows * bytes..].iter().map(|v| ((v + 0.5) * 5.0) as i32).collect();
        let mut plain = Vec::new();
        for (&code, residual) in codes.iter().zip(residuals.chunks(bytes)) {
            plain.extend((0..width).map(|at| centroids[code as usize * width + at] + weights[bucket(residual, nbits, at)]));
        }
        normalize(&Compute::scalar(), Normalize::Divide, &mut plain, width);
        let coded = Coded { centroids: &centroids, width, codes: &codes, residuals: &residuals };
        for compute in Compute::available() {
            let (mut out, mut norms) = (vec![f32::NAN; rows * width], vec![f32::NAN; rows]);
            decompress(&compute, &BucketWeights::new(nbits, &weights), coded, &mut out, &mut norms);
            prop_assert_eq!(bits(&out), bits(&plain), "{}", compute);
        }
    }

    #[test]
    fn passages_are_scored_by_their_centroids_as_documented(
        tokens in 1usize..70, count in 1usize..=BLOCK, eights in 1usize..5, threshold in -0.3f32..0.6, seed: u64,
    ) {
        let width = 8 * eights;
        let (query, centroids) = (values(tokens * width, seed), values(count * width, !seed));
        let mut plain = vec![0.0; tokens * count];
        linear(&Compute::scalar(), &query, &PackedWeights::pack(&centroids, count, width), None, &mut plain);
        let codes: Vec<i32> = values(90, seed ^ 3).iter().map(|v| ((v + 0.5) * count as f32) as i32).collect();
        let passages: Vec<_> = [0, 4, 4, 30, 31, 50, 58, 60, 75, 80, 90].windows(2).map(|w| w[0]..w[1]).collect();
        for compute in Compute::available() {
            let packed = packed_in_rows(&query, width);
            let row = packed.outputs();
            let (mut scores, mut largest, mut near) = (vec![f32::NAN; count * row], vec![0.0; row], 0);
            let found = Survey { scores: &mut scores, largest: &mut largest, near: &mut near };
            survey(&compute, &centroids, &packed, tokens, threshold, found);
            let of = |c: usize, t: usize| plain[t * count + c];
            for (t, largest) in largest.iter().enumerate().take(tokens) {
                let most = (0..count).map(|c| of(c, t)).fold(f32::NEG_INFINITY, f32::max);
                prop_assert_eq!(largest.to_bits(), most.to_bits());
            }
            let is_near = |c: usize| (0..tokens).any(|t| of(c, t) >= threshold);
            for c in 0..count {
                prop_assert_eq!(near >> c & 1 == 1, is_near(c));
                prop_assert!((0..tokens).all(|t| scores[c * row + t].to_bits() == of(c, t).to_bits()));
            }
            for some in [None, Some(&[near][..])] {
                let by = Approximated { scores: &scores, tokens, near: some };
                let mut found = Vec::new();
                let passage_codes = passages.iter().map(|passage| &codes[passage.clone()]);
                approximate_scores(&compute, by, passage_codes, &mut Scratch::default(), |s| found.push(s));
                let expected: Vec<f32> = passages.iter().map(|passage| {
                    let best = |t| codes[passage.clone()].iter().map(|&c| c as usize)
                        .filter(|&c| some.is_none() || is_near(c)).map(|c| of(c, t)).fold(NOTHING, f32::max);
                    (0..tokens).map(best).sum()
                }).collect();
                prop_assert_eq!(bits(&found), bits(&expected));
            }
        }
    }
}
