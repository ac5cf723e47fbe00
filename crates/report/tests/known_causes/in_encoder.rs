//! One cause in the encoder.

use crate::ask::Sides;
use crate::pairs::{
    ATTENTION, Found, GELU, LINEAR, NORMS, OF_64, OF_256, Pair, QKV, ROUNDED, check,
};

const PRECISION: &[&str] = &[
    "order",
    "added",
    "products",
    "formula",
    "runs of",
    "backwards",
];
const ORDERS: &[&str] = &["GELU", "normalisation", "rounds", "formula", "batch"];
const FORMULAS: &[&str] = &["linear layer", "order", "rounds", "batch", "products"];

const fn pair(a: &'static str, b: &'static str, found: &'static [Found]) -> Pair {
    Pair {
        a,
        b,
        found,
        says: &[],
        never: &[],
    }
}

#[test]
fn a_precision_is_named_and_no_order_of_additions() {
    const HALF: &[Found] = &[Found::Why("precision", ROUNDED)];
    const INTEGERS: &[Found] = &[Found::Why("precision", LINEAR)];
    let pairs = [
        (
            "native",
            "native,precision=f16",
            HALF,
            "precision (f32, f16) alone",
        ),
        ("native", "native,precision=bf16", HALF, "B in bf16"),
        (
            "native,precision=bf16",
            "native",
            HALF,
            "A rounds to bf16, B to f32",
        ),
        (
            "native,precision=f16",
            "native,precision=bf16",
            HALF,
            "A computes in f16, B in bf16",
        ),
        ("native", "native,precision=int8", INTEGERS, "B to int8"),
        (
            "native,precision=int8",
            "native,precision=f16",
            HALF,
            "precision (int8, f16) alone",
        ),
        (
            "native,batch=60",
            "native,batch=60,precision=bf16",
            HALF,
            "precision (f32, bf16) alone",
        ),
    ];
    let pairs = pairs.map(|(a, b, found, said)| Pair {
        says: Box::leak(Box::new([said])),
        never: PRECISION,
        ..pair(a, b, found)
    });
    check(&pairs, Sides::Live);
}

#[test]
fn an_order_of_additions_is_named_with_its_linear_layers_alone() {
    const AT_256: &[Found] = &[Found::Why("order", &[OF_256])];
    const EVERYWHERE: &[Found] = &[Found::Why("order", LINEAR)];
    let pairs = [
        (
            "native",
            "native,gemm=chunk:12",
            EVERYWHERE,
            "runs of 12, 12, 12, 12, 12, 4",
        ),
        (
            "native",
            "native,gemm=split-k:2",
            EVERYWHERE,
            "2 runs of 32",
        ),
        (
            "native,gemm=split-k:2",
            "native,gemm=split-k:4",
            EVERYWHERE,
            "split-K 4 (4 runs of 16",
        ),
        (
            "native",
            "native,gemm=chunk:112",
            AT_256,
            "runs of 112, 112, 32",
        ),
        (
            "native",
            "native,gemm=matrixmultiply",
            AT_256,
            "B sequential",
        ),
        ("native,gemm=gemm", "native", AT_256, "A makes sequential"),
        (
            "native",
            "native,bert.encoder.layer.0.attention.self.key:gemm=split-k:4",
            &[Found::Why(
                "order",
                &[&["bert.encoder.layer.0.attention.self.key"]],
            )],
            "`bert.encoder.layer.0.attention.self.key`",
        ),
        (
            "native",
            "native,bert.encoder.layer.1.attention.output.dense:gemm=chunk:30",
            &[Found::Why(
                "order",
                &[&["bert.encoder.layer.1.attention.output.dense"]],
            )],
            "runs of 30, 30, 4",
        ),
        (
            "native,linear:gemm=split-k:8",
            "native",
            &[Found::Why("order", &[&["linear"]])],
            "split-K 8 (8 runs of 8",
        ),
        (
            "native,bert.encoder.layer.0.output.dense:gemm=chunk:100",
            "native,bert.encoder.layer.0.output.dense:gemm=chunk:50",
            &[Found::Why(
                "order",
                &[&["bert.encoder.layer.0.output.dense"]],
            )],
            "runs of 100, 100, 56",
        ),
    ];
    let pairs = pairs.map(|(a, b, found, said)| Pair {
        says: Box::leak(Box::new([said])),
        never: ORDERS,
        ..pair(a, b, found)
    });
    check(&pairs, Sides::Live);
}

