//! `concord sweep`: a module is judged, or it is said why it is not.

use serde_json::Value;

use crate::program::Workplace;

fn sweep(module: &str) -> String {
    format!("sweep native --module {module} --batch 1..3 --seq 12 --json")
}

#[test]
fn modules_of_the_native_engine_do_not_depend_on_the_batch() {
    let place = Workplace::new();
    for module in ["linear", "bert.encoder.layer.0.attention.self"] {
        let ended = place.done(&sweep(module));
        let found: Value = serde_json::from_str(&ended.out).unwrap();
        let shapes = found["shapes"].as_array().unwrap();
        assert_eq!(shapes.len(), 3);
        assert!(shapes.iter().all(|shape| shape["same"] == shape["batch"]));
    }
}

#[test]
fn a_pattern_is_refused_with_the_modules_that_it_names() {
    let place = Workplace::new();
    let lookup = "bert.embeddings.word_embeddings";
    place
        .run(&sweep("b*"))
        .refused(&["`b*`", "choose one of", lookup, " more"]);
    place
        .run(&sweep("*.encoder.layer.0.attention.self.q*"))
        .refused(&["choose bert.encoder.layer.0.attention.self.query"]);
    place.run(&sweep("*")).refused(&["choose one of"]);
    place.run(&sweep("x*")).refused(&["names none"]);
}

#[test]
fn a_container_is_run_with_what_is_inside_it() {
    let place = Workplace::new();
    let layer = "bert.encoder.layer.0";
    let subject = format!("native,{layer}.output.dense:gemm=split-k:4@24");
    let sweep = |module: &str| format!("sweep {subject} --module {module} --batch 1..3 --seq 12");
    for module in ["bert", "bert.encoder", layer, "bert.encoder.layer.0.output"] {
        let ended = place.run(&sweep(module)).with_code(1);
        assert!(
            ended.out.contains("1 of 3 shapes have other bits."),
            "{}",
            ended.out
        );
        let begins = format!("Of 1 shapes the first other bits are at {layer}.output.dense.");
        assert!(ended.out.contains(&begins), "{}", ended.out);
    }
    let ended = place.done(&sweep("bert.embeddings"));
    assert!(
        ended.out.contains("do not depend on the shape"),
        "{}",
        ended.out
    );
}

#[test]
fn alone_a_module_that_only_hands_on_is_refused_with_the_one_that_computes() {
    let place = Workplace::new();
    for (module, computes) in [
        ("bert.encoder", "output.LayerNorm"),
        (
            "bert.encoder.layer.0.intermediate",
            "`bert.encoder.layer.0.intermediate.intermediate_act_fn`",
        ),
        ("bert", "output.LayerNorm"),
    ] {
        let alone = format!("{} --alone", sweep(module));
        place
            .run(&alone)
            .refused(&["computes nothing alone", "as a whole", computes]);
    }
    place.run(&sweep("liner")).refused(&["liner"]);
}
