//! Causes in the encoder: the modules, the operation and the way in which it is computed.

use concord_lab::explain::{Explanation, Forced, Operation};

use crate::ask::between;

const LINEAR_OF_64: [&str; 11] = [
    "bert.encoder.layer.0.attention.self.query",
    "bert.encoder.layer.0.attention.self.key",
    "bert.encoder.layer.0.attention.self.value",
    "bert.encoder.layer.0.attention.output.dense",
    "bert.encoder.layer.0.intermediate.dense",
    "bert.encoder.layer.1.attention.self.query",
    "bert.encoder.layer.1.attention.self.key",
    "bert.encoder.layer.1.attention.self.value",
    "bert.encoder.layer.1.attention.output.dense",
    "bert.encoder.layer.1.intermediate.dense",
    "linear",
];
const LINEAR_OF_256: [&str; 2] = [
    "bert.encoder.layer.0.output.dense",
    "bert.encoder.layer.1.output.dense",
];
const GELU: [&str; 2] = [
    "bert.encoder.layer.0.intermediate.intermediate_act_fn",
    "bert.encoder.layer.1.intermediate.intermediate_act_fn",
];
const LAYER_NORM: [&str; 5] = [
    "bert.embeddings.LayerNorm",
    "bert.encoder.layer.0.attention.output.LayerNorm",
    "bert.encoder.layer.0.output.LayerNorm",
    "bert.encoder.layer.1.attention.output.LayerNorm",
    "bert.encoder.layer.1.output.LayerNorm",
];

fn forced(explanation: &Explanation) -> &Forced {
    let encoder = explanation.encoder.as_ref().unwrap();
    encoder.forced.as_ref().unwrap()
}

/// Asserts that exactly these modules are culprits, whatever their order, and that no stage after the
/// encoder is.
#[track_caller]
fn assert_culprits(explanation: &Explanation, expected: &[(&str, Operation)]) {
    let name = &explanation.b;
    let culprits = forced(explanation).culprits.iter();
    let mut found: Vec<_> = culprits
        .map(|culprit| (culprit.module.as_str(), culprit.operation))
        .collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{name}");
    assert_eq!(explanation.culprits(), ["batches"], "{name}");
    let on_other = explanation.on_other_inputs.as_ref().unwrap();
    assert!(on_other.iter().all(|stage| stage.same), "{name}");
}

fn all<'a>(modules: &[&'a str], operation: Operation) -> Vec<(&'a str, Operation)> {
    modules.iter().map(|&module| (module, operation)).collect()
}

/// How the second side adds at a module.
#[track_caller]
fn order_at(explanation: &Explanation, module: &str) -> String {
    let orders = forced(explanation).orders.iter().find(|orders| {
        let mut modules = orders.modules.iter();
        modules.any(|path| path == module)
    });
    let orders = orders.unwrap_or_else(|| panic!("no order at {module}"));
    assert!(!orders.same(), "{module}");
    orders.b[0].label.clone()
}

#[test]
fn a_variant_everywhere_is_found_at_every_module_that_it_changes() {
    let linear = [&LINEAR_OF_64[..], &LINEAR_OF_256].concat();
    for (variant, modules, operation) in [
        ("gemm=split-k:4", &linear[..], Operation::Linear),
        ("gemm=chunk:12", &linear, Operation::Linear),
        ("gemm=chunk:112", &LINEAR_OF_256, Operation::Linear),
        ("gelu=tanh", &GELU, Operation::Gelu),
        ("layer_norm=one-pass", &LAYER_NORM, Operation::LayerNorm),
        ("normalize=rsqrt", &["normalize"], Operation::Normalize),
    ] {
        let explanation = between("native", &format!("native,{variant}"));
        assert_culprits(&explanation, &all(modules, operation));
    }
}

#[test]
fn a_third_party_product_is_found_among_linear_layers_alone() {
    for library in ["matrixmultiply", "gemm"] {
        let explanation = between("native", &format!("native,gemm={library}"));
        let culprits = &forced(&explanation).culprits;
        assert!(!culprits.is_empty());
        let mut operations = culprits.iter().map(|culprit| culprit.operation);
        assert!(operations.all(|operation| operation == Operation::Linear));
        assert_eq!(explanation.culprits(), ["batches"]);
    }
}

#[test]
fn a_variant_at_one_module_is_found_there_alone() {
    for (variant, pattern, module, operation) in [
        (
            "gemm=split-k:4",
            "bert.encoder.layer.0.attention.self.query",
            "bert.encoder.layer.0.attention.self.query",
            Operation::Linear,
        ),
        (
            "gemm=chunk:112",
            "bert.encoder.layer.1.output.dense",
            "bert.encoder.layer.1.output.dense",
            Operation::Linear,
        ),
        ("gemm=chunk:7", "linear", "linear", Operation::Linear),
        (
            "gelu=tanh",
            "bert.encoder.layer.1",
            GELU[1],
            Operation::Gelu,
        ),
        (
            "layer_norm=one-pass",
            LAYER_NORM[0],
            LAYER_NORM[0],
            Operation::LayerNorm,
        ),
        (
            "layer_norm=one-pass",
            "bert.encoder.layer.0.attention",
            LAYER_NORM[1],
            Operation::LayerNorm,
        ),
    ] {
        let explanation = between("native", &format!("native,{pattern}:{variant}"));
        assert_culprits(&explanation, &[(module, operation)]);
    }
}

