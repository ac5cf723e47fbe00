//! The referee: what it computes is what the engine computes, with more digits.

#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/engine/mod.rs"]
mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;
mod probes;

use concord_engine::native::NativeError;
use concord_engine::settings::IndexSettings;
use concord_model::encoder::BuildError;
use concord_pipeline::artifact::{BATCHES, D};
use concord_pipeline::{Capture, Forcing, NoProgress, RecordedRun};
use concord_subject::record::record;
use concord_tensor::DType;

use engine::{engine, evaluated, tensor};
use golden::largest_difference;
use probes::{all_taps, batches, differing, probed, values};

const PIDS: [usize; 12] = [0, 3, 7, 9, 12, 17, 18, 40, 41, 77, 100, 119];

/// The largest difference of two modules, relative to the largest value of the second.
fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    let largest = b.iter().map(|b| b.abs()).fold(f64::MIN_POSITIVE, f64::max);
    difference.fold(0.0, f64::max) / largest
}

#[test]
fn embeddings_agree_with_the_engine_s_to_single_precision() {
    let of = |word: &str| {
        let native = engine(word, IndexSettings::default()).unwrap();
        evaluated(&native, |evaluator| tensor(evaluator, D, ""))
    };
    let (single, double) = (of("native"), of("native,precision=f64"));
    assert_eq!(
        (double.dtype(), double.shape()),
        (DType::F32, single.shape())
    );
    let (single, double) = (single.as_slice().unwrap(), double.as_slice().unwrap());
    let difference = largest_difference(single, double);
    println!("the embeddings differ by at most {difference:e}");
    assert!(difference > 0.0 && difference < 1e-6);
}

#[test]
fn every_module_agrees_with_the_engine_s_to_single_precision() {
    let (single, double) = ("native", "native,precision=f64");
    let [single, double] = [single, double].map(|word| probed(word, &batches(&[&PIDS]), None));
    assert!(double.run.taps().iter().all(|tap| tap.dtype == DType::F64));
    let (single, double) = (values(&single.run), values(&double.run));
    assert_eq!(single.len(), double.len());
    for ((path, single), (other, double)) in single.iter().zip(&double) {
        assert_eq!(path, other);
        let error = relative(single, double);
        assert!(error < 1e-5, "{path}: {error:e}");
    }
}

#[test]
fn on_the_engine_s_own_inputs_each_module_errs_by_a_few_roundings() {
    let single = probed("native", &batches(&[&PIDS]), None);
    let forcing = Forcing::new(&single.run, Vec::new()).unwrap();
    let double = probed("native,precision=f64", &batches(&[&PIDS]), Some(&forcing));
    let (single, double) = (values(&single.run), values(&double.run));
    for ((path, single), (_, double)) in single.iter().zip(&double) {
        let error = relative(single, double);
        println!("{path}: {error:e}");
        // Modules that only pass on or look up have nothing to round.
        let exact = path.ends_with("word_embeddings")
            || path.ends_with("position_embeddings")
            || ["mask", "bert", "bert.encoder", "bert.embeddings"].contains(&path.as_str());
        assert!(
            error < 1e-6 && (error == 0.0 || !exact),
            "{path}: {error:e}"
        );
        let rounds = path.ends_with("dense") || path.ends_with("LayerNorm");
        assert!(error > 0.0 || !rounds, "{path}");
    }
}

#[test]
fn batch_size_and_threads_do_not_change_a_bit() {
    let run = |word: &str| {
        let native = engine(word, IndexSettings::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let capture = Capture {
            tap_values: false,
            ..all_taps()
        };
        record(&native, capture, &out, &NoProgress).unwrap();
        RecordedRun::open(&out).unwrap()
    };
    let plain = run("native,precision=f64");
    assert_eq!(plain.manifest().options["precision"], "f64");
    for word in [
        "native,precision=f64,batch=1",
        "native,precision=f64,batch=7,threads=1",
        "native,precision=f64,batch=200,threads=3,isa=scalar",
    ] {
        let other = run(word);
        assert_eq!(plain.artifacts(), other.artifacts(), "{word}");
        assert!(differing(&plain, &other).is_empty(), "{word}");
    }
    let single = run("native");
    let made_from = |run: &RecordedRun| {
        let batches = run.artifacts().iter().find(|a| a.name == BATCHES);
        batches.unwrap().made_from
    };
    assert_ne!(made_from(&plain), made_from(&single));
}

#[test]
fn modules_are_cut_out_and_variants_refused() {
    let cut = "bert.encoder.layer.1.attention.self:identity,normalize:identity";
    let word = format!("native,precision=f64,{cut}");
    let double = probed(&word, &batches(&[&PIDS]), None);
    let single = probed(&format!("native,{cut}"), &batches(&[&PIDS]), None);
    let (single, double) = (values(&single.run), values(&double.run));
    let ((_, single), (path, double)) = (single.last().unwrap(), double.last().unwrap());
    assert_eq!(path, "normalize");
    assert!(relative(single, double) < 1e-5);
    for variant in ["gemm=split-k:4", "linear:gemm=chunk:7", "gelu=tanh"] {
        let word = format!("native,precision=f64,{variant}");
        let error = engine(&word, IndexSettings::default()).err().unwrap();
        assert!(matches!(
            error,
            NativeError::Encoder(BuildError::NotForReferee(_))
        ));
        let message = error.to_string();
        let name = variant.rsplit(':').next().unwrap();
        let named = variant.contains(name) && message.contains("precision=f32");
        assert!(named, "{message}");
    }
}
