//! The native kernels add as they document, and ordinary numbers added in a recovered order give their bits.

use std::convert::Infallible;

use concord_kernels::compute::Compute;
use concord_kernels::gemm::Gemm;
use concord_kernels::library::Library;
use concord_kernels::linear::{PackedWeights, RUN};
use concord_kernels::reduction::{LANES, lane_reduce};
use concord_lab::reveal::{
    BiasPlace, LinearProbes, LinearShape, Masked, MultiplyAdd, Operands, Order, RecoverOptions,
    Recovery, Replay, ReplayError, Sample, SumProbes, SumTree, label, recover, replay,
};
use concord_model::encoder::linear_alone;
use concord_model::numerics::Arithmetic;
use concord_model::precision::Precision;
use concord_tensor::DType;
use proptest::prelude::*;

use crate::simulated::{Function, add, lanes_by_halves, random_tree, sequence, tree};

fn native(
    shape: LinearShape,
    masked: Masked,
    compute: &Compute,
    gemm: Gemm,
) -> LinearProbes<impl FnMut(Operands<'_>) -> Result<Vec<f32>, Infallible> + use<>> {
    let compute = compute.clone();
    let run = move |operands: Operands<'_>| {
        let LinearShape {
            rows,
            inputs,
            outputs,
        } = operands.shape;
        let weights = PackedWeights::pack(operands.w, outputs, inputs);
        let mut y = vec![0.0; rows * outputs];
        gemm.linear(&compute, operands.x, &weights, None, &mut y);
        Ok(y)
    };
    LinearProbes::new(shape, masked, [DType::F32; 3], run).unwrap()
}

/// The tree that a native product documents.
fn documented(gemm: Gemm, inputs: usize) -> SumTree {
    let order = match gemm {
        Gemm::Native => Order::runs(RUN),
        Gemm::Chunk(run) => Order::runs(run),
        Gemm::SplitK(parts) => Order::split_k(inputs, parts),
        Gemm::Library(_) => unreachable!("its order is its own affair"),
    };
    tree(&order, inputs)
}

/// Recovers the trees of a product and replays each on ordinary numbers.
fn revealed(
    shape: LinearShape,
    masked: Masked,
    compute: &Compute,
    gemm: Gemm,
) -> (Recovery, Vec<Replay>) {
    let mut operation = native(shape, masked, compute, gemm);
    let recovery = recover(&mut operation, &RecoverOptions::default()).unwrap();
    let trial = operation.trial(11).unwrap();
    let samples = trial.samples();
    let replays = (recovery.orders.iter())
        .map(|order| {
            let here: Vec<Sample<'_>> = (samples.iter())
                .filter(|(place, slot, _)| recovery.order_at(*place, *slot) == Some(order))
                .map(|(_, _, sample)| *sample)
                .collect();
            replay(&order.tree, &here, DType::F32).unwrap()
        })
        .collect();
    (recovery, replays)
}

#[test]
fn the_native_products_add_as_they_document_on_every_instruction_set() {
    for compute in &Compute::available() {
        for inputs in [384, 1536, 100] {
            for gemm in [
                Gemm::Native,
                Gemm::Chunk(112),
                Gemm::Chunk(1),
                Gemm::SplitK(4),
                Gemm::SplitK(3),
            ] {
                // Rows for each of the kernel's tiles: one of six, one of two, and a last one.
                let shape = LinearShape {
                    rows: 9,
                    inputs,
                    outputs: 96,
                };
                let (recovery, replays) = revealed(shape, Masked::Weights, compute, gemm);
                assert!(recovery.is_uniform(), "{compute} {gemm:?}");
                assert_eq!(
                    recovery.orders[0].tree,
                    documented(gemm, inputs),
                    "{compute} {gemm:?} {inputs}"
                );
                let [replay] = replays[..] else { panic!() };
                assert_eq!(
                    replay.reproduced, replay.compared,
                    "{compute} {gemm:?} {inputs}: {replay:?}"
                );
                assert!(
                    replay.telling > replay.compared / 4,
                    "{gemm:?} {inputs}: {replay:?}"
                );
                let separate = gemm == Gemm::Chunk(1);
                let fused = replay.arithmetic.unwrap().multiply_add;
                assert_eq!(fused == MultiplyAdd::Separate, separate, "{gemm:?}");
                if compute.isa_name() == Compute::fastest().isa_name() {
                    println!(
                        "{inputs} {gemm:?}: {}; {:?}",
                        label(&recovery.orders[0].tree),
                        recovery.statistics
                    );
                }
            }
        }
    }
}

