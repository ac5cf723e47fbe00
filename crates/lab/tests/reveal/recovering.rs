//! Trees of simulated operations come back as they were.

use concord_lab::reveal::{
    Masks, Order, Pairing, RecoverError, RecoverOptions, SumTree, label, recover,
};
use concord_tensor::DType;
use proptest::prelude::*;

use crate::simulated::{
    Simulated, lanes_by_halves, random_tree, recovered, recovered_tree, sequence, tree,
};

#[test]
fn regular_orders_take_as_many_pairs_as_the_reference_says() {
    // The closed forms of `fprev.md`, section 4.5; of terms n and a width w.
    type PairsOf = fn(usize) -> usize;
    let orders: [(Order, PairsOf); 12] = [
        (Order::SEQUENTIAL, |n| n - 1),
        (Order::REVERSED, |n| 2 * n - 3),
        (Order::Pairwise(Pairing::Neighbours), |n| {
            n / 2 * n.ilog2() as usize
        }),
        (Order::Pairwise(Pairing::HalvesUp), |n| {
            n / 2 * n.ilog2() as usize
        }),
        (Order::Pairwise(Pairing::Far), |n| {
            n / 2 * n.ilog2() as usize
        }),
        (Order::lanes(8, Order::Pairwise(Pairing::Neighbours)), |n| {
            5 * n / 2 - 8
        }),
        (lanes_by_halves(8), |n| 5 * n / 2 - 8),
        (Order::Fused { width: 4 }, |n| 5 * n / 2 - 4),
        (Order::Fused { width: 8 }, |n| 9 * n / 2 - 8),
        (Order::Fused { width: 16 }, |n| 17 * n / 2 - 16),
        (Order::AtOnce, |n| n * (n - 1) / 2),
        (
            Order::Sequential {
                reversed: true,
                group: 2,
            },
            |n| 3 * n,
        ),
    ];
    for terms in [64, 256] {
        for (order, pairs) in &orders {
            let tree = tree(order, terms);
            let (found, asked) = recovered_tree(&tree);
            assert_eq!(found, tree, "{order:?} of {terms}");
            assert!(
                asked <= pairs(terms),
                "{order:?} of {terms}: {asked}, not {}",
                pairs(terms)
            );
        }
        // Four runs, added in order and, with one more level, pairwise.
        for (order, expected) in [
            (Order::runs(terms / 4), 7 * terms / 4 - 4),
            (Order::split_k(terms, 4), 2 * terms - 4),
        ] {
            let tree = tree(&order, terms);
            assert_eq!(recovered_tree(&tree), (tree, expected));
        }
    }
}

#[test]
fn orders_of_any_number_of_terms_are_recovered() {
    for terms in (1..20).chain([100, 384]) {
        for order in [
            Order::SEQUENTIAL,
            Order::REVERSED,
            Order::Sequential {
                reversed: false,
                group: 2,
            },
            lanes_by_halves(16),
            Order::runs(112),
            Order::split_k(terms, 3),
            Order::Fused { width: 16 },
            Order::Pairwise(Pairing::HalvesDown),
        ] {
            let tree = tree(&order, terms);
            assert_eq!(recovered_tree(&tree).0, tree, "{order:?} of {terms}");
        }
    }
}

#[test]
fn a_chain_that_begins_anywhere_is_no_bad_case() {
    // Terms join alternately on both sides of the middle: neither the first term nor the last is a good
    // pivot for what is left.
    let terms: usize = 256;
    let (mut additions, mut sum) = (Vec::new(), terms / 2);
    for step in 1..terms {
        let term = if step % 2 == 1 {
            terms / 2 - step.div_ceil(2)
        } else {
            terms / 2 + step / 2
        };
        additions.push(vec![sum, term]);
        sum = terms + step - 1;
    }
    let tree = SumTree::new(terms, additions, sum).unwrap();
    let (found, pairs) = recovered_tree(&tree);
    assert_eq!(found, tree);
    assert!(pairs < 6 * terms, "{pairs}");
}

#[test]
fn three_hundred_random_trees_of_mixed_additions_are_recovered() {
    for seed in 0..400 {
        let mut next = sequence(seed);
        let (terms, most) = (2 + next(63), 2 + next(16));
        let tree = random_tree(terms, most, next);
        let (found, _) = recovered_tree(&tree);
        assert_eq!(found, tree, "seed {seed}");
        assert_eq!(found.hash(), tree.hash());
        // Whatever the words are, the rule behind them makes this tree.
        assert_eq!(
            Order::of(&tree).tree(terms).as_ref(),
            Some(&tree),
            "seed {seed}"
        );
        assert!(!label(&tree).is_empty());
    }
}

