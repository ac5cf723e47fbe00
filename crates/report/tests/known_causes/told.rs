//! What clauses of several kinds have in common.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::facts::{Facts, LAST, mean_difference, operation_of};
use crate::text::Text;

pub fn watched(forced: &Json) -> BTreeSet<usize> {
    let pids = forced["watched"].as_array().unwrap().iter();
    pids.map(|pid| pid.as_u64().unwrap() as usize).collect()
}

pub fn text_of(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

pub fn modules_of(cause: &Json) -> Vec<String> {
    cause["modules"]
        .as_array()
        .unwrap()
        .iter()
        .map(text_of)
        .collect()
}

/// Whether a module computes something of its own.
pub fn is_computing(module: &str) -> bool {
    [
        "LayerNorm",
        "query",
        "key",
        "value",
        "dense",
        "linear",
        "self",
        "intermediate_act_fn",
        "mask",
        "normalize",
    ]
    .contains(&module.rsplit('.').next().unwrap())
}

/// `A` or `B`.
pub fn side(text: &mut Text<'_>) -> usize {
    match (text.eat("A"), text.eat("B")) {
        (true, false) => 0,
        (false, true) => 1,
        _ => text.unknown("no side"),
    }
}

/// `linear layer, attention and GELU, 17 modules`.
pub fn check_operations(told: &str, cause: &Json) {
    let modules = modules_of(cause);
    let operations = match modules.len() {
        1 => told,
        count => told
            .strip_suffix(&format!(", {count} modules"))
            .unwrap_or_else(|| panic!("not {count} modules: {told}")),
    };
    let distinct: BTreeSet<&str> = modules.iter().map(|path| operation_of(path)).collect();
    let all = [
        "addition and layer normalisation",
        "linear layer",
        "attention",
        "GELU",
        "mask",
        "normalisation to unit length",
    ];
    // One name has an `and` of its own.
    let mut rest = operations.to_owned();
    for operation in all {
        assert_eq!(
            rest.contains(operation),
            distinct.contains(operation),
            "{operation}: {told}"
        );
        rest = rest.replacen(operation, "", 1);
    }
    let rest = rest.replace(", ", "").replace(" and ", "");
    assert_eq!(rest, "", "{told}");
}

/// What the modules of an operation that compute something else make of the difference alone.
pub fn share_of(facts: &Facts<'_>, operation: &str) -> f64 {
    let forced = facts.forced_json();
    let culprits = forced["culprits"].as_array().unwrap().iter();
    let modules: Vec<String> = culprits
        .map(|c| text_of(&c["module"]))
        .filter(|path| operation_of(path) == operation)
        .collect();
    let probed = facts.probed();
    let watched = watched(forced);
    if modules == [LAST] {
        return mean_difference(&probed.a, &probed.b_in_b, &watched);
    }
    let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
    mean_difference(&probed.a, &facts.with_outputs_of_b(&modules), &watched)
}