#[test]
fn the_way_in_which_a_culprit_computes_is_told() {
    let at = "bert.encoder.layer.1.output.dense";
    let explanation = between("native", &format!("native,{at}:gemm=chunk:112"));
    assert!(order_at(&explanation, at).starts_with("runs of 112, 112, 32"));
    let explanation = between("native", &format!("native,{at}:gemm=split-k:4"));
    assert!(order_at(&explanation, at).contains("split-K 4"));
    for (variant, said) in [
        ("gelu=tanh", "tanh"),
        ("layer_norm=one-pass", "one pass"),
        ("normalize=rsqrt", "x · (1 / max(√sum, eps))"),
    ] {
        let explanation = between("native", &format!("native,{variant}"));
        let formulas = &forced(&explanation).formulas[0];
        assert!(formulas.shared < formulas.samples, "{variant}");
        assert!(formulas.b.formula.contains(said), "{}", formulas.b.formula);
        assert_ne!(formulas.a.formula, formulas.b.formula, "{variant}");
    }
}

#[test]
fn a_module_that_is_cut_out_gives_back_what_it_reads() {
    for at in [
        "bert.encoder.layer.0.attention.output.dense",
        "bert.encoder.layer.1.attention.self.value",
        GELU[0],
    ] {
        let explanation = between("native", &format!("native,{at}:identity"));
        let culprits = &forced(&explanation).culprits;
        assert_eq!(culprits.len(), 1, "{at}");
        assert_eq!(
            (culprits[0].module.as_str(), culprits[0].cut_out),
            (at, [false, true])
        );
        assert_eq!(explanation.culprits(), ["batches"], "{at}");
    }
}

#[test]
fn a_product_that_is_chosen_for_large_batches_is_found_in_those() {
    for (pattern, modules) in [
        ("bert.encoder.layer.*.output.dense", &LINEAR_OF_256[..]),
        ("bert.encoder.layer.1.output.dense", &LINEAR_OF_256[1..]),
    ] {
        let word = format!("native,batch=16,{pattern}:gemm=split-k:4@{ROWS}");
        let explanation = between("native,batch=16", &word);
        assert_culprits(&explanation, &all(modules, Operation::Linear));
        let batches = explanation
            .encoder
            .as_ref()
            .unwrap()
            .batches
            .as_ref()
            .unwrap();
        let (least, _) = batches.rows_differing.unwrap();
        let (_, most) = batches.rows_same.unwrap();
        assert!(most < ROWS && ROWS <= least, "{batches:?}");
        assert!(order_at(&explanation, modules[0]).contains("split-K 4"));
    }
}

/// Rows that some of the golden batches of 16 passages have, and others have not.
const ROWS: usize = 220;

#[test]
fn two_causes_in_different_modules_are_both_found() {
    for (word, expected) in [
        (
            "native,bert.encoder.layer.0.attention.self.value:gemm=split-k:2,bert.encoder.layer.1:gelu=tanh",
            [
                (
                    "bert.encoder.layer.0.attention.self.value",
                    Operation::Linear,
                ),
                (GELU[1], Operation::Gelu),
            ],
        ),
        (
            "native,bert.embeddings:layer_norm=one-pass,normalize=rsqrt",
            [
                (LAYER_NORM[0], Operation::LayerNorm),
                ("normalize", Operation::Normalize),
            ],
        ),
        (
            "native,bert.encoder.layer.0.output.dense:gemm=chunk:7,bert.encoder.layer.1.output.dense:gemm=split-k:3",
            [
                (LINEAR_OF_256[0], Operation::Linear),
                (LINEAR_OF_256[1], Operation::Linear),
            ],
        ),
    ] {
        assert_culprits(&between("native", word), &expected);
    }
}

#[test]
fn two_layers_of_one_shape_that_add_otherwise_each_tell_their_order() {
    let [first, second] = LINEAR_OF_256;
    let word = format!("native,{first}:gemm=chunk:100,{second}:gemm=split-k:4");
    let explanation = between("native", &word);
    assert!(order_at(&explanation, first).starts_with("runs of 100, 100, 56"));
    assert!(order_at(&explanation, second).contains("split-K 4"));
}

#[test]
fn the_share_of_each_kind_of_operation_is_measured() {
    let explanation = between("native", "native,gelu=tanh,normalize=rsqrt");
    let shares = &forced(&explanation).shares;
    let operations: Vec<Operation> = shares.iter().map(|share| share.operation).collect();
    assert_eq!(operations, [Operation::Gelu, Operation::Normalize]);
    assert!(shares.iter().all(|share| share.mean_abs > 0.0));
}

#[test]
fn a_head_that_is_cut_out_leaves_other_widths_and_that_is_said() {
    let explanation = between("native", "native,linear:identity");
    let untested = explanation.not_tested.join("\n");
    assert!(untested.contains("64 dimensions"), "{untested}");
    assert!(explanation.on_other_inputs.is_none());
    assert_eq!(explanation.culprits(), ["batches"]);
    let encoder = explanation.encoder.as_ref().unwrap();
    assert!(encoder.forced.is_none());
    let departures = encoder.departures.as_ref().unwrap();
    assert_eq!(departures[0].module, "linear");
}
