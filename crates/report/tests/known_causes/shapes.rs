//! Batches of other shapes, alone and beside other code.

use crate::ask::Sides;
use crate::pairs::{Found, OF_256, Pair, check};

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
fn a_shape_is_named_and_no_order_at_another() {
    const BOTH: &str = "in A's batches B computes what A does";
    let rows = |module: &'static [&'static [&'static str]]| -> &'static [Found] {
        Box::leak(Box::new([Found::Why("rows", module)]))
    };
    let pairs = [
        (
            "native,batch=16,bert.encoder.layer.*.output.dense:gemm=split-k:4@220",
            "native,batch=40,bert.encoder.layer.*.output.dense:gemm=split-k:4@220",
            rows(&[OF_256]),
            "split-K 4 (4 runs of 64",
        ),
        (
            "native,batch=16,bert.encoder.layer.0.intermediate.dense:gemm=chunk:12@150",
            "native,batch=24,bert.encoder.layer.0.intermediate.dense:gemm=chunk:12@150",
            rows(&[&["bert.encoder.layer.0.intermediate.dense"]]),
            "batch (16, 24) alone",
        ),
        (
            "native,batch=40,bert.encoder.layer.1.attention.self.value:gemm=chunk:16@250",
            "native,batch=20,bert.encoder.layer.1.attention.self.value:gemm=chunk:16@250",
            rows(&[&["bert.encoder.layer.1.attention.self.value"]]),
            "4 runs of 16",
        ),
        (
            "native,batch=30,linear:gemm=split-k:2@400",
            "native,batch=60,linear:gemm=split-k:2@400",
            rows(&[&["linear"]]),
            "2 runs of 32",
        ),
        (
            "native,batch=20,bert.encoder.layer.0.attention:gemm=chunk:20@250",
            "native,batch=40,bert.encoder.layer.0.attention:gemm=chunk:20@250",
            rows(&[&[
                "bert.encoder.layer.0.attention.self.query",
                "bert.encoder.layer.0.attention.self.key",
                "bert.encoder.layer.0.attention.self.value",
                "bert.encoder.layer.0.attention.output.dense",
            ]]),
            "runs of 20, 20, 20, 4",
        ),
    ];
    let pairs = pairs.map(|(a, b, found, said)| Pair {
        says: Box::leak(Box::new([
            said,
            BOTH,
            "the number of rows of the batch decides",
        ])),
        never: &["other orders", "numerics", "GELU"],
        ..pair(a, b, found)
    });
    check(&pairs, Sides::Live);
}

#[test]
fn code_is_told_from_shape_where_the_batches_are_others_too() {
    check(
        &[
            Pair {
                says: &["in batches of 244 rows and more", "other orders"],
                never: &["decides", "A's batches"],
                ..pair(
                    "native,batch=16",
                    "native,batch=16,bert.encoder.layer.1.output.dense:gemm=split-k:4@220",
                    &[Found::Why(
                        "order",
                        &[&["bert.encoder.layer.1.output.dense"]],
                    )],
                )
            },
            Pair {
                never: &["decides", "alone, part"],
                says: &["split-K 4"],
                ..pair(
                    "native,batch=16",
                    "native,batch=40,bert.encoder.layer.1.output.dense:gemm=split-k:4@220",
                    &[Found::Why(
                        "order",
                        &[&["bert.encoder.layer.1.output.dense"]],
                    )],
                )
            },
            Pair {
                says: &["and their code differs as well"],
                never: &["alone, part", "computes what A does"],
                ..pair(
                    "native,batch=16,linear:gemm=chunk:12@220",
                    "native,batch=40,linear:gemm=chunk:12",
                    &[
                        Found::Why("rows and code", &[&["linear"]]),
                        Found::Why("order", &[&["linear"]]),
                    ],
                )
            },
        ],
        Sides::Live,
    );
}
