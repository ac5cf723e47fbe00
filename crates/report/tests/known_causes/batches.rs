//! What of a batch decides, where a side pads: a stand-in for PyTorch is altered by what is then told.

use crate::ask::Sides;
use crate::pairs::{Found, Pair, check};

const FIRST: &str = "bert.encoder.layer.0.attention.self";
const LINEAR: &str = "bert.encoder.layer.1.output.dense";
const GELU: &str = "bert.encoder.layer.1.intermediate.intermediate_act_fn";

/// The same side with batches of its own on each, altered at each of `modules` by these rules; and what is found there.
fn pairs(
    batches: &[[&str; 2]],
    modules: &[&'static str],
    rules: &[&str],
    decides: &str,
    says: &'static str,
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (number, [a, b]) in batches.iter().enumerate() {
        let module = modules[number % modules.len()];
        let rules: Vec<String> = rules
            .iter()
            .map(|rule| format!(",alters:{module}@{rule}"))
            .collect();
        let side = |batches: &str| -> &'static str {
            format!("torch==2.8.0,{batches}{}", rules.concat()).leak()
        };
        let found: &'static [&'static str] = Box::leak(Box::new([module]));
        let found = Found::Why(decides.to_owned().leak(), Box::leak(Box::new([found])));
        pairs.push(Pair {
            a: side(a),
            b: side(b),
            found: Box::leak(Box::new([found])),
            says: Box::leak(Box::new([says, "in A's batches B computes what A does"])),
            never: &["rounds", "orders", "formula", "cut out", "implementation"],
        });
    }
    pairs
}

/// The batches of several pairs of sides.
const SIZES: &[[&str; 2]] = &[
    ["batch=8", "batch=40"],
    ["batch=40", "batch=8"],
    ["batch=8,pad=list", "batch=40,pad=list"],
];

#[test]
fn the_padded_length_decides() {
    let batches = [
        ["batch=8", "batch=40"],
        ["batch=40", "batch=8"],
        ["batch=16", "batch=16,pad=list"],
        ["batch=16,pad=list", "batch=16"],
    ];
    let says = "the padded length of the batch decides";
    check(
        &pairs(
            &batches,
            &[LINEAR, FIRST, GELU],
            &["tokens>14"],
            "padded_length",
            says,
        ),
        Sides::Live,
    );
}

#[test]
fn the_number_of_passages_decides() {
    let says = "the number of passages in the batch decides";
    check(
        &pairs(
            SIZES,
            &[FIRST, LINEAR, GELU],
            &["passages>20"],
            "passages",
            says,
        ),
        Sides::Live,
    );
}

#[test]
fn the_place_in_the_batch_decides() {
    let says = "the passage's place in the batch decides";
    let batches = [SIZES, &[["batch=12", "batch=16"]]].concat();
    check(
        &pairs(
            &batches,
            &[LINEAR, FIRST, GELU],
            &["place>9"],
            "place",
            says,
        ),
        Sides::Live,
    );
}

#[test]
fn the_rows_decide() {
    let says = "the number of rows of the batch decides";
    let batches = [
        ["batch=20,pad=list", "batch=40,pad=list"],
        ["batch=40,pad=list", "batch=20,pad=list"],
    ];
    check(
        &pairs(&batches, &[LINEAR, GELU], &["rows>1000"], "rows", says),
        Sides::Live,
    );
}

#[test]
fn two_that_decide_each_alone_are_both_named() {
    let says = "the batch's padded length and the passage's place decide, each alone";
    for module in [LINEAR, FIRST] {
        check(
            &pairs(
                &[["batch=10", "batch=30"]],
                &[module],
                &["tokens>39", "place>5"],
                "padded_length+place",
                says,
            ),
            Sides::Live,
        );
    }
}

#[test]
fn what_else_is_in_the_batch_decides() {
    let says = "what else is in the batch decides";
    check(
        &pairs(&[SIZES[2]], &[GELU], &["beside=57"], "neighbours", says),
        Sides::Live,
    );
}