#[test]
fn a_formula_is_named_and_no_linear_layer() {
    let pairs = [
        (
            "native",
            "native,gelu=tanh",
            &[Found::Why("formula", &[GELU])] as &[Found],
            "B as tanh form",
        ),
        (
            "native",
            "native,bert.encoder.layer.0:gelu=tanh",
            &[Found::Why(
                "formula",
                &[&["bert.encoder.layer.0.intermediate.intermediate_act_fn"]],
            )],
            "`bert.encoder.layer.0.intermediate.intermediate_act_fn`",
        ),
        (
            "native,gelu=tanh",
            "native",
            &[Found::Why("formula", &[GELU])],
            "A computes GELU as tanh",
        ),
        (
            "native",
            "native,layer_norm=one-pass",
            &[Found::Why("formula", &[NORMS])],
            "one pass",
        ),
        (
            "native",
            "native,bert.embeddings:layer_norm=one-pass",
            &[Found::Why("formula", &[&["bert.embeddings.LayerNorm"]])],
            "`bert.embeddings.LayerNorm`",
        ),
        (
            "native,bert.encoder.layer.1.output:layer_norm=one-pass",
            "native",
            &[Found::Why(
                "formula",
                &[&["bert.encoder.layer.1.output.LayerNorm"]],
            )],
            "`bert.encoder.layer.1.output.LayerNorm`",
        ),
        (
            "native",
            "native,normalize=rsqrt",
            &[Found::Why("formula", &[&["normalize"]])],
            "(1 / max(",
        ),
    ];
    let pairs = pairs.map(|(a, b, found, said)| Pair {
        says: Box::leak(Box::new([said])),
        never: FORMULAS,
        ..pair(a, b, found)
    });
    check(&pairs, Sides::Live);
}

#[test]
fn what_is_cut_out_is_named_as_such() {
    const CUT: &[&str] = &["order", "formula", "rounds", "not known", "batch"];
    let pairs = [
        (
            "native",
            "native,bert.encoder.layer.1:identity",
            &[Found::Nothing("bert.encoder.layer.1", 'B')] as &[Found],
        ),
        (
            "native,bert.encoder.layer.0:identity",
            "native",
            &[Found::Nothing("bert.encoder.layer.0", 'A')],
        ),
        (
            "native",
            "native,bert.encoder.layer.0.attention.self:identity",
            &[
                Found::Nothing("bert.encoder.layer.0.attention.self", 'B'),
                Found::Why("cut out on B", &[&["bert.encoder.layer.0.attention.self"]]),
            ],
        ),
        (
            "native",
            "native,bert.encoder.layer.1.attention.self.query:identity",
            &[Found::Why(
                "cut out on B",
                &[&["bert.encoder.layer.1.attention.self.query"]],
            )],
        ),
        (
            "native,bert.encoder.layer.0.attention.output.dense:identity",
            "native",
            &[Found::Why(
                "cut out on A",
                &[&["bert.encoder.layer.0.attention.output.dense"]],
            )],
        ),
        (
            "native",
            "native,bert.encoder.layer.1.intermediate.intermediate_act_fn:identity",
            &[Found::Why(
                "cut out on B",
                &[&["bert.encoder.layer.1.intermediate.intermediate_act_fn"]],
            )],
        ),
        (
            "native",
            "native,normalize:identity",
            &[Found::Why("cut out on B", &[&["normalize"]])],
        ),
    ];
    let pairs = pairs.map(|(a, b, found)| Pair {
        says: &["gives back what it reads"],
        never: CUT,
        ..pair(a, b, found)
    });
    check(&pairs, Sides::Live);
}

#[test]
fn a_normalisation_that_is_left_out_is_not_taken_for_a_formula() {
    // It gives the sum of what it reads, which is none of that: its options alone say that it is cut out.
    const SECOND: &str = "bert.encoder.layer.0.attention.output.LayerNorm";
    let never = &["order", "gives back", "rounds", "not known", "formula"];
    check(
        &[
            Pair {
                says: &[
                    "numerics (none, bert.encoder.layer.0.attention.output.LayerNorm:identity) alone",
                    "the options of B cut it out",
                ],
                never,
                ..pair(
                    "native",
                    "native,bert.encoder.layer.0.attention.output.LayerNorm:identity",
                    &[Found::Why("left out on B", &[&[SECOND]])],
                )
            },
            Pair {
                says: &["the options of A cut them out"],
                never,
                ..pair(
                    "native,bert.encoder.layer.*.output.LayerNorm:identity",
                    "native",
                    &[Found::Why(
                        "left out on A",
                        &[&["bert.encoder.layer.*.output.LayerNorm"]],
                    )],
                )
            },
            Pair {
                says: &["the options of B cut it out", "tanh form"],
                never: &["order", "gives back", "rounds", "not known"],
                ..pair(
                    "native,bert.encoder.layer.0:gelu=tanh",
                    "native,bert.embeddings.LayerNorm:identity",
                    &[
                        Found::Why("left out on B", &[&["bert.embeddings.LayerNorm"]]),
                        Found::Why(
                            "formula",
                            &[&["bert.encoder.layer.0.intermediate.intermediate_act_fn"]],
                        ),
                    ],
                )
            },
        ],
        Sides::Live,
    );
}

/// That what the table calls all linear layers and all that is rounded is what it is called.
#[test]
fn groups_of_modules_do_not_overlap() {
    let mut all: Vec<&str> = [QKV, OF_64, OF_256, ATTENTION, GELU, NORMS].concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}