#[test]
fn results_that_count_to_256_are_enough_where_terms_may_be_zero() {
    let masks = Masks::new(DType::BF16, DType::F32, DType::BF16).unwrap();
    assert_eq!(masks.exact, 256);
    for order in [
        Order::runs(192),
        lanes_by_halves(16),
        Order::Fused { width: 16 },
    ] {
        let tree = tree(&order, 600);
        let mut operation = Simulated {
            masks,
            output: DType::BF16,
            slots: 600,
            ..Simulated::new(tree.clone())
        };
        let recovery = recover(&mut operation, &RecoverOptions::default()).unwrap();
        assert_eq!(recovery.orders[0].tree, tree);
        println!("bf16 results: {:?}", recovery.statistics);
        // 600 units are counted in three blocks.
        assert_eq!(recovery.statistics.probes, 3 * recovery.statistics.pairs);

        operation.takes_zeros = false;
        let error = recover(&mut operation, &RecoverOptions::default()).unwrap_err();
        assert!(matches!(
            error,
            RecoverError::RangeTooSmall {
                needed: 598,
                exact: 256,
                ..
            }
        ));
        assert!(error.to_string().contains("f32"), "{error}");
    }
}

#[test]
fn f16_results_count_far_enough_for_1536_terms() {
    let masks = Masks::new(DType::F16, DType::F32, DType::F16).unwrap();
    let tree = tree(&Order::Fused { width: 8 }, 1536);
    let mut operation = Simulated {
        masks,
        output: DType::F16,
        slots: 2272,
        takes_zeros: false,
        ..Simulated::new(tree.clone())
    };
    let recovery = recovered(&mut operation);
    assert_eq!(recovery.orders[0].tree, tree);
    assert_eq!(recovery.statistics.probes, recovery.statistics.pairs);
}

#[test]
fn places_that_add_differently_are_told_apart() {
    let trees =
        [Order::runs(112), Order::runs(96), Order::SEQUENTIAL].map(|order| tree(&order, 384));
    let mut operation = Simulated {
        trees: trees.to_vec(),
        // The last rows have a kernel of their own, and so has one in the middle.
        choose: Box::new(|place, _, _| match place {
            0..=3 | 5..=7 => 0,
            4 => 2,
            _ => 1,
        }),
        places: 10,
        slots: 500,
        ..Simulated::new(trees[0].clone())
    };
    let recovery = recovered(&mut operation);
    let found: Vec<_> = recovery.orders.iter().map(|order| &order.tree).collect();
    assert_eq!(found, [&trees[0], &trees[1], &trees[2]]);
    let places = |at: usize| recovery.orders[at].regions[0].places.clone();
    assert_eq!(places(0), [0..4, 5..8]);
    assert_eq!(places(1), vec![8..10]);
    assert_eq!(places(2), vec![4..5]);
    assert_eq!(recovery.orders[0].sums, 7 * 500);
    assert_eq!(recovery.order_at(4, 499).unwrap().tree, trees[2]);
    assert_eq!(recovery.order_at(10, 0), None);
    println!("three orders: {:?}", recovery.statistics);
}

#[test]
fn slots_that_add_differently_are_told_apart() {
    let trees = [lanes_by_halves(16), Order::SEQUENTIAL].map(|order| tree(&order, 96));
    let mut operation = Simulated {
        trees: trees.to_vec(),
        choose: Box::new(|place, slot, _| usize::from(slot >= 120 && place > 0)),
        places: 3,
        slots: 128,
        ..Simulated::new(trees[0].clone())
    };
    let recovery = recovered(&mut operation);
    assert_eq!(recovery.orders.len(), 2);
    assert_eq!(recovery.orders[0].tree, trees[0]);
    assert_eq!(recovery.orders[0].sums, 120 * 3 + 8);
    assert_eq!(recovery.order_at(0, 127).unwrap().tree, trees[0]);
    assert_eq!(recovery.order_at(2, 120).unwrap().tree, trees[1]);
}

#[test]
fn slots_that_the_survey_takes_for_alike_are_told_apart_later() {
    let trees = [Order::runs(112), Order::runs(96)].map(|order| tree(&order, 384));
    let mut operation = Simulated {
        trees: trees.to_vec(),
        choose: Box::new(|_, slot, _| slot % 2),
        slots: 300,
        ..Simulated::new(trees[0].clone())
    };
    let options = RecoverOptions {
        survey: 0,
        ..RecoverOptions::default()
    };
    let recovery = recover(&mut operation, &options).unwrap();
    let sums: Vec<usize> = recovery.orders.iter().map(|order| order.sums).collect();
    assert_eq!(sums, [150, 150]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_seed_changes_the_questions_and_not_the_tree(seed: u64, tree_seed: u64, terms in 2usize..64) {
        let tree = random_tree(terms, 6, sequence(tree_seed));
        let options = RecoverOptions { seed, ..RecoverOptions::default() };
        let recovery = recover(&mut Simulated::new(tree.clone()), &options).unwrap();
        prop_assert_eq!(&recovery.orders[0].tree, &tree);
        let again = recover(&mut Simulated::new(tree), &options).unwrap();
        prop_assert_eq!(recovery, again);
    }
}
