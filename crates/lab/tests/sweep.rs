//! Sweeps of modules and of what contains them, on the native engine with products that depend on the batch.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::native::Native;
use concord_engine::settings::IndexSettings;
use concord_lab::sweep::{Extent, Sweep, SweepError, sweep, texts};
use concord_model::architecture::Operation;
use concord_model::checkpoint::Checkpoint;
use concord_model::hub::HubOptions;
use concord_subject::runner::Runner;
use concord_subject::specification::SubjectSpec;
use proptest::prelude::*;

/// Tokens of a passage.
const TOKENS: usize = 11;
const SIZES: [usize; 4] = [1, 2, 3, 5];
const LAYER: &str = "bert.encoder.layer.0";

fn runner(subject: &str) -> Runner {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint");
    // A folder is read without looking at the hub.
    let checkpoint = Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap();
    let Ok(SubjectSpec::Native(options)) = subject.parse() else {
        panic!("{subject} is not native");
    };
    let passages = texts(checkpoint.word_pieces(), SIZES[3], TOKENS).unwrap();
    let collection = Arc::new(Collection::from_passages(passages));
    let settings = IndexSettings::default();
    let native = Native::new(Arc::new(checkpoint), collection, options, settings);
    Runner::Native(Box::new(native.unwrap()))
}

fn swept(runner: &Runner, module: &str, extent: Extent) -> Result<Sweep, SweepError> {
    let scratch = tempfile::tempdir().unwrap();
    sweep(runner, module, extent, &SIZES, TOKENS, scratch.path())
}

fn whole(runner: &Runner, module: &str) -> Sweep {
    swept(runner, module, Extent::Whole).unwrap()
}

/// What a module computes itself.
fn alone(runner: &Runner, module: &str) -> Sweep {
    swept(runner, module, Extent::Alone).unwrap()
}

