//! Numeric variants and patches: what they change, where the change begins, and which are refused.

#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/engine/mod.rs"]
mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::BTreeSet;

use concord_engine::build::Layout;
use concord_engine::native::NativeError;
use concord_engine::settings::IndexSettings;
use concord_index::format::Index;
use concord_model::encoder::{BuildError, module_paths};
use concord_pipeline::artifact::{
    BATCHES, CODES, EMBS, NUM_PASSAGES, PASSAGES, SAMPLED_PIDS, TENSORIZE_OUTPUT,
};
use concord_pipeline::{Capture, ModulePattern, NoProgress, RecordedRun, TapRecord};
use concord_subject::record::record;
use concord_tensor::BitHash;

use engine::{checkpoint, engine};

/// The hashes of a run: of its artifacts, and of its taps in the order of computation.
struct Run {
    recorded: RecordedRun,
}

impl Run {
    /// Runs the subject that `word` names, with a tap at every module.
    fn of(word: &str) -> Run {
        let native = engine(word, IndexSettings::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let capture = Capture {
            taps: vec![ModulePattern::new("*")],
            ..Capture::default()
        };
        record(&native, capture, &out, &NoProgress).unwrap();
        let recorded = RecordedRun::open(&out).unwrap();
        Run { recorded }
    }

    fn artifact(&self, name: &str) -> BitHash {
        let artifacts = self.recorded.artifacts();
        artifacts.iter().find(|a| a.name == name).unwrap().hash
    }

    /// The taps of the first batch.
    fn taps(&self) -> impl Iterator<Item = &TapRecord> {
        self.recorded.taps().iter().filter(|tap| tap.batch == 0)
    }

    /// The modules whose output differs from the other run's, in the order of computation.
    fn changed(&self, other: &Run) -> Vec<String> {
        let paths = |run: &Run| run.taps().map(|tap| tap.tap.clone()).collect::<Vec<_>>();
        assert_eq!(paths(self), paths(other));
        let differing = self.taps().zip(other.taps()).filter(|(a, b)| a != b);
        differing.map(|(tap, _)| tap.tap.clone()).collect()
    }
}

/// Every variant, with a module at which it computes otherwise than the contract says.
///
/// The contract adds runs of 192 products, so that of the layers of this small checkpoint only
/// `output.dense`, with 256 inputs, is added differently in longer or shorter runs than that.
const VARIANTS: [(&str, &str); 8] = [
    ("gemm=matrixmultiply", "bert.encoder.layer.1.output.dense"),
    ("gemm=gemm", "bert.encoder.layer.1.output.dense"),
    (
        "gemm=split-k:4",
        "bert.encoder.layer.1.attention.output.dense",
    ),
    ("gemm=chunk:112", "bert.encoder.layer.1.output.dense"),
    ("gemm=chunk:12", "bert.encoder.layer.0.intermediate.dense"),
    (
        "gelu=tanh",
        "bert.encoder.layer.1.intermediate.intermediate_act_fn",
    ),
    (
        "layer_norm=one-pass",
        "bert.encoder.layer.0.attention.output.LayerNorm",
    ),
    ("normalize=rsqrt", "normalize"),
];

#[test]
fn every_variant_changes_the_embeddings_and_nothing_before_them() {
    let plain = Run::of("native");
    for (variant, _) in VARIANTS {
        let run = Run::of(&format!("native,{variant}"));
        for name in [PASSAGES, NUM_PASSAGES, SAMPLED_PIDS, TENSORIZE_OUTPUT] {
            assert_eq!(
                run.artifact(name),
                plain.artifact(name),
                "{variant}, {name}"
            );
        }
        assert_ne!(run.artifact(BATCHES), plain.artifact(BATCHES), "{variant}");
        let options = &run.recorded.manifest().options;
        assert_eq!(options["numerics"], serde_json::json!([variant]));
    }
}

#[test]
fn a_variant_at_one_module_changes_its_output_first() {
    let plain = Run::of("native");
    for (variant, module) in VARIANTS {
        let run = Run::of(&format!("native,{module}:{variant}"));
        let changed = plain.changed(&run);
        assert_eq!(
            changed.first().map(String::as_str),
            Some(module),
            "{variant}"
        );
        assert_eq!(changed.last().unwrap(), "normalize", "{variant}");
    }
}

#[test]
fn a_variant_that_an_operation_does_not_have_changes_nothing() {
    let plain = Run::of("native");
    for word in [
        "native,normalize:gemm=split-k:4",
        "native,bert.encoder.layer.0.output.dense:gelu=tanh",
        "native,gemm=native,gelu=erf,layer_norm=two-pass,normalize=divide",
    ] {
        let run = Run::of(word);
        assert_eq!(run.artifact(BATCHES), plain.artifact(BATCHES), "{word}");
        assert!(plain.changed(&run).is_empty(), "{word}");
    }
}

#[test]
fn taps_change_nothing_in_what_is_computed() {
    for word in ["native", "native,gemm=split-k:4"] {
        let with = Run::of(word);
        let native = engine(word, IndexSettings::default()).unwrap();
        let without = engine::evaluated(&native, |evaluator| evaluator.known_artifacts());
        assert_eq!(with.recorded.artifacts(), without);
    }
}

#[test]
fn taps_come_at_every_module_once_a_batch_in_the_order_of_computation() {
    let run = Run::of("native");
    let found: Vec<&str> = run.taps().map(|tap| tap.tap.as_str()).collect();
    assert_eq!(found, module_paths(checkpoint().bert_config()));
    let pids: Vec<usize> = run
        .recorded
        .taps()
        .iter()
        .filter(|tap| tap.tap == "normalize")
        .flat_map(|tap| tap.passages.iter().map(|passage| passage.pid))
        .collect();
    assert_eq!(pids.len(), 120);
    assert_eq!(
        pids.into_iter().collect::<BTreeSet<_>>(),
        (0..120).collect()
    );
}

#[test]
fn batch_size_threads_and_instruction_set_do_not_change_a_bit() {
    let plain = Run::of("native");
    for word in [
        "native,batch=1",
        "native,batch=7,threads=1",
        "native,batch=200,threads=3",
        "native,isa=scalar",
    ] {
        assert_eq!(
            plain.recorded.artifacts(),
            Run::of(word).recorded.artifacts(),
            "{word}"
        );
    }
    let variant = Run::of("native,gemm=chunk:12");
    let batched = Run::of("native,gemm=chunk:12,batch=5");
    assert_eq!(variant.recorded.artifacts(), batched.recorded.artifacts());
}

#[test]
fn what_can_be_cut_out_is_cut_out() {
    let plain = Run::of("native");
    for (patch, first) in [
        (
            "bert.embeddings.LayerNorm:identity",
            "bert.embeddings.LayerNorm",
        ),
        ("bert.encoder.layer.1:identity", "bert.encoder.layer.1"),
        (
            "bert.encoder.layer.0.attention.self:identity",
            "bert.encoder.layer.0.attention.self",
        ),
        (
            "bert.encoder.layer.0.attention.self.query:identity",
            "bert.encoder.layer.0.attention.self.query",
        ),
        (
            "bert.encoder.layer.*.attention.output.dense:identity",
            "bert.encoder.layer.0.attention.output.dense",
        ),
        (
            "bert.encoder.layer.1.output.LayerNorm:identity",
            "bert.encoder.layer.1.output.LayerNorm",
        ),
        (
            "bert.encoder.layer.1.intermediate.intermediate_act_fn:identity",
            "bert.encoder.layer.1.intermediate.intermediate_act_fn",
        ),
        ("normalize:identity", "normalize"),
    ] {
        let run = Run::of(&format!("native,{patch}"));
        assert_ne!(run.artifact(EMBS), plain.artifact(EMBS), "{patch}");
        assert_ne!(run.artifact(CODES), plain.artifact(CODES), "{patch}");
        // Modules inside one that is cut out are not computed, so the taps do not pair one to one.
        let differing = run.taps().find(|tap| {
            let same_module = plain.taps().find(|other| other.tap == tap.tap).unwrap();
            same_module != *tap
        });
        assert_eq!(differing.unwrap().tap, first, "{patch}");
    }
}

#[test]
fn a_module_that_is_cut_out_gives_back_its_input() {
    let tap = |run: &Run, path: &str| {
        let tap = run.taps().find(|tap| tap.tap == path).unwrap();
        tap.passages
            .iter()
            .map(|passage| passage.hash)
            .collect::<Vec<_>>()
    };
    let layer = Run::of("native,bert.encoder.layer.1:identity");
    assert_eq!(
        tap(&layer, "bert.encoder.layer.1"),
        tap(&layer, "bert.encoder.layer.0")
    );
    assert!(
        layer
            .taps()
            .all(|tap| !tap.tap.starts_with("bert.encoder.layer.1."))
    );
    let attention = Run::of("native,bert.encoder.layer.0.attention.self:identity");
    assert_eq!(
        tap(&attention, "bert.encoder.layer.0.attention.self"),
        tap(&attention, "bert.embeddings")
    );
    let last = Run::of("native,normalize:identity");
    assert_eq!(tap(&last, "normalize"), tap(&last, "mask"));
}

#[test]
fn the_two_sides_of_the_feed_forward_part_are_cut_out_together() {
    let both = "bert.encoder.layer.*.intermediate.dense:identity,bert.encoder.layer.*.output.dense:identity";
    let run = Run::of(&format!("native,{both}"));
    let wide = run
        .taps()
        .find(|tap| tap.tap == "bert.encoder.layer.0.intermediate")
        .unwrap();
    assert_eq!(wide.width, 64);
    assert_ne!(run.artifact(EMBS), Run::of("native").artifact(EMBS));

    let alone = "native,bert.encoder.layer.*.intermediate.dense:identity";
    let error = engine(alone, IndexSettings::default()).err().unwrap();
    let NativeError::Encoder(BuildError::Width {
        path,
        expected,
        found,
    }) = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(path, "bert.encoder.layer.0.output.dense");
    assert_eq!((*expected, *found), (256, 64));
    assert!(error.to_string().contains("cut it out as well"), "{error}");
}

#[test]
fn an_output_that_keeps_the_wide_rows_is_refused() {
    let word = "native,bert.encoder.layer.1.output.dense:identity";
    let error = engine(word, IndexSettings::default()).err().unwrap();
    assert!(
        matches!(
            &error,
            NativeError::Encoder(BuildError::Width { path, expected: 64, found: 256 })
                if path == "bert.encoder.layer.1.output.LayerNorm"
        ),
        "{error:?}"
    );
}

#[test]
fn a_head_that_is_cut_out_leaves_an_index_of_the_hidden_width() {
    let native = engine("native,linear:identity", IndexSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    engine::built(&native, Layout::default(), &out);
    let index = Index::open(&out).unwrap();
    assert_eq!(index.dim(), 64);
    assert_eq!(index.setting("config.dim").unwrap(), 64);
}

#[test]
fn a_patch_at_no_module_says_which_there_are() {
    for pattern in [
        "bert.encoder.layer.2.output.dense",
        "bert.encoder.layer.*.query",
        "pooler",
    ] {
        for change in ["identity", "gemm=split-k:2"] {
            let word = format!("native,{pattern}:{change}");
            let error = engine(&word, IndexSettings::default()).err().unwrap();
            assert!(
                matches!(
                    &error,
                    NativeError::Encoder(BuildError::NoSuchModule { layers: 2, pattern: at })
                        if at.to_string() == pattern
                ),
                "{error:?}"
            );
            let message = error.to_string();
            assert!(
                message.contains(pattern) && message.contains("bert.encoder.layer.0 to .1"),
                "{message}"
            );
        }
    }
}

#[test]
fn a_module_that_cannot_be_cut_out_is_named() {
    for (pattern, module) in [
        ("mask", "mask"),
        ("bert", "bert"),
        ("bert.embeddings", "bert.embeddings"),
        (
            "bert.encoder.layer.*.intermediate",
            "bert.encoder.layer.0.intermediate",
        ),
        (
            "bert.encoder.layer.1.attention.*",
            "bert.encoder.layer.1.attention.output",
        ),
    ] {
        let word = format!("native,{pattern}:identity");
        let error = engine(&word, IndexSettings::default()).err().unwrap();
        assert!(
            matches!(&error, NativeError::Encoder(BuildError::NotRemovable(path)) if path == module),
            "{error:?}"
        );
        assert!(error.to_string().contains("attention.self"), "{error}");
    }
}
