//! The nearest centroid, found without most products, is the one that all products find: on every instruction set, and
//! on data made to mislead the bounds.

use concord_kernels::closest::{Centroids, Measure, Work};
use concord_kernels::compute::Compute;
use concord_kernels::linear::PackedWeights;
use concord_kernels::nearest::{nearest_by_dot, nearest_by_l2, squared_norms};
use proptest::prelude::*;

/// Numbers between −1 and 1, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn below(&mut self, end: usize) -> usize {
        ((self.next() + 1.0) / 2.0 * end as f32) as usize % end
    }

    fn rows(&mut self, count: usize, width: usize) -> Vec<f32> {
        (0..count * width).map(|_| self.next()).collect()
    }
}

/// By both measures, on every instruction set, with guesses and without: the centroids are those of all products.
fn check(x: &[f32], centroids: &[f32], width: usize) -> Work {
    let count = centroids.len() / width;
    let packed = PackedWeights::pack(centroids, count, width);
    let mut random = Random(x.len() as u64);
    let guesses: Vec<u32> = (0..x.len() / width)
        .map(|_| random.below(count) as u32)
        .collect();
    let mut total = Work::default();
    for compute in &Compute::available() {
        let norms = squared_norms(compute, centroids, width);
        let by_l2 = nearest_by_l2(compute, x, &packed, &norms);
        let by_l2: Vec<u32> = by_l2.into_iter().map(|(centroid, _)| centroid).collect();
        for (measure, expected) in [
            (Measure::Dot, nearest_by_dot(compute, x, &packed)),
            (Measure::L2, by_l2),
        ] {
            let centroids = Centroids::new(compute, centroids, width, measure);
            for guesses in [None, Some(&guesses[..]), Some(&expected[..])] {
                let (chosen, work) = centroids.nearest(compute, x, guesses);
                assert_eq!(chosen, expected, "{measure:?} on {compute}");
                assert_eq!(work.rows as usize, chosen.len());
                total += work;
            }
        }
    }
    total
}

/// A number some steps of its last bit away.
fn nudged(value: f32, steps: i32) -> f32 {
    if value == 0.0 {
        return value;
    }
    f32::from_bits(value.to_bits().wrapping_add_signed(steps))
}

/// Centroids that are other rows, each value moved by up to two units in its last place: near ties.
fn nearly(rows: &[f32], count: usize, width: usize, random: &mut Random) -> Vec<f32> {
    let have = rows.len() / width;
    let mut out = Vec::new();
    for _ in 0..count {
        let from = random.below(have);
        for &value in &rows[from * width..][..width] {
            out.push(nudged(value, random.below(5) as i32 - 2));
        }
    }
    out
}

fn widths() -> impl Strategy<Value = usize> {
    prop_oneof![
        (2usize..=40).prop_map(|eights| 8 * eights),
        Just(1024),
        Just(1032),
        1usize..40
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_rows_get_the_centroids_of_all_products(
        rows in 1usize..40, count in 1usize..200, width in widths(), seed: u64,
    ) {
        let mut random = Random(seed);
        let (x, c) = (random.rows(rows, width), random.rows(count, width));
        check(&x, &c, width);
    }

    #[test]
    fn near_ties_are_decided_by_the_contract(
        rows in 1usize..30, distinct in 1usize..4, count in 1usize..150, width in widths(), seed: u64,
    ) {
        let mut random = Random(seed);
        let bases = random.rows(distinct, width);
        let (x, c) = (nearly(&bases, rows, width, &mut random), nearly(&bases, count, width, &mut random));
        check(&x, &c, width);
        // Around one point, near ties of distances of which many are clamped to zero.
        let one = &bases[..width];
        check(one, &nearly(one, count, width, &mut random), width);
    }

    #[test]
    fn rows_and_centroids_of_any_size_are_compared_alike(
        rows in 1usize..25, count in 1usize..150, width in widths(),
        exponents in (-149i32..120, -149i32..120), spread in 0i32..60, seed: u64,
    ) {
        let mut random = Random(seed);
        let mut scaled = |count: usize, exponent: i32| {
            let mut values = random.rows(count, width);
            for row in values.chunks_exact_mut(width) {
                let own = exponent + random.below(spread as usize + 1) as i32;
                // In two steps, so that the power is in the range of f32.
                for value in row {
                    *value = *value * 2f32.powi(own / 2) * 2f32.powi(own - own / 2);
                }
            }
            values
        };
        let (x, c) = (scaled(rows, exponents.0), scaled(count, exponents.1));
        check(&x, &c, width);
    }

    #[test]
    fn what_is_no_number_or_zero_changes_nothing(
        rows in 1usize..25, count in 1usize..100, width in widths(), places in prop::collection::vec((any::<u32>(), 0usize..6), 1..8), seed: u64,
    ) {
        let mut random = Random(seed);
        let (mut x, mut c) = (random.rows(rows, width), random.rows(count, width));
        let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45, -0.0];
        for (at, which) in places {
            let value = numbers[which];
            let len = x.len();
            x[at as usize % len] = value;
            check(&x, &c, width);
            if at % 3 == 0 {
                let len = c.len();
                c[at as usize % len] = value;
            }
            if at % 5 == 0 {
                let row = at as usize % rows * width;
                x[row..row + width].fill(0.0);
            }
        }
        check(&x, &c, width);
        check(&vec![0.0; width], &c, width);
        check(&x, &vec![0.0; width * 3], width);
    }
}

#[test]
fn equal_centroids_are_told_apart_by_their_place() {
    let mut random = Random(3);
    for width in [16, 128] {
        let row = random.rows(1, width);
        let c = row.repeat(700);
        let x = [row.clone(), random.rows(5, width)].concat();
        let work = check(&x, &c, width);
        // So many are as near as the nearest that all products cost less.
        assert_eq!(work.in_full, work.rows);
    }
}

#[test]
fn most_centroids_of_clustered_rows_are_ruled_out_without_a_product() {
    let mut random = Random(11);
    let (width, count) = (128, 512);
    let c = random.rows(count, width);
    let mut x = Vec::new();
    for _ in 0..300 {
        let from = random.below(count);
        x.extend(
            c[from * width..][..width]
                .iter()
                .map(|&v| v + 0.5 * random.next()),
        );
    }
    let work = check(&x, &c, width);
    assert!(work.left < 20 * work.rows, "{work:?}");
    assert!(
        work.decided * 100 < work.rows && work.in_full == 0,
        "{work:?}"
    );
}
