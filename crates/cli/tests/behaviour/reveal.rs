//! `reveal`.

use serde_json::Value;

use crate::program::Workplace;

#[test]
fn the_native_layer_adds_as_it_documents() {
    let place = Workplace::new();
    let ended = place.done("reveal native --m 9 --k 384 --n 32");
    for said in [
        "linear, M = 9, K = 384, N = 32",
        "within a run one after the other",
        "results on ordinary numbers have the operation's bits",
    ] {
        assert!(ended.out.contains(said), "{}", ended.out);
    }
}

#[test]
fn two_orders_are_told_apart_and_drawn() {
    let place = Workplace::new();
    let line = "reveal native native,gemm=split-k:4 --m 4 --k 96 --n 16 --json --svg orders.svg";
    let ended = place.run(line).with_code(1);
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(found["op"], "linear");
    assert_eq!(
        (found["k"].as_u64(), &found["same"]),
        (Some(96), &Value::Bool(false))
    );
    let second = &found["subjects"][1]["orders"][0];
    assert_eq!(
        second["label"],
        "split-K 4 (4 runs of 24, added pairwise); within a run one after the other"
    );
    let [compared, reproduced] = [0, 1].map(|at| second["replayed"][at].as_u64().unwrap());
    assert!(compared > 0 && compared == reproduced, "{second}");
    let picture = std::fs::read_to_string(place.path("orders.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("native,gemm=split-k:4"));
}

#[test]
fn the_product_for_large_batches_is_seen_in_large_batches_alone() {
    let place = Workplace::new();
    let subjects = "reveal native native,gemm=split-k:2@8 --k 64 --n 16";
    place.done(&format!("{subjects} --m 7"));
    place.run(&format!("{subjects} --m 8")).with_code(1);
}

#[test]
fn a_formula_is_recognised_and_compared() {
    let place = Workplace::new();
    let ended = place.done("reveal native --op gelu --json");
    let found: Value = serde_json::from_str(&ended.out).unwrap();
    let recognition = &found["subjects"][0]["recognition"];
    assert_eq!(recognition["best"]["reproduced"], recognition["samples"]);
    let formula = recognition["best"]["formula"].as_str().unwrap();
    assert!(formula.starts_with("erf form"), "{formula}");
    let ended = place
        .run("reveal native native,normalize=rsqrt --op normalize --width 128")
        .with_code(1);
    assert!(
        ended.out.contains("The two give the same bits for"),
        "{}",
        ended.out
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let place = Workplace::new();
    for (line, said) in [
        (
            "reveal native --op sum --k 10",
            "the native engine computes no sum by itself",
        ),
        (
            "reveal native --op softmax",
            "the native engine computes no softmax by itself",
        ),
        (
            "reveal native --op gelu --svg picture.svg",
            "a formula has none",
        ),
        (
            "reveal torch==2.1.0 --op sum --k 100000",
            "at most 65536 terms",
        ),
        ("reveal native --m 1000000 --k 1000", "too large"),
    ] {
        let ended = place.run(line).with_code(2);
        assert!(ended.err.contains(said), "{line}: {}", ended.err);
    }
    assert!(place.names().is_empty());
}
