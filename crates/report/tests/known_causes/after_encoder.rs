//! One cause outside of the encoder: in an input, a setting or a stage after it. And pairs that are the same.

use crate::ask::Sides;
use crate::pairs::{Found, Pair, check};

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
        never: &["rounds", "order of", "formula", "products", "not known"],
    }
}

#[test]
fn a_stage_a_setting_or_something_given_is_named_and_no_module() {
    check(
        &[
            pair(
                "native",
                "native,cluster:normalize=rsqrt",
                &[Found::Stage("centroids")],
                &["part at `centroids` (k-means)"],
            ),
            pair(
                "native",
                "native,seed=7",
                &[Found::Input("option")],
                &["seed is 12345 and 7"],
            ),
            pair(
                "native,nbits=4",
                "native",
                &[Found::Input("option")],
                &["nbits is 4 and 2"],
            ),
            pair(
                "native",
                "native,kmeans_niters=2",
                &[Found::Input("option")],
                &["kmeans_niters is 4 and 2"],
            ),
            pair(
                "native",
                "native,nbits=1,seed=5",
                &[Found::Input("option"), Found::Input("option")],
                &["nbits is 2 and 1", "seed is 12345 and 5"],
            ),
            pair(
                "native",
                "native,given:centroids=native;cluster:normalize=rsqrt",
                &[Found::Input("given")],
                &["`centroids` was given instead of computed, to B"],
            ),
            pair(
                "native,given:centroids=native;kmeans_niters=1",
                "native",
                &[Found::Input("given")],
                &["`centroids` was given instead of computed, to A"],
            ),
        ],
        Sides::Live,
    );
}

#[test]
fn what_the_two_did_not_start_from_is_named_and_nothing_is_blamed() {
    const OPTION_AND_TOKENS: &[Found] = &[Found::Input("option"), Found::Input("tokens")];
    check(
        &[
            pair(
                "native",
                "native,doc_maxlen=9",
                OPTION_AND_TOKENS,
                &["doc_maxlen is 40 and 9"],
            ),
            pair(
                "native,doc_maxlen=14",
                "native,doc_maxlen=12",
                OPTION_AND_TOKENS,
                &["doc_maxlen is 14 and 12"],
            ),
            pair(
                "native",
                "native,text:17",
                &[Found::Input("collection")],
                &["the same up to pid 17"],
            ),
            pair(
                "native,text:90",
                "native",
                &[Found::Input("collection")],
                &["the same up to pid 90"],
            ),
            pair(
                "native",
                "native,texts=reversed",
                &[Found::Input("order")],
                &["in another order, from pid 0"],
            ),
            pair(
                "native",
                "native,weight:bert.encoder.layer.1.output.dense.weight",
                &[
                    Found::Input("checkpoint"),
                    Found::Departs("bert.encoder.layer.1.output.dense"),
                ],
                &["1 tensor: `bert.encoder.layer.1.output.dense.weight` at [0, 0]"],
            ),
            pair(
                "native,weight:bert.encoder.layer.0.attention.self.key.bias",
                "native",
                &[
                    Found::Input("checkpoint"),
                    Found::Departs("bert.encoder.layer.0.attention.self.key"),
                ],
                &[
                    "1 tensor: `bert.encoder.layer.0.attention.self.key.bias` at [0]",
                    "1 of 64 elements",
                ],
            ),
        ],
        Sides::Live,
    );
    check(
        &[pair(
            "native",
            "native,weight:linear.weight",
            &[Found::Input("checkpoint"), Found::Departs("linear")],
            &["the checkpoints differ", "first at `linear` (linear layer)"],
        )],
        Sides::Recorded,
    );
}

#[test]
fn what_is_the_same_is_called_the_same() {
    check(
        &[
            pair("native", "native", &[], &["the same, bit for bit"]),
            pair(
                "native,batch=40",
                "native,batch=64,threads=1",
                &[],
                &["the same"],
            ),
            pair(
                "native",
                "native,gemm=chunk:192,gelu=erf,ties=first",
                &[],
                &["the same"],
            ),
            pair(
                "native,linear:gemm=chunk:12@100000",
                "native",
                &[],
                &["the same"],
            ),
            pair("native", "native,compress:gemm=gemm", &[], &["the same"]),
            pair(
                "native,precision=int8,batch=30",
                "native,precision=int8,batch=60",
                &[],
                &["the same"],
            ),
        ],
        Sides::Live,
    );
}
