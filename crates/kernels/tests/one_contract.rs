//! Every kernel gives the same bits on every instruction set and for every batch, and the bits are those
//! that its documentation states.

use concord_kernels::attention::{Projections, attention};
use concord_kernels::bf16::{Bf16Rows, Bf16Weights, linear_bf16};
use concord_kernels::compute::Compute;
use concord_kernels::exponential::exponential;
use concord_kernels::gelu::{Gelu, gelu};
use concord_kernels::gemm::Gemm;
use concord_kernels::int8::{Int8Rows, Int8Weights, linear_int8};
use concord_kernels::layer_norm::{Variance, add_layer_norm, layer_norm};
use concord_kernels::library::Library;
use concord_kernels::linear::{PackedWeights, RUN, linear, linear_in_runs};
use concord_kernels::maxsim::{Floor, maxsim};
use concord_kernels::nearest::{nearest_by_dot, nearest_by_l2, squared_norms};
use concord_kernels::normalize::{Normalize, normalize};
use concord_kernels::rounding::{Format, round};
use proptest::prelude::*;

/// Values of mixed size and sign, the same for the same seed.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
            unit * 2f32.powi((state >> 32) as i32 % 6)
        })
        .collect()
}

/// A linear layer: `x` to `y`.
type Layer<'a> = &'a dyn Fn(&[f32], &mut [f32]);

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::F32), Just(Format::F16), Just(Format::Bf16)]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The documented order of `linear_in_runs`, one output at a time.
fn linear_as_documented(x: &[f32], w: &[f32], bias: &[f32], run: usize) -> Vec<f32> {
    let outputs = bias.len();
    let inputs = w.len() / outputs;
    let mut y = Vec::new();
    for x in x.chunks_exact(inputs) {
        for n in 0..outputs {
            let products: Vec<(f32, f32)> = x
                .iter()
                .copied()
                .zip(w[n * inputs..][..inputs].iter().copied())
                .collect();
            let total = products
                .chunks(run)
                .map(|run| run.iter().fold(0.0f32, |sum, &(x, w)| x.mul_add(w, sum)))
                .reduce(|total, sum| total + sum)
                .unwrap_or(0.0);
            y.push(total + bias[n]);
        }
    }
    y
}

/// What `result` is on each instruction set of this machine must be one thing.
fn same_on_every_isa<T: PartialEq + std::fmt::Debug>(result: impl Fn(&Compute) -> T) -> T {
    let scalar = result(&Compute::scalar());
    for compute in Compute::available() {
        assert_eq!(result(&compute), scalar, "{compute} and scalar differ");
    }
    scalar
}

