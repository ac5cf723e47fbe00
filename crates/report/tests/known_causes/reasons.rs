//! The reasons of causes, in few words and in full, held against what is so.

use std::collections::BTreeSet;

use concord_pipeline::ModulePattern;
use serde_json::Value as Json;

use crate::dimensions;
use crate::facts::Facts;
use crate::masks;
use crate::text::Text;
use crate::told::{modules_of, side};
use crate::ways::{self, Shape, Short};

/// The reason in the sentence. What follows it is left.
pub fn check_in_short(facts: &Facts<'_>, cause: &Json, text: &mut Text<'_>) {
    let why = &cause["why"];
    match why["kind"].as_str().unwrap() {
        "cut_out" => {
            let side = side(text);
            text.must(" gives back what it reads");
            check_cut_out(facts, cause, side);
        }
        "left_out" => {
            text.must("the options of ");
            let side = side(text);
            let modules = modules_of(cause);
            text.must(if modules.len() == 1 {
                " cut it out"
            } else {
                " cut them out"
            });
            for module in modules {
                let says = |side: usize| {
                    let subject = &facts.answered.made[side].subject;
                    subject.split(',').any(|option| {
                        let at = option.strip_suffix(":identity");
                        at.is_some_and(|at| ModulePattern::new(at).names(&module))
                    })
                };
                assert_eq!([says(side), says(1 - side)], [true, false], "{module}");
                assert!(!facts.gives_back(side, &module), "{module} gives back");
            }
        }
        "random" => {
            let side = side(text);
            text.must(" gives another result each time");
            for module in modules_of(cause) {
                let changes = |side: usize| {
                    let rules = facts.answered.made[side].rules_at(&module);
                    rules.iter().any(|rule| rule.is_each_time())
                };
                assert_eq!(
                    [changes(side), changes(1 - side)],
                    [true, false],
                    "{module}"
                );
            }
        }
        "attention" => {
            text.must("A has the implementation ");
            let a = text.until(", B ");
            let b = why["b"].as_str().unwrap();
            text.must(b);
            let of = |side: usize| {
                let made = &facts.answered.made[side];
                if made.has("attention=sdpa") {
                    "sdpa"
                } else {
                    "eager"
                }
            };
            assert_eq!([a, b], [of(0), of(1)]);
            assert_ne!(a, b);
            check_by_code(facts, cause);
            for module in modules_of(cause) {
                assert!(module.ends_with(".attention.self"), "{module}");
            }
        }
        "other_mask" => {
            text.must("they have other attention masks (passage ");
            let pid = text.count();
            text.must(": ");
            masks::check_sides(facts, text, &modules_of(cause), pid);
            text.must(")");
            masks::check_wholly(facts, cause, !text.eat(", and not by these alone"));
        }
        "shape" => {
            dimensions::check(facts, cause, text, " decides");
            if text.eat("; in A's batches B computes what A does") {
                assert!(in_a_batches(facts, cause).is_empty());
            } else {
                text.must(", and their code differs as well");
                assert!(!in_a_batches(facts, cause).is_empty());
            }
        }
        "precision" => {
            text.must("A computes in ");
            let a = text.until(", B in ");
            let b = why["b"].as_str().unwrap();
            text.must(b);
            check_precision(facts, cause, [a, b]);
        }
        "order" => {
            text.must("the two add the products in other orders");
            check_by_code(facts, cause);
        }
        "formula" => {
            text.must("the two compute by other formulas");
            check_by_code(facts, cause);
            for module in modules_of(cause) {
                assert!(
                    ways::computes_otherwise(&facts.runners, &module, short_of(&module)),
                    "{module}"
                );
            }
        }
        "unknown" => {
            text.must("why is not known");
            check_by_code(facts, cause);
        }
        other => text.unknown(other),
    }
}

/// The reason in its line, which it ends.
pub fn check_in_full(facts: &Facts<'_>, cause: &Json, mut text: Text<'_>) {
    let why = &cause["why"];
    match why["kind"].as_str().unwrap() {
        "shape" => {
            text.must("by ");
            dimensions::check(facts, cause, &mut text, "");
            if text.eat("; of ") {
                let inputs = text.count();
                text.must(" products A makes, at ");
                let rows_a = text.count();
                text.must(" rows, ");
                let a = text.until(", and at ");
                let rows_b = text.count();
                text.must(" rows ");
                let b = order_at_end(&mut text, cause);
                let module = &modules_of(cause)[0];
                let [shape_a, shape_b] =
                    [rows_a, rows_b].map(|rows| shape_of(facts, module, inputs, rows));
                let runner = &facts.runners[0];
                ways::assert_order(runner, module, shape_a, a, b);
                ways::assert_order(runner, module, shape_b, b, a);
            }
        }
        "order" => {
            text.must("of ");
            let inputs = text.count();
            text.must(" products, at ");
            let rows = text.count();
            text.must(" rows, A makes ");
            let a = text.until(", B ");
            let b = order_at_end(&mut text, cause);
            let module = &modules_of(cause)[0];
            let shape = shape_of(facts, module, inputs, rows);
            ways::assert_order(&facts.runners[0], module, shape, a, b);
            ways::assert_order(&facts.runners[1], module, shape, b, a);
            assert_rows(facts, rows);
        }
        "precision" => {
            text.must("A rounds to ");
            let a = text.until(", B to ");
            let b = why["b"].as_str().unwrap();
            text.must(b);
            check_precision(facts, cause, [a, b]);
            if text.eat("; A in B's precision gives what B gives") {
                assert!(in_precision_of_b(facts, cause, b).is_empty());
            } else if text.eat("; that is not all: A in B's precision still differs from B") {
                assert!(!in_precision_of_b(facts, cause, b).is_empty());
            }
            text.end();
        }
        "formula" => {
            text.must("A computes ");
            let module = &modules_of(cause)[0];
            let short = short_of(module);
            text.must(match short {
                Short::Gelu => "GELU as ",
                Short::LayerNorm => "layer norm as ",
                Short::Normalize => "normalize as ",
            });
            let a = text.until(", B as ");
            let b = text.take_rest();
            for module in modules_of(cause) {
                for (runner, formula) in facts.runners.iter().zip([a, b]) {
                    ways::assert_formula(runner, &module, short, formula);
                }
            }
        }
        "cut_out" | "left_out" | "random" | "attention" | "other_mask" => {
            check_in_short(facts, cause, &mut text);
            text.end();
        }
        "unknown" => {
            text.must(
                "why is not known: asked alone, both give the same results, or could not be asked",
            );
            text.end();
        }
        other => text.unknown(other),
    }
}