/// The tree of one chain that takes the second input of each pair before the first.
fn pairs_swapped(inputs: usize) -> SumTree {
    let pairs = (0..inputs).step_by(2);
    let terms: Vec<usize> = pairs
        .flat_map(|first| [first + 1, first])
        .filter(|&term| term < inputs)
        .collect();
    let mut additions = vec![vec![terms[0], terms[1]]];
    for (node, &term) in terms[2..].iter().enumerate() {
        additions.push(vec![inputs + node, term]);
    }
    let total = inputs + additions.len() - 1;
    SumTree::new(inputs, additions, total).unwrap()
}

#[test]
fn reduced_precisions_add_as_they_document_on_every_instruction_set() {
    for (precision, dtype) in [(Precision::Bf16, DType::BF16), (Precision::F16, DType::F16)] {
        for (compute, inputs) in (Compute::available().iter())
            .flat_map(|compute| [384, 101].map(|inputs| (compute, inputs)))
        {
            let shape = LinearShape {
                rows: 9,
                inputs,
                outputs: 40,
            };
            let run = |operands: Operands<'_>| -> Result<Vec<f32>, Infallible> {
                let arithmetic = Arithmetic::default();
                let Operands { x, w, .. } = operands;
                Ok(linear_alone(precision, arithmetic, compute, x, w, inputs))
            };
            let dtypes = [dtype, DType::F32, dtype];
            let mut operation = LinearProbes::new(shape, Masked::Weights, dtypes, run).unwrap();
            let recovery = recover(&mut operation, &RecoverOptions::default()).unwrap();
            let documented = match precision {
                Precision::Bf16 => pairs_swapped(inputs),
                _ => documented(Gemm::Native, inputs),
            };
            assert!(recovery.is_uniform(), "{precision} {compute} {inputs}");
            assert_eq!(
                recovery.orders[0].tree,
                documented,
                "{precision} {compute} {inputs}: {}",
                label(&recovery.orders[0].tree)
            );
            let trial = operation.trial(5).unwrap();
            let samples: Vec<Sample<'_>> = (trial.samples().iter())
                .map(|(_, _, sample)| *sample)
                .collect();
            let replay = replay(&recovery.orders[0].tree, &samples, dtype).unwrap();
            assert_eq!(
                replay.reproduced, replay.compared,
                "{precision} {compute} {inputs}"
            );
            if compute.isa_name() == Compute::fastest().isa_name() {
                println!(
                    "{precision} K={inputs}: {}",
                    label(&recovery.orders[0].tree)
                );
            }
        }
    }
}

#[test]
fn short_reductions_add_as_they_document() {
    for terms in [16, 96, 100, 384] {
        let mut operation = Function(terms, |x: &[f32]| lane_reduce(x, |sum, x| sum + x));
        let recovery = recover(&mut operation, &RecoverOptions::default()).unwrap();
        let lanes = tree(&lanes_by_halves(LANES), terms);
        assert_eq!(recovery.orders[0].tree, lanes, "{terms}");
    }
}

#[test]
fn sums_of_vectors_are_revealed_and_replayed() {
    for terms in [2, 100, 1000] {
        let run = |vectors: &[f32]| -> Result<Vec<f32>, Infallible> {
            let vectors = vectors.chunks_exact(terms);
            let sums = vectors.map(|x| lane_reduce(x, |sum, x| sum + x));
            Ok(sums.collect())
        };
        let mut sums = SumProbes::new(terms, run).unwrap();
        let recovery = recover(&mut sums, &RecoverOptions::default()).unwrap();
        assert_eq!(
            recovery.orders[0].tree,
            tree(&lanes_by_halves(LANES), terms)
        );
        let trial = sums.trial(3).unwrap();
        let samples = trial.samples();
        let replay = replay(&recovery.orders[0].tree, &samples, DType::F32).unwrap();
        assert_eq!(replay.reproduced, samples.len());
        // In another order the numbers would give other sums.
        assert!(
            terms == 2 || replay.telling > samples.len() / 2,
            "{replay:?}"
        );
    }
}

#[test]
fn columns_add_alike_too() {
    let shape = LinearShape {
        rows: 300,
        inputs: 384,
        outputs: 70,
    };
    for compute in &Compute::available() {
        let (recovery, replays) = revealed(shape, Masked::Inputs, compute, Gemm::Native);
        assert!(recovery.is_uniform());
        assert_eq!(recovery.orders[0].tree, documented(Gemm::Native, 384));
        assert_eq!(replays[0].reproduced, replays[0].compared);
    }
}

