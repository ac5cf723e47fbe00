//! Pairs of which at least one side pads its batches, or has an option of PyTorch alone: a stand-in for it, altered by
//! rules, so that it is known what of a batch decides.

use crate::ask::Sides;
use crate::pairs::{Found, Pair, check};

const FIRST: &str = "bert.encoder.layer.0.attention.self";
const SECOND: &str = "bert.encoder.layer.1.attention.self";

const fn pair(
    a: &'static str,
    b: &'static str,
    found: &'static [Found],
    says: &'static [&'static str],
) -> Pair {
    Pair {
        a,
        b,
        found,
        says,
        never: &["rounds", "orders", "formula", "cut out", "implementation"],
    }
}

#[test]
fn code_that_differs_in_some_shapes_alone_is_not_taken_for_the_shape() {
    check(
        &[
            pair(
                "torch==2.8.0,batch=8",
                "torch==2.8.0,batch=8,alters:bert.encoder.layer.0.attention.self@tokens>14",
                &[Found::Why("unknown", &[&[FIRST]])],
                &["why is not known"],
            ),
            pair(
                "torch==2.8.0,batch=8",
                "torch==2.8.0,batch=40,alters:bert.encoder.layer.1.attention.self@tokens>14",
                &[Found::Why("unknown", &[&[SECOND]])],
                &["why is not known"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn an_implementation_of_attention_is_named_where_it_is_the_cause() {
    let pair = |a, b, found, says| Pair {
        never: &[
            "rounds",
            "orders",
            "formula",
            "cut out",
            "decides",
            "not known",
        ],
        ..pair(a, b, found, says)
    };
    check(
        &[
            pair(
                "torch==2.8.0,transformers=4.48.3,alters:bert.encoder.layer.0.attention.self@sdpa",
                "torch==2.8.0,attention=sdpa,alters:bert.encoder.layer.0.attention.self@sdpa",
                &[Found::Why("attention", &[&[FIRST]])],
                &[
                    "attention (eager, sdpa) alone",
                    "A has the implementation eager, B sdpa",
                ],
            ),
            pair(
                "torch==2.8.0,attention=sdpa,alters:bert.encoder.layer.1.attention.self@sdpa",
                "torch==2.8.0,transformers=4.48.3,alters:bert.encoder.layer.1.attention.self@sdpa",
                &[Found::Why("attention", &[&[SECOND]])],
                &["A has the implementation sdpa, B eager"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn a_side_that_disagrees_with_itself_is_named_with_its_module() {
    let pair = |a, b, found, says| Pair {
        never: &[
            "rounds",
            "orders",
            "formula",
            "cut out",
            "decides",
            "not known",
        ],
        ..pair(a, b, found, says)
    };
    check(
        &[
            pair(
                "torch==2.8.0",
                "torch==2.8.0,alters:bert.encoder.layer.0.attention.self@each-time",
                &[Found::Why("random on B", &[&[FIRST]])],
                &["B does not agree with itself"],
            ),
            pair(
                "torch==2.8.0,alters:bert.encoder.layer.1.attention.self@each-time",
                "torch==2.8.0",
                &[Found::Why("random on A", &[&[SECOND]])],
                &["A does not agree with itself"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn a_mask_that_differs_is_the_cause_of_a_module_of_attention_that_is_run_again() {
    let pair = |a, b, found, says| Pair {
        never: &["rounds", "orders", "formula", "cut out", "decides"],
        ..pair(a, b, found, says)
    };
    check(
        &[
            pair(
                "torch==2.8.0",
                "torch==2.8.0,alters:bert.encoder.layer.0.attention.self@hides=57.4",
                &[Found::Mask(FIRST), Found::Why("mask", &[&[FIRST]])],
                &[
                    "they have other attention masks (passage 57: A attends to all",
                    "B not to token 4)",
                ],
            ),
            pair(
                "torch==2.8.0,alters:bert.encoder.layer.1.attention.self@hides=3.1,alters:bert.encoder.layer.1.attention.self@hides=90.2",
                "torch==2.8.0",
                &[Found::Mask(SECOND), Found::Why("mask", &[&[SECOND]])],
                &["(passage 3: A attends not to token 1, B to all"],
            ),
            pair(
                "torch==2.8.0",
                "torch==2.8.0,alters:bert.encoder.layer.0.attention.self@hides=57.4,alters:bert.encoder.layer.0.attention.self@passages>1",
                &[Found::Mask(FIRST), Found::Why("mask and more", &[&[FIRST]])],
                &["and not by these alone"],
            ),
        ],
        Sides::Live,
    );
}
