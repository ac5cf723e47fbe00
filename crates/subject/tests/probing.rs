//! Probing the encoder, and forcing it to go on from what another run computed.

#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/engine/mod.rs"]
mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;
mod probes;

use std::collections::BTreeSet;

use concord_engine::settings::IndexSettings;
use concord_model::encoder::{BuildError, module_paths};
use concord_pipeline::{Capture, Forcing, ForcingError, ModulePattern, NoProgress, RecordedRun};
use concord_subject::error::ProbeError;
use concord_subject::error::RecordError;
use concord_subject::probe::{ProbeBatch, probe};
use concord_subject::record::record;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use engine::{checkpoint, engine};
use probes::{Probed, all_taps, batches, differing, probed};

/// Passages of all lengths: empty, of one token, cut at the most there may be.
const PIDS: [usize; 12] = [0, 3, 7, 9, 12, 17, 18, 40, 41, 77, 100, 119];

/// The taps of the subject, on its own and given what `by` computed.
fn forced(word: &str, by: &Probed) -> Probed {
    let forcing = Forcing::new(&by.run, Vec::new()).unwrap();
    probed(word, &batches(&[&PIDS]), Some(&forcing))
}

fn free(word: &str) -> Probed {
    probed(word, &batches(&[&PIDS]), None)
}

fn linear_modules() -> Vec<String> {
    let is_linear = |path: &String| {
        let last = path.rsplit('.').next().unwrap();
        ["query", "key", "value", "dense", "linear"].contains(&last)
    };
    let paths = module_paths(checkpoint().bert_config());
    paths.into_iter().filter(is_linear).collect()
}

#[test]
fn a_probe_computes_what_the_whole_run_computed() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    record(&native, all_taps(), &out, &NoProgress).unwrap();
    let whole = RecordedRun::open(&out).unwrap();
    let probe = probed("native", &batches(&[&[119, 0, 7], &[41]]), None);
    assert!(differing(&whole, &probe.run).is_empty());
    assert!(probe.run.artifacts().is_empty());
    let recorded = probe.run.taps().iter().filter(|tap| tap.tap == "linear");
    let recorded = recorded.map(|tap| (tap.batch, tap.passages.iter().map(|p| p.pid).collect()));
    assert_eq!(
        recorded.collect::<Vec<(usize, Vec<usize>)>>(),
        [(0, vec![119, 0, 7]), (1, vec![41])]
    );
    let (whole, probe) = (whole.manifest(), probe.run.manifest());
    assert_eq!(
        (&whole.subject, &whole.inputs),
        (&probe.subject, &probe.inputs)
    );
    let mut options = probe.options.clone();
    let what = options.remove("probe").unwrap();
    assert_eq!(what, serde_json::json!({ "batches": 2, "forced": null }));
    assert_eq!(options, whole.options);
}

#[test]
fn a_run_forced_with_its_own_values_stays_what_it_is() {
    for word in ["native", "native,gemm=chunk:12", "native,precision=f64"] {
        let free = free(word);
        assert!(differing(&free.run, &forced(word, &free).run).is_empty());
    }
}

#[test]
fn another_order_of_additions_everywhere_is_found_at_every_linear_layer_and_nowhere_else() {
    let a = free("native");
    let b = forced("native,gemm=split-k:4", &a);
    assert_eq!(differing(&a.run, &b.run), linear_modules());
    let what = &b.run.manifest().options["probe"];
    let expected = serde_json::json!({ "by": "native", "modules": [] });
    assert_eq!(what["forced"], expected);
}

#[test]
fn every_departure_is_found_and_no_victim_of_one() {
    let a = free("native");
    for patches in [
        &["bert.encoder.layer.0.attention.self.key:gemm=split-k:4"][..],
        &["bert.encoder.layer.1.output.dense:gemm=matrixmultiply"],
        &["bert.encoder.layer.0.intermediate.intermediate_act_fn:gelu=tanh"],
        &["bert.embeddings.LayerNorm:layer_norm=one-pass"],
        &["bert.encoder.layer.1.attention.output.LayerNorm:layer_norm=one-pass"],
        &["normalize:normalize=rsqrt"],
        &["bert.encoder.layer.0.attention.self.key:identity"],
        &["bert.encoder.layer.1:identity"],
        &[
            "bert.encoder.layer.0.intermediate.dense:gemm=split-k:2",
            "bert.encoder.layer.1.attention.self.value:gemm=split-k:4",
            "normalize:normalize=rsqrt",
        ],
    ] {
        let b = forced(&format!("native,{}", patches.join(",")), &a);
        let modules: Vec<&str> = patches
            .iter()
            .map(|p| p.split_once(':').unwrap().0)
            .collect();
        assert_eq!(differing(&a.run, &b.run), modules);
    }
}

#[test]
fn attention_that_is_cut_out_departs_at_attention() {
    let a = free("native");
    let b = forced("native,bert.encoder.layer.0.attention.self:identity", &a);
    assert_eq!(
        differing(&a.run, &b.run),
        ["bert.encoder.layer.0.attention.self"]
    );
}