#[test]
fn the_instruction_sets_compared_are_named() {
    let available = Compute::available();
    let names: Vec<&str> = available.iter().map(Compute::isa_name).collect();
    println!(
        "instruction sets compared with scalar on this machine: {}",
        names.join(", ")
    );
    for compute in &available {
        println!(
            "{compute}: bf16 by {}, int8 by {}",
            concord_kernels::bf16::instructions(compute),
            concord_kernels::int8::instructions(compute)
        );
    }
    assert!(names.contains(&"scalar"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn linear_adds_in_the_documented_order(
        rows in 1usize..20, inputs in 1usize..700, outputs in 1usize..70,
        run in prop_oneof![Just(RUN), 1usize..300], seed: u64,
    ) {
        let (x, w, bias) = (values(rows * inputs, seed), values(outputs * inputs, !seed), values(outputs, seed ^ 5));
        let packed = PackedWeights::pack(&w, outputs, inputs);
        prop_assert_eq!(bits(&packed.unpack()), bits(&w));
        let y = same_on_every_isa(|compute| {
            let mut y = vec![f32::NAN; rows * outputs];
            linear_in_runs(compute, &x, &packed, Some(&bias), run, &mut y);
            bits(&y)
        });
        prop_assert_eq!(y, bits(&linear_as_documented(&x, &w, &bias, run)));
    }

    #[test]
    fn bf16_adds_in_the_documented_order(
        rows in 1usize..15, inputs in 1usize..300, outputs in 1usize..70, exponent in -70i32..1, seed: u64,
    ) {
        let scaled = |values: Vec<f32>| values.iter().map(|v| v * 2f32.powi(exponent)).collect::<Vec<f32>>();
        let (x, w) = (scaled(values(rows * inputs, seed)), values(outputs * inputs, !seed));
        let bias = scaled(values(outputs, seed ^ 5));
        let packed = Bf16Weights::pack(&w, outputs, inputs);
        let y = same_on_every_isa(|compute| {
            let mut y = vec![f32::NAN; rows * outputs];
            linear_bf16(compute, &Bf16Rows::round(compute, &x, inputs), &packed, Some(&bias), &mut y);
            bits(&y)
        });
        let brain = |value: f32| Format::Bf16.round(value);
        let mut documented = Vec::new();
        for x in x.chunks_exact(inputs) {
            for (w, bias) in w.chunks_exact(inputs).zip(&bias) {
                let mut sum = 0.0f32;
                for (x, w) in x.chunks(2).zip(w.chunks(2)) {
                    for (x, w) in x.iter().zip(w).rev() {
                        sum = brain(*x).mul_add(brain(*w), sum);
                    }
                }
                documented.push(brain(sum + brain(*bias)));
            }
        }
        prop_assert_eq!(y, bits(&documented));
    }

    #[test]
    fn int8_adds_exactly_what_was_quantised(
        rows in 1usize..15, inputs in 1usize..300, outputs in 1usize..70, seed: u64,
    ) {
        let (x, w, bias) = (values(rows * inputs, seed), values(outputs * inputs, !seed), values(outputs, seed ^ 5));
        let packed = Int8Weights::quantise(&w, outputs, inputs);
        let y = same_on_every_isa(|compute| {
            let mut y = vec![f32::NAN; rows * outputs];
            linear_int8(compute, &Int8Rows::quantise(compute, &x, inputs), &packed, Some(&bias), &mut y);
            bits(&y)
        });
        let quantised = |row: &[f32]| {
            let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let per_unit = 127.0 / largest;
            let levels = row.iter().map(|x| (x * per_unit).round_ties_even() as i64);
            (levels.collect::<Vec<i64>>(), largest / 127.0)
        };
        let weights: Vec<_> = w.chunks_exact(inputs).map(quantised).collect();
        let mut documented = Vec::new();
        for x in x.chunks_exact(inputs) {
            let (x, step) = quantised(x);
            for ((w, worth), bias) in weights.iter().zip(&bias) {
                let sum: i64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                documented.push((sum as f32).mul_add(step * worth, *bias));
            }
        }
        prop_assert_eq!(y, bits(&documented));
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours_in_any_precision(rows in 2usize..40, inputs in 1usize..500, outputs in 1usize..50, seed: u64) {
        let (x, w) = (values(rows * inputs, seed), values(outputs * inputs, !seed));
        let (brain, int8) = (Bf16Weights::pack(&w, outputs, inputs), Int8Weights::quantise(&w, outputs, inputs));
        let compute = &Compute::fastest();
        let layers: [Layer<'_>; 2] = [
            &|x, y| linear_bf16(compute, &Bf16Rows::round(compute, x, inputs), &brain, None, y),
            &|x, y| linear_int8(compute, &Int8Rows::quantise(compute, x, inputs), &int8, None, y),
        ];
        for layer in layers {
            let mut together = vec![0.0; rows * outputs];
            layer(&x, &mut together);
            for (x, together) in x.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
                let mut alone = vec![0.0; outputs];
                layer(x, &mut alone);
                prop_assert_eq!(bits(&alone), bits(together));
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours(rows in 2usize..130, inputs in 1usize..500, outputs in 1usize..130, seed: u64) {
        let (x, w) = (values(rows * inputs, seed), values(outputs * inputs, !seed));
        let packed = PackedWeights::pack(&w, outputs, inputs);
        let mut together = vec![0.0; rows * outputs];
        linear(&Compute::fastest(), &x, &packed, None, &mut together);
        for (x, together) in x.chunks_exact(inputs).zip(together.chunks_exact(outputs)) {
            let mut alone = vec![0.0; outputs];
            linear(&Compute::fastest(), x, &packed, None, &mut alone);
            prop_assert_eq!(bits(&alone), bits(together));
        }
    }

    #[test]
    fn every_gemm_computes_the_same_function(rows in 1usize..8, inputs in 1usize..300, outputs in 1usize..40, n in 1usize..9, seed: u64) {
        let (x, w, bias) = (values(rows * inputs, seed), values(outputs * inputs, !seed), values(outputs, seed ^ 9));
        let packed = PackedWeights::pack(&w, outputs, inputs);
        let libraries = Library::ALL.iter().map(|library| Gemm::Library(*library));
        for gemm in [Gemm::Native, Gemm::Chunk(n * 16), Gemm::SplitK(n)].into_iter().chain(libraries) {
            let mut y = vec![f32::NAN; rows * outputs];
            gemm.linear(&Compute::fastest(), &x, &packed, Some(&bias), &mut y);
            for (at, &y) in y.iter().enumerate() {
                let (row, output) = (at / outputs, at % outputs);
                let terms = (0..inputs).map(|k| f64::from(x[row * inputs + k]) * f64::from(w[output * inputs + k]));
                let exact = terms.clone().sum::<f64>() + f64::from(bias[output]);
                let scale = terms.map(f64::abs).sum::<f64>() + 1.0;
                prop_assert!((f64::from(y) - exact).abs() <= 1e-5 * scale, "{gemm:?}: {y} for {exact}");
            }
        }
    }

    #[test]
    fn split_k_adds_its_parts_pairwise(inputs in 1usize..200, parts in 1usize..9, seed: u64) {
        let (x, w) = (values(inputs, seed), values(inputs, !seed));
        let mut sums: Vec<f32> = x.chunks(inputs.div_ceil(parts)).zip(w.chunks(inputs.div_ceil(parts)))
            .map(|(x, w)| x.iter().zip(w).fold(0.0f32, |sum, (x, w)| x.mul_add(*w, sum)))
            .collect();
        while sums.len() > 1 {
            sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
        }
        let mut y = [0.0];
        Gemm::SplitK(parts).linear(&Compute::fastest(), &x, &PackedWeights::pack(&w, 1, inputs), None, &mut y);
        prop_assert_eq!(y[0].to_bits(), sums[0].to_bits());
    }

    #[test]
    fn short_reductions_and_elementwise_kernels_agree(rows in 1usize..6, width in 1usize..140, seed: u64) {
        let x = values(rows * width, seed);
        let (gamma, beta) = (values(width, !seed), values(width, seed ^ 3));
        for variance in [Variance::TwoPass, Variance::OnePass] {
            same_on_every_isa(|compute| {
                let mut x = x.clone();
                layer_norm(compute, variance, &mut x, &gamma, &beta, 1e-12);
                bits(&x)
            });
        }
        let residual = values(x.len(), seed ^ 21);
        let fused = same_on_every_isa(|compute| {
            let mut x = x.clone();
            add_layer_norm(compute, Variance::TwoPass, &mut x, &residual, &gamma, &beta, 1e-12);
            bits(&x)
        });
        let mut apart: Vec<f32> = x.iter().zip(&residual).map(|(x, r)| x + r).collect();
        layer_norm(&Compute::scalar(), Variance::TwoPass, &mut apart, &gamma, &beta, 1e-12);
        prop_assert_eq!(fused, bits(&apart));
        same_on_every_isa(|compute| {
            let mut x = x.clone();
            exponential(compute, &mut x);
            bits(&x)
        });
        for format in [Format::F16, Format::Bf16] {
            same_on_every_isa(|compute| {
                let mut x = x.clone();
                round(compute, format, &mut x);
                bits(&x)
            });
        }
        for form in [Normalize::Divide, Normalize::Rsqrt] {
            let y = same_on_every_isa(|compute| {
                let mut x = x.clone();
                normalize(compute, form, &mut x, width);
                bits(&x)
            });
            for row in y.chunks_exact(width) {
                let length: f64 = row.iter().map(|&b| f64::from(f32::from_bits(b)).powi(2)).sum();
                prop_assert!((length - 1.0).abs() < 1e-5, "{length}");
            }
        }
        for form in [Gelu::Erf, Gelu::Tanh] {
            same_on_every_isa(|compute| {
                let mut x = x.clone();
                gelu(compute, form, &mut x);
                bits(&x)
            });
        }
    }

    #[test]
    fn attention_ignores_tokens_that_are_no_keys(format in formats(), tokens in 1usize..40, heads in 1usize..4, size in 1usize..40, masked in 0usize..20, seed: u64) {
        let width = heads * size;
        let rows = |seed| values((tokens + masked) * width, seed);
        let (query, key, value) = (rows(seed), rows(!seed), rows(seed ^ 77));
        let attend: Vec<bool> = (0..tokens + masked).map(|token| token < tokens).collect();
        let padded = same_on_every_isa(|compute| {
            let mut context = vec![f32::NAN; (tokens + masked) * width];
            let projections = Projections { query: &query, key: &key, value: &value, attend: Some(&attend), heads, width, format };
            attention(compute, &projections, &mut context);
            bits(&context)
        });
        let own = tokens * width;
        let mut context = vec![f32::NAN; own];
        let projections = Projections {
            query: &query[..own], key: &key[..own], value: &value[..own], attend: None, heads, width, format,
        };
        attention(&Compute::fastest(), &projections, &mut context);
        prop_assert_eq!(bits(&context), &padded[..own]);
    }

    #[test]
    fn the_nearest_centroid_is_the_first_of_the_best(rows in 1usize..150, count in 1usize..70, width in 1usize..40, seed: u64) {
        // Few distinct values, so that ties are common.
        let coarse = |seed, len| values(len, seed).iter().map(|v| v.round()).collect::<Vec<f32>>();
        let (x, c) = (coarse(seed, rows * width), coarse(!seed, count * width));
        let packed = PackedWeights::pack(&c, count, width);
        let norms = squared_norms(&Compute::scalar(), &c, width);
        let codes = same_on_every_isa(|compute| nearest_by_dot(compute, &x, &packed));
        let nearest = same_on_every_isa(|compute| nearest_by_l2(compute, &x, &packed, &norms));
        for (row, x) in x.chunks_exact(width).enumerate() {
            // Small integers: every product and sum is exact, so the plain definition is the truth.
            let dots: Vec<f32> = c.chunks_exact(width).map(|c| x.iter().zip(c).map(|(a, b)| a * b).sum()).collect();
            let distances: Vec<f32> = c.chunks_exact(width).map(|c| x.iter().zip(c).map(|(a, b)| (a - b) * (a - b)).sum()).collect();
            let largest = dots.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
            prop_assert_eq!(codes[row] as usize, dots.iter().position(|&d| d == largest).unwrap());
            prop_assert_eq!(nearest[row], (distances.iter().position(|&d| d == least).unwrap() as u32, least));
        }
    }

    #[test]
    fn maxsim_is_the_sum_of_the_maxima(queries in 1usize..40, tokens in 0usize..50, width in 1usize..64, seed: u64) {
        let (q, d) = (values(queries * width, seed), values(tokens * width, !seed));
        let packed = PackedWeights::pack(&q, queries, width);
        for floor in [Floor::None, Floor::Zero] {
            let score = f32::from_bits(same_on_every_isa(|compute| maxsim(compute, &packed, &d, floor).to_bits()));
            let exact: f64 = q.chunks_exact(width).map(|q| {
                let start = if floor == Floor::Zero { 0.0 } else { f64::NEG_INFINITY };
                let best = d.chunks_exact(width)
                    .map(|d| q.iter().zip(d).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
                    .fold(start, f64::max);
                if tokens == 0 { 0.0 } else { best }
            }).sum();
            prop_assert!((f64::from(score) - exact).abs() <= 1e-3 * (1.0 + exact.abs()), "{score} for {exact}");
        }
    }
}

#[test]
fn rows_of_zeros_and_of_no_numbers_are_quantised() {
    let weights = Int8Weights::quantise(&[1.0, -2.0, 0.5, 0.0, 0.0, 0.0], 2, 3);
    for compute in &Compute::available() {
        let mut y = [f32::NAN; 8];
        let x = [
            0.0,
            0.0,
            0.0,
            1e-45,
            0.0,
            0.0,
            f32::INFINITY,
            1.0,
            1.0,
            1.0,
            f32::NAN,
            0.0,
        ];
        let x = Int8Rows::quantise(compute, &x, 3);
        linear_int8(compute, &x, &weights, Some(&[0.5, 0.25]), &mut y);
        assert_eq!(y[..4], [0.5, 0.25, 0.5, 0.25], "{compute}");
        assert!(y[4].is_nan() && y[6].is_nan(), "{compute}: {y:?}");
    }
}

#[test]
fn layer_norm_of_a_constant_row_is_its_shift() {
    for variance in [Variance::TwoPass, Variance::OnePass] {
        let mut x = [3.0; 20];
        layer_norm(
            &Compute::fastest(),
            variance,
            &mut x,
            &[2.0; 20],
            &[0.25; 20],
            1e-12,
        );
        assert_eq!(x, [0.25; 20]);
    }
}

#[test]
fn a_zero_row_stays_zero_when_normalised() {
    let mut x = [0.0; 9];
    normalize(&Compute::fastest(), Normalize::Divide, &mut x, 9);
    assert_eq!(x, [0.0; 9]);
}
