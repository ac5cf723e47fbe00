//! Trees are put into words that are true of them.

use concord_lab::reveal::{Cut, Order, Pairing, label};

use crate::simulated::{
    cascade_tree, lanes_by_halves, random_tree, recovered_tree, sequence, tree,
};

#[test]
fn words_say_what_the_tree_is() {
    let told = |order: &Order, terms: usize| label(&tree(order, terms));
    assert_eq!(told(&Order::SEQUENTIAL, 1), "a single term");
    assert_eq!(told(&Order::SEQUENTIAL, 384), "sequential");
    assert_eq!(
        told(&Order::REVERSED, 384),
        "sequential from the last to the first"
    );
    assert_eq!(told(&Order::AtOnce, 384), "all in one addition");
    assert_eq!(told(&Order::Pairwise(Pairing::Neighbours), 384), "pairwise");
    assert_eq!(
        told(&Order::Pairwise(Pairing::Far), 384),
        "pairwise, the far ones first"
    );
    assert_eq!(
        told(&Order::runs(112), 384),
        "runs of 112, 112, 112, 48, added in order; within a run one after the other"
    );
    assert_eq!(
        told(&Order::runs(192), 384),
        "2 runs of 192, added in order; within a run one after the other"
    );
    assert_eq!(
        told(&Order::runs(192), 1536),
        "8 runs of 192, added in order; within a run one after the other"
    );
    assert_eq!(
        told(&Order::runs(112), 1536),
        "14 runs of 112, the last of 80, added in order; within a run one after the other"
    );
    assert_eq!(
        told(&Order::split_k(384, 4), 384),
        "split-K 4 (4 runs of 96, added pairwise); within a run one after the other"
    );
    assert_eq!(
        told(&Order::lanes(8, Order::Pairwise(Pairing::Neighbours)), 384),
        "8 lanes (terms congruent modulo 8), each one after the other, then pairwise"
    );
    assert_eq!(
        told(&lanes_by_halves(16), 384),
        "16 lanes (terms congruent modulo 16), each one after the other, then pairwise, lane i with lane i + 8 \
         first"
    );
    assert_eq!(
        told(&Order::Fused { width: 16 }, 384),
        "16+1 fused terms (16 and the running sum in one addition), in order"
    );
    assert_eq!(
        told(
            &Order::Sequential {
                reversed: false,
                group: 2
            },
            384
        ),
        "sequential, in groups of 2, each backwards"
    );
}

#[test]
fn words_go_into_parts_of_parts() {
    let nested = |cut, within: Order, joined: Order| Order::Parts {
        cut,
        within: vec![within],
        joined: Box::new(joined),
    };
    let split_in_runs = nested(Cut::Runs(128), Order::split_k(128, 4), Order::REVERSED);
    assert_eq!(
        label(&tree(&split_in_runs, 384)),
        "3 runs of 128, added from the last to the first; within a run, split-K 4 (4 runs of 32, added \
         pairwise); within a run one after the other"
    );
    // The same tree has two descriptions, and the simpler one is taken.
    let twice_split = nested(Cut::Runs(192), Order::split_k(192, 4), Order::SEQUENTIAL);
    assert_eq!(tree(&twice_split, 384), tree(&Order::split_k(384, 8), 384));
    let lanes_in_runs = nested(Cut::Runs(96), lanes_by_halves(8), Order::REVERSED);
    assert_eq!(
        label(&tree(&lanes_in_runs, 384)),
        "4 runs of 96, added from the last to the first; within a run, 8 lanes (terms congruent modulo 8), \
         each one after the other, then pairwise, lane i with lane i + 4 first"
    );
    let fused_in_split = nested(Cut::Runs(384), Order::Fused { width: 16 }, Order::AtOnce);
    assert_eq!(
        label(&tree(&fused_in_split, 1536)),
        "split-K 4 (4 runs of 384, added in one addition); within a run 16+1 fused terms (16 and the running \
         sum in one addition), in order"
    );
    let onto = Order::Onto {
        head: 96,
        within: Box::new(lanes_by_halves(16)),
    };
    assert_eq!(
        label(&tree(&onto, 100)),
        "the last 4 terms one after the other, onto the sum of the first 96; that sum: 16 lanes (terms \
         congruent modulo 16), each one after the other, then pairwise, lane i with lane i + 8 first"
    );
}

#[test]
fn lanes_that_begin_with_undealt_terms_are_put_into_words() {
    // How a library adds the products of the last rows of a batch, those that fill no tile.
    let order = |head, width| Order::Parts {
        cut: Cut::HeadThenLanes { head, width },
        within: vec![Order::SEQUENTIAL],
        joined: Box::new(Order::Pairwise(Pairing::Far)),
    };
    assert_eq!(
        label(&tree(&order(4, 4), 384)),
        "4 lanes (terms congruent modulo 4), all of the first 4 terms in the first of them, added pairwise, lane \
         i with lane i + 2 first; within a lane one after the other"
    );
    for (head, width, terms) in [(1, 4, 30), (3, 8, 101), (20, 2, 99), (7, 16, 385)] {
        let tree = tree(&order(head, width), terms);
        assert_eq!(recovered_tree(&tree).0, tree);
        assert!(Order::of(&tree).is_regular(), "{head} {width} {terms}");
    }
}

/// How numpy adds contiguous `f32` (`pairwise_sum` in its `loops_utils.h.src`), for multiples of eight.
fn numpy_sum() -> Order {
    Order::Halves {
        multiple: 8,
        block: 128,
        within: Box::new(Order::lanes(8, Order::Pairwise(Pairing::Neighbours))),
    }
}

#[test]
fn a_cascade_sum_is_put_into_words() {
    let told = |terms, width| {
        let tree = cascade_tree(terms, width);
        assert_eq!(recovered_tree(&tree).0, tree);
        assert!(Order::of(&tree).is_regular());
        label(&tree)
    };
    assert_eq!(
        told(384, 8),
        "8 lanes (terms congruent modulo 8), added in order; within a lane, 4 lanes (terms congruent modulo \
         4), each one after the other, then in order"
    );
    assert_eq!(
        told(1000, 8),
        "8 lanes (terms congruent modulo 8), added in order; within a lane, the last of 125 terms and 4 lanes \
         of the others (terms congruent modulo 4), added in order; within a part, runs of 16, 15, added in order; \
         within a run one after the other"
    );
    assert_eq!(
        told(1000, 16),
        "the last 8 of 1000 terms and 16 lanes of the others (terms congruent modulo 16), added in order; \
         part 1: one after the other; parts 2 to 17: 4 lanes (terms congruent modulo 4), the last 2 of 62 \
         terms in the first of them, added in order; within a lane one after the other"
    );
}

#[test]
fn the_sum_of_numpy_is_put_into_words() {
    let tree = tree(&numpy_sum(), 1000);
    assert_eq!(recovered_tree(&tree).0, tree);
    assert_eq!(
        label(&tree),
        "pairwise over the 1000 terms, by halves cut at multiples of 8, down to blocks of at most 128; within \
         a block, 8 lanes (terms congruent modulo 8), each one after the other, then pairwise"
    );
}

#[test]
fn what_has_no_rule_is_told_by_its_numbers() {
    let tree = random_tree(60, 5, sequence(7));
    let words = label(&tree);
    assert!(words.contains("no regular order"), "{words}");
    assert!(
        words.contains("parts") && words.contains(&tree.depth().to_string()),
        "{words}"
    );
    let small = random_tree(9, 3, sequence(5));
    assert!(
        label(&small).contains(&small.to_string()),
        "{}",
        label(&small)
    );
}