/// The taps of a variant given what native computed at the modules that `pattern` covers.
fn forced_at(pattern: &str, word: &str, capture: Capture) -> (Probed, Probed) {
    let a = free("native");
    let forcing = Forcing::new(&a.run, vec![ModulePattern::new(pattern)]).unwrap();
    let native = engine(word, IndexSettings::default()).unwrap();
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    probe(&native, &batches(&[&PIDS]), Some(&forcing), capture, &out).unwrap();
    let run = RecordedRun::open(&out).unwrap();
    (a, Probed { run, folder })
}

#[test]
fn what_is_not_recorded_can_be_replaced() {
    let capture = Capture {
        taps: vec![ModulePattern::new("mask")],
        passages: Some(BTreeSet::from([17])),
        ..all_taps()
    };
    let word = "native,bert.encoder:gemm=split-k:4";
    let (a, b) = forced_at("bert.encoder", word, capture);
    assert!(differing(&a.run, &b.run).is_empty());
    let taps = b.run.taps();
    assert_eq!((taps.len(), taps[0].passages.len()), (1, 1));
    let what = &b.run.manifest().options["probe"]["forced"];
    assert_eq!(what["modules"], serde_json::json!(["bert.encoder"]));
}

#[test]
fn passages_that_the_other_run_does_not_have_go_on_as_they_are() {
    let a = probed("native", &batches(&[&[3, 7]]), None);
    let forcing = Forcing::new(&a.run, Vec::new()).unwrap();
    let word = "native,gemm=split-k:4";
    let b = probed(word, &batches(&[&[7, 12], &[40]]), Some(&forcing));
    assert_eq!(differing(&a.run, &b.run), linear_modules());
    let alone = probed(word, &batches(&[&[12, 40]]), None);
    assert!(differing(&alone.run, &b.run).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn the_composition_of_batches_plays_no_part(
        pids in proptest::collection::vec(0usize..120, 1..12),
        cut in 0usize..12,
        number in 0usize..1000,
    ) {
        let (one, two) = pids.split_at(cut.min(pids.len()));
        let mut cut: Vec<ProbeBatch> = batches(&[one, two]);
        cut.retain(|batch| !batch.pids.is_empty());
        cut[0].number = number;
        let a = probed("native,precision=f64", &batches(&[&pids]), None);
        let b = probed("native,precision=f64,threads=1", &cut, None);
        prop_assert!(differing(&a.run, &b.run).is_empty());
        prop_assert!(b.run.taps().iter().any(|tap| tap.batch == number));
    }
}

/// The error of a probe of `native`, which leaves nothing behind.
fn refused(batches: &[ProbeBatch], forcing: Option<&Forcing<'_>>, capture: Capture) -> RecordError {
    let native = engine("native", IndexSettings::default()).unwrap();
    let folder: TempDir = tempdir().unwrap();
    let out = folder.path().join("run");
    let error = probe(&native, batches, forcing, capture, &out).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    error
}

#[test]
fn a_passage_that_does_not_exist_is_named() {
    let error = refused(&batches(&[&[1], &[5, 120]]), None, all_taps());
    let RecordError::Probe(ProbeError::NoSuchPassage {
        batch: 1,
        pid: 120,
        passages: 120,
    }) = error
    else {
        panic!("{error:?}");
    };
    let error = refused(&batches(&[&[1], &[]]), None, all_taps());
    assert!(matches!(
        error,
        RecordError::Probe(ProbeError::EmptyBatch(1))
    ));
    let capture = Capture {
        taps: vec![ModulePattern::new("pooler")],
        ..Capture::default()
    };
    let error = refused(&batches(&[&[1]]), None, capture);
    assert!(matches!(
        error,
        RecordError::Module(BuildError::NoSuchModule { .. })
    ));
}

fn shape_error(error: RecordError) -> (String, usize, [usize; 2], Vec<usize>) {
    match error {
        RecordError::Probe(ProbeError::Forcing(ForcingError::Shape {
            path,
            pid,
            tokens,
            width,
            found,
        })) => (path, pid, [tokens, width], found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_of_another_width_stop_the_run() {
    let a = probed("native,linear:identity", &batches(&[&[3, 7]]), None);
    let forcing = Forcing::new(&a.run, Vec::new()).unwrap();
    let error = refused(&batches(&[&[7, 40]]), Some(&forcing), Capture::default());
    let message = error.to_string();
    assert!(message.contains("the two runs differ in"), "{message}");
    let (path, pid, here, found) = shape_error(error);
    assert_eq!((path.as_str(), pid), ("linear", 7));
    assert_eq!((here[1], found[1]), (32, 64));
    assert_eq!(here[0], found[0]);
}

#[test]
fn a_passage_with_other_tokens_stops_the_run() {
    let settings = IndexSettings {
        doc_maxlen: Some(8),
        ..IndexSettings::default()
    };
    let short = engine("native", settings).unwrap();
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    probe(&short, &batches(&[&[40]]), None, all_taps(), &out).unwrap();
    let run = RecordedRun::open(&out).unwrap();
    let forcing = Forcing::new(&run, Vec::new()).unwrap();
    let error = refused(&batches(&[&[40]]), Some(&forcing), all_taps());
    let (path, _, here, found) = shape_error(error);
    assert_eq!(path, "bert.embeddings.word_embeddings");
    assert_eq!((here[1], found), (64, vec![8, 64]));
}