#[test]
fn products_of_libraries_are_reproduced_by_what_was_recovered() {
    let shapes = [(1, 384), (9, 384), (71, 384), (9, 1536)];
    for (library, (rows, inputs)) in
        (Library::ALL.iter()).flat_map(|library| shapes.map(|shape| (*library, shape)))
    {
        let shape = LinearShape {
            rows,
            inputs,
            outputs: 96,
        };
        let (recovery, replays) = revealed(
            shape,
            Masked::Weights,
            &Compute::fastest(),
            Gemm::Library(library),
        );
        for (order, replay) in recovery.orders.iter().zip(&replays) {
            println!(
                "{} M={rows} K={inputs}: {}, {replay:?}, {:?}",
                library.name(),
                label(&order.tree),
                order.regions
            );
            assert_eq!(replay.reproduced, replay.compared, "{}", label(&order.tree));
        }
        println!("{:?}", recovery.statistics);
    }
}

#[test]
fn a_tree_that_is_not_the_order_is_not_replayed() {
    let mut operation = native(
        LinearShape {
            rows: 7,
            inputs: 384,
            outputs: 40,
        },
        Masked::Weights,
        &Compute::fastest(),
        Gemm::Native,
    );
    let trial = operation.trial(3).unwrap();
    let samples: Vec<Sample<'_>> = trial
        .samples()
        .into_iter()
        .map(|(_, _, sample)| sample)
        .collect();
    for wrong in [Order::SEQUENTIAL, Order::runs(96), lanes_by_halves(16)] {
        let replay = replay(&tree(&wrong, 384), &samples, DType::F32).unwrap();
        assert_eq!(replay.arithmetic, None);
        assert!(replay.reproduced < replay.compared);
    }
    let fused = replay(
        &tree(&Order::Fused { width: 16 }, 384),
        &samples,
        DType::F32,
    );
    assert!(matches!(fused, Err(ReplayError::NotBinary { parts: 17 })));
}

#[test]
fn a_bias_shows_in_the_replay_wherever_it_joins() {
    let (a, b) = ([0.1f32, 0.7, -0.3, 1.9], [1.3f32, -0.2, 0.9, 0.77]);
    let bias = 0.333;
    let order = tree(&Order::SEQUENTIAL, 4);
    let last = a.iter().zip(b).fold(0.0, |sum, (a, b)| a.mul_add(b, sum)) + bias;
    let first = a.iter().zip(b).fold(bias, |sum, (a, b)| a.mul_add(b, sum));
    assert_ne!(first, last);
    for (result, place) in [(last, BiasPlace::Last), (first, BiasPlace::First)] {
        let sample = Sample {
            a: &a,
            b: &b,
            bias: Some(bias),
            result,
        };
        let replay = replay(&order, &[sample], DType::F32).unwrap();
        assert_eq!(replay.arithmetic.unwrap().bias, place);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn native_products_of_any_shape_are_revealed_and_replayed(
        rows in 1usize..12, inputs in 1usize..300, outputs in 1usize..40,
        gemm in prop_oneof![
            Just(Gemm::Native),
            (1usize..120).prop_map(Gemm::Chunk),
            (1usize..9).prop_map(Gemm::SplitK),
        ],
    ) {
        let shape = LinearShape { rows, inputs, outputs };
        let (recovery, replays) = revealed(shape, Masked::Weights, &Compute::fastest(), gemm);
        prop_assert!(recovery.is_uniform());
        prop_assert_eq!(&recovery.orders[0].tree, &documented(gemm, inputs));
        prop_assert_eq!(replays[0].reproduced, replays[0].compared, "{:?}", replays[0]);
    }

    #[test]
    fn binary_trees_are_replayed_bit_for_bit(seed: u64, terms in 2usize..64) {
        let tree = random_tree(terms, 2, sequence(seed));
        let mut next = sequence(!seed);
        let ones = vec![1.0; terms];
        let numbers: Vec<Vec<f32>> = (0..8)
            .map(|_| (0..terms).map(|_| (next(1 << 24) as f32 - 8e6) * 2f32.powi(next(20) as i32)).collect())
            .collect();
        let samples: Vec<Sample<'_>> = numbers.iter()
            .map(|a| Sample { a, b: &ones, bias: None, result: add(&tree, a) })
            .collect();
        let replay = replay(&tree, &samples, DType::F32).unwrap();
        prop_assert_eq!(replay.reproduced, replay.compared);
    }
}