/// An order of additions that ends a line.
fn order_at_end<'t>(text: &mut Text<'t>, cause: &Json) -> &'t str {
    let all = text.take_rest();
    let orders = cause["why"]["orders"].as_array().unwrap().len();
    match all.strip_suffix("; other widths in their own orders") {
        Some(order) => {
            assert!(orders > 1, "one width: {all}");
            order
        }
        None => {
            assert_eq!(orders, 1, "{all}");
            all
        }
    }
}

pub fn shape_of(facts: &Facts<'_>, module: &str, inputs: usize, rows: usize) -> Shape {
    let width = |path: &str| {
        let (pid, values) = facts.probed().a[path].iter().next().unwrap();
        let batches = facts.batches(0);
        let tokens = batches
            .iter()
            .flatten()
            .find(|(other, _)| other == pid)
            .unwrap()
            .1;
        values.len() / tokens
    };
    let read = &crate::facts::reads(module)[0];
    assert_eq!(inputs, width(read), "what {module} adds up");
    Shape {
        rows,
        inputs,
        outputs: width(module),
    }
}

/// That a side has a batch of so many rows.
fn assert_rows(facts: &Facts<'_>, rows: usize) {
    let of = |side| {
        let batches = facts.batches(side).into_iter();
        let rows = batches.map(|batch| facts.rows_in(side, &batch));
        rows.collect::<Vec<usize>>()
    };
    assert!(
        of(0).contains(&rows) || of(1).contains(&rows),
        "no batch of {rows} rows"
    );
}

fn short_of(module: &str) -> Short {
    match module.rsplit('.').next().unwrap() {
        "intermediate_act_fn" => Short::Gelu,
        "LayerNorm" => Short::LayerNorm,
        "normalize" => Short::Normalize,
        other => panic!("no formula of {other} is known"),
    }
}

/// That the side's own run has at each module what it has at one that it reads, and the other side's has not.
fn check_cut_out(facts: &Facts<'_>, cause: &Json, side: usize) {
    for module in modules_of(cause) {
        assert!(facts.gives_back(side, &module), "{module}");
        assert!(!facts.gives_back(1 - side, &module), "{module}");
    }
}

/// The modules that the second side, in the first's batches, computes otherwise than the first.
fn in_a_batches(facts: &Facts<'_>, cause: &Json) -> BTreeSet<String> {
    let probed = facts.probed();
    let modules = modules_of(cause).into_iter();
    modules
        .filter(|path| probed.a[path] != probed.b_in_a[path])
        .collect()
}

/// That it is the code, in batches of some shape, that differs at each module.
fn check_by_code(facts: &Facts<'_>, cause: &Json) {
    let probed = facts.probed();
    for module in modules_of(cause) {
        let in_a = probed.a[&module] != probed.b_in_a[&module];
        let in_b = probed.a_in_b[&module] != probed.b_in_b[&module];
        assert!(in_a || in_b, "{module}");
    }
}

/// What a subject says of its precision.
fn precision_of(subject: &str) -> &str {
    let mut options = subject.split(',');
    options
        .find_map(|option| option.strip_prefix("precision="))
        .unwrap_or("f32")
}

/// That both have the precisions that are told, and that it makes a difference at each module.
fn check_precision(facts: &Facts<'_>, cause: &Json, told: [&str; 2]) {
    let made = &facts.answered.made;
    assert_eq!(told, [0, 1].map(|side| precision_of(&made[side].subject)));
    let own = &facts.probed().a;
    let with = facts.on_values_of_a(&in_precision(&made[0].subject, told[1]));
    for module in modules_of(cause) {
        assert_ne!(own[&module], with[&module], "{module}");
    }
}

fn in_precision(subject: &str, precision: &str) -> String {
    let options = subject
        .split(',')
        .filter(|option| !option.starts_with("precision="));
    let mut options: Vec<String> = options.map(str::to_owned).collect();
    options.push(format!("precision={precision}"));
    options.join(",")
}

/// The modules of a cause at which the first side in the second's precision differs from the second, in one shape.
fn in_precision_of_b(facts: &Facts<'_>, cause: &Json, precision: &str) -> BTreeSet<String> {
    let subject = in_precision(&facts.answered.made[0].subject, precision);
    let with = facts.on_values_of_a(&subject);
    let b = &facts.probed().b_in_a;
    let modules = modules_of(cause).into_iter();
    modules.filter(|path| with[path] != b[path]).collect()
}
