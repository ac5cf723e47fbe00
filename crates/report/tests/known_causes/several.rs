//! Two or three causes of different kinds at once: each is named.

use crate::ask::Sides;
use crate::pairs::{
    ATTENTION, Found, GELU, LINEAR, NORMS, OF_64, OF_256, Pair, QKV, ROUNDED, check,
};

const GELU_0: &[&[&str]] = &[&["bert.encoder.layer.0.intermediate.intermediate_act_fn"]];
const GELU_1: &[&[&str]] = &[&["bert.encoder.layer.1.intermediate.intermediate_act_fn"]];
const OUTPUT_1: &[&[&str]] = &[&["bert.encoder.layer.1.output.dense"]];

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
        never: &["not known"],
    }
}

#[test]
fn causes_of_several_kinds_in_the_encoder_are_all_named() {
    check(
        &[
            pair(
                "native",
                "native,precision=bf16,gelu=tanh",
                &[
                    Found::Why("precision", &[QKV, OF_64, OF_256, ATTENTION]),
                    Found::Why("precision and more", &[GELU]),
                    Found::Why("formula", &[GELU]),
                ],
                &[
                    "A in B's precision gives what B gives",
                    "that is not all",
                    "tanh form",
                    "2 other modules for 2 other reasons",
                ],
            ),
            pair(
                "native",
                "native,precision=int8,normalize=rsqrt",
                &[
                    Found::Why("precision", LINEAR),
                    Found::Why("formula", &[&["normalize"]]),
                ],
                &[
                    "A in B's precision gives what B gives",
                    "(1 / max(",
                    "1 other module for 1 other reason",
                ],
            ),
            pair(
                "native",
                "native,gelu=tanh,layer_norm=one-pass,normalize=rsqrt,gemm=split-k:4",
                &[
                    Found::Why("formula", &[GELU]),
                    Found::Why("order", LINEAR),
                    Found::Why("formula", &[NORMS]),
                    Found::Why("formula", &[&["normalize"]]),
                ],
                &["19 other modules for 3 other reasons"],
            ),
            pair(
                "native",
                "native,bert.embeddings:layer_norm=one-pass,linear:gemm=chunk:12",
                &[
                    Found::Why("formula", &[&["bert.embeddings.LayerNorm"]]),
                    Found::Why("order", &[&["linear"]]),
                ],
                &["one pass", "runs of 12"],
            ),
            pair(
                "native",
                "native,bert.encoder.layer.0:identity,gelu=tanh",
                &[
                    Found::Nothing("bert.encoder.layer.0", 'B'),
                    Found::Why("formula", GELU_1),
                ],
                &[
                    "gives back what it reads",
                    "1 other module for 1 other reason",
                    "tanh form",
                ],
            ),
            pair(
                "native",
                "native,bert.encoder.layer.0.attention.self:identity,normalize=rsqrt",
                &[
                    Found::Nothing("bert.encoder.layer.0.attention.self", 'B'),
                    Found::Why("cut out on B", &[&["bert.encoder.layer.0.attention.self"]]),
                    Found::Why("formula", &[&["normalize"]]),
                ],
                &["1 other module for 1 other reason"],
            ),
            pair(
                "native",
                "native,bert.encoder.layer.1.attention.self.query:identity,bert.encoder.layer.0:gelu=tanh",
                &[
                    Found::Why(
                        "cut out on B",
                        &[&["bert.encoder.layer.1.attention.self.query"]],
                    ),
                    Found::Why("formula", GELU_0),
                ],
                &["B gives back what it reads", "tanh form"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn a_shape_beside_another_cause_is_told_from_it() {
    const THRESHOLD: &str = "native,batch=16,bert.encoder.layer.1.output.dense:gemm=split-k:4@220";
    check(
        &[
            pair(
                THRESHOLD,
                "native,batch=40,bert.encoder.layer.1.output.dense:gemm=split-k:4@220,gelu=tanh",
                &[Found::Why("rows", OUTPUT_1), Found::Why("formula", &[GELU])],
                &[
                    "by the number of rows of the batch",
                    "tanh form",
                    "1 other module for 1 other reason",
                ],
            ),
            pair(
                THRESHOLD,
                "native,batch=40,bert.encoder.layer.1.output.dense:gemm=split-k:4@220,cluster:normalize=rsqrt",
                &[Found::Why("rows", OUTPUT_1), Found::Stage("centroids")],
                &[
                    "in A's batches B computes what A does",
                    "`centroids` (k-means)",
                ],
            ),
            pair(
                THRESHOLD,
                "native,batch=40,bert.encoder.layer.1.output.dense:gemm=split-k:4@220,normalize=rsqrt,seed=7",
                &[
                    Found::Input("option"),
                    Found::Why("rows", OUTPUT_1),
                    Found::Why("formula", &[&["normalize"]]),
                ],
                &["seed is 12345 and 7", "by the number of rows of the batch"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn a_cause_in_the_encoder_and_one_after_it_are_both_named() {
    check(
        &[
            pair(
                "native",
                "native,precision=f16,cluster:normalize=rsqrt",
                &[Found::Why("precision", ROUNDED), Found::Stage("centroids")],
                &[
                    "A in B's precision gives what B gives",
                    "`centroids` (k-means)",
                ],
            ),
            pair(
                "native",
                "native,gelu=tanh,cluster:normalize=rsqrt",
                &[Found::Why("formula", &[GELU]), Found::Stage("centroids")],
                &["tanh form", "`centroids` (k-means)"],
            ),
            pair(
                "native",
                "native,bert.encoder.layer.0.attention.self.value:gemm=split-k:2,bert.encoder.layer.1:gelu=tanh,cluster:normalize=rsqrt",
                &[
                    Found::Why("order", &[&["bert.encoder.layer.0.attention.self.value"]]),
                    Found::Why("formula", GELU_1),
                    Found::Stage("centroids"),
                ],
                &["2 runs of 32", "tanh form", "`centroids` (k-means)"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn a_setting_beside_a_cause_is_named_and_not_blamed() {
    check(
        &[
            pair(
                "native",
                "native,seed=7,gelu=tanh",
                &[Found::Input("option"), Found::Why("formula", &[GELU])],
                &["seed is 12345 and 7", "part beside that at"],
            ),
            pair(
                "native",
                "native,nbits=4,cluster:normalize=rsqrt",
                &[Found::Input("option"), Found::Stage("centroids")],
                &[
                    "nbits is 2 and 4",
                    "part beside that at `centroids` (k-means)",
                ],
            ),
            pair(
                "native,kmeans_niters=2",
                "native,precision=int8",
                &[Found::Input("option"), Found::Why("precision", LINEAR)],
                &["kmeans_niters is 2 and 4", "A computes in f32, B in int8"],
            ),
            pair(
                "native",
                "native,nbits=4,bert.encoder.layer.1:identity",
                &[
                    Found::Input("option"),
                    Found::Nothing("bert.encoder.layer.1", 'B'),
                ],
                &["nbits is 2 and 4", "runs nothing"],
            ),
            pair(
                "native",
                "native,nbits=4,seed=7,gelu=tanh",
                &[
                    Found::Input("option"),
                    Found::Input("option"),
                    Found::Why("formula", &[GELU]),
                ],
                &["nbits is 2 and 4", "seed is 12345 and 7", "tanh form"],
            ),
            pair(
                "native",
                "native,given:centroids=native;seed=3,bert.encoder.layer.1:gelu=tanh",
                &[Found::Input("given"), Found::Why("formula", GELU_1)],
                &[
                    "`centroids` was given instead of computed, to B",
                    "tanh form",
                ],
            ),
        ],
        Sides::Live,
    );
}