fn contains(module: &str, inside: &str) -> bool {
    let rest = inside.strip_prefix(module);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// The modules that contain others.
fn containers(runner: &Runner) -> Vec<String> {
    let architecture = runner.architecture();
    let paths: Vec<&str> = architecture.paths().collect();
    let around = |path: &&&str| paths.iter().any(|inside| contains(path, inside));
    paths
        .iter()
        .filter(around)
        .map(|path| (*path).to_owned())
        .collect()
}

#[test]
fn containers_are_run_with_what_is_inside_them() {
    let leaf = "bert.encoder.layer.0.output.dense";
    // In a batch of 3 and in the largest it adds in another order than in smaller ones.
    let runner = runner(&format!("native,{leaf}:gemm=split-k:4@{}", 3 * TOKENS));
    for module in [
        leaf,
        "bert.encoder.layer.0.output",
        LAYER,
        "bert.encoder",
        "bert",
    ] {
        let found = whole(&runner, module);
        let same: Vec<bool> = found.shapes.iter().map(|shape| shape.is_same()).collect();
        assert_eq!(same, [false, false, true, true], "{module}");
        let begins: Vec<Option<&str>> = found
            .shapes
            .iter()
            .map(|s| s.begins_at.as_deref())
            .collect();
        assert_eq!(begins, [Some(leaf), Some(leaf), None, None], "{module}");
    }
    for module in [
        "bert.embeddings",
        "bert.encoder.layer.0.attention",
        "bert.encoder.layer.1",
    ] {
        assert!(
            whole(&runner, module)
                .shapes
                .iter()
                .all(|shape| shape.is_same()),
            "{module}"
        );
    }
    let layer = whole(&runner, LAYER);
    assert_eq!(layer.held, ["bert.embeddings.LayerNorm"]);
    assert_eq!(layer.computing.len(), 10);
    assert!(whole(&runner, "bert").held.is_empty());
}

#[test]
fn a_library_that_sees_the_batch_shows_in_whatever_contains_its_products() {
    let runner = runner("native,gemm=matrixmultiply");
    let architecture = runner.architecture();
    let leaves = architecture.computing().map(|leaf| leaf.path.clone());
    let leaves: BTreeMap<String, Sweep> = leaves
        .map(|leaf| (leaf.clone(), alone(&runner, &leaf)))
        .collect();
    for container in containers(&runner) {
        let found = whole(&runner, &container);
        for (at, shape) in found.shapes.iter().enumerate() {
            let mut inside = found.computing.iter();
            let first = inside.find(|leaf| !leaves[*leaf].shapes[at].is_same());
            assert_eq!(shape.begins_at.as_ref(), first, "{container}");
        }
    }
}

#[test]
fn attention_is_swept_with_its_projections_and_alone() {
    let query = "bert.encoder.layer.1.attention.self.query";
    let runner = runner(&format!("native,{query}:gemm=chunk:5@{}", 2 * TOKENS));
    let attention = "bert.encoder.layer.1.attention.self";
    let found = whole(&runner, attention);
    assert_eq!(found.shapes[0].begins_at.as_deref(), Some(query));
    assert!(!found.shapes[0].is_same());
    let alone = swept(&runner, attention, Extent::Alone).unwrap();
    assert!(
        alone
            .shapes
            .iter()
            .all(|shape| shape.is_same() && shape.begins_at.is_none())
    );
    assert_eq!(alone.computing, [attention]);
    assert_eq!(alone.held.len(), 3);
}

#[test]
fn what_is_cut_out_is_refused_or_gives_its_input_on() {
    let runner = runner("native,bert.encoder.layer.0:identity");
    let refused = swept(&runner, "bert.encoder.layer.0.output.dense", Extent::Whole).unwrap_err();
    assert!(matches!(refused, SweepError::CutOut { cut, .. } if cut == LAYER));
    // What a layer that is not there would have computed cannot be held.
    assert_eq!(whole(&runner, "bert.encoder.layer.1").held, [LAYER]);
    assert!(whole(&runner, LAYER).computing.is_empty());
    let refused = swept(&runner, "bert.encoder.layer.1", Extent::Alone).unwrap_err();
    assert!(matches!(refused, SweepError::HandsOn { .. }));
    let refused = swept(&runner, "bert.encoder.layer.2", Extent::Whole).unwrap_err();
    assert!(matches!(
        refused,
        SweepError::NoSuchModule { layers: 2, .. }
    ));
}

fn linear_leaf() -> impl Strategy<Value = String> {
    let runner = runner("native");
    let architecture = runner.architecture();
    let linear = architecture
        .computing()
        .filter(|module| module.operation == Some(Operation::Linear));
    let paths: Vec<String> = linear.map(|module| module.path.clone()).collect();
    prop::sample::select(paths)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Where one leaf depends on the shape, the difference begins there in all that contains it, for the same
    /// shapes; at its output it is unless what follows rounds it away, and no passage differs that does not at the
    /// leaf. What does not contain the leaf does not depend on the shape.
    #[test]
    fn a_container_differs_where_a_leaf_in_it_does(
        leaf in linear_leaf(),
        gemm in prop::sample::select(vec!["split-k:2", "split-k:5", "chunk:7", "chunk:24"]),
        rows in 1..6 * TOKENS,
    ) {
        let runner = runner(&format!("native,{leaf}:gemm={gemm}@{rows}"));
        let of_leaf = whole(&runner, &leaf);
        for container in containers(&runner) {
            let found = whole(&runner, &container);
            for (shape, of_leaf) in found.shapes.iter().zip(&of_leaf.shapes) {
                let differs = contains(&container, &leaf) && !of_leaf.is_same();
                prop_assert_eq!(shape.begins_at.as_ref(), differs.then_some(&leaf), "{}", &container);
                prop_assert!(shape.same == shape.batch || (differs && shape.same >= of_leaf.same));
            }
        }
    }
}
