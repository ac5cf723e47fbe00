//! Causes in the stages after the encoder, alone and beside one in it.

use concord_engine::settings::IndexSettings;
use concord_engine::swap::Swap;
use concord_lab::Verdict;
use concord_lab::explain::{Explanation, Operation};
use concord_tensor::{DType, Tensor, npy};

use crate::ask::{Made, Sides, between, explained, recorded};

fn modules(explanation: &Explanation) -> Vec<(&str, Operation)> {
    let encoder = explanation.encoder.as_ref();
    let forced = encoder.and_then(|encoder| encoder.forced.as_ref());
    let culprits = forced.map_or(&[][..], |forced| &forced.culprits);
    culprits
        .iter()
        .map(|culprit| (culprit.module.as_str(), culprit.operation))
        .collect()
}

#[test]
fn a_clustering_that_computes_otherwise_is_found() {
    let explanation = between("native", "native,cluster:normalize=rsqrt");
    assert_eq!(explanation.culprits(), ["centroids"]);
    assert!(explanation.encoder.is_none());
    let closure = &explanation.closures[0];
    assert_eq!(closure.swapped, "centroids");
    assert!(closure.then.iter().all(|then| then.same_now));
    // The inverted file is made for as many centroids, whatever they are.
    let lengths = explanation
        .parts
        .iter()
        .find(|part| part.artifact == "ivf_lengths");
    let lengths = lengths.unwrap();
    assert!(
        !lengths
            .differing_inputs
            .iter()
            .any(|from| from == "centroids"),
        "{lengths:?}"
    );
}

#[test]
fn a_cause_in_the_encoder_does_not_hide_one_after_it() {
    for (encoder, module) in [
        (
            "bert.encoder.layer.0:gelu=tanh",
            (
                "bert.encoder.layer.0.intermediate.intermediate_act_fn",
                Operation::Gelu,
            ),
        ),
        (
            "bert.encoder.layer.1.output.dense:gemm=chunk:112",
            ("bert.encoder.layer.1.output.dense", Operation::Linear),
        ),
    ] {
        let word = format!("native,{encoder},cluster:normalize=rsqrt");
        let explanation = between("native", &word);
        assert_eq!(explanation.culprits(), ["batches", "centroids"], "{word}");
        assert_eq!(modules(&explanation), [module], "{word}");
    }
}

/// A subject that is given each of its own first centroids twice, so that every code is a tie.
fn with_ties(word: &str, folder: &std::path::Path) -> Made {
    let plain = Made::by("native");
    let run = folder.join("run");
    if !run.exists() {
        recorded(&plain.runner(), &run);
    }
    let run = concord_pipeline::RecordedRun::open(&run).unwrap();
    let mut artifacts = run.artifacts().iter();
    let centroids = artifacts.find(|record| record.name == "centroids").unwrap();
    let hash = centroids.chunks[0].fields[0].hash;
    let tensor = run.tensor(hash).unwrap().unwrap().read().unwrap();
    let wide = tensor.cast(DType::F32).unwrap();
    let (rows, dim) = (tensor.shape()[0], tensor.row_len());
    let half = &wide.as_slice::<f32>().unwrap()[..rows / 2 * dim];
    let doubled = Tensor::new(vec![rows, dim], [half, half].concat()).unwrap();
    let file = folder.join("centroids.npy");
    npy::write(&file, &doubled.cast(tensor.dtype()).unwrap()).unwrap();
    Made {
        settings: IndexSettings {
            swaps: vec![Swap::read(&format!("centroids={}", file.display())).unwrap()],
            ..IndexSettings::default()
        },
        ..Made::by(word)
    }
}

#[test]
fn another_choice_among_equally_near_centroids_is_found_at_the_codes() {
    let folder = tempfile::tempdir().unwrap();
    let side = |word: &str| with_ties(word, folder.path());
    for word in ["native,ties=last", "native,compress:ties=last"] {
        let explanation = explained(&side("native"), &side(word), Sides::Runner);
        assert_eq!(explanation.culprits(), ["codes"], "{word}");
        assert!(explanation.encoder.is_none(), "{word}");
    }
    let word = "native,ties=last,normalize=rsqrt";
    let explanation = explained(&side("native"), &side(word), Sides::Runner);
    assert_eq!(explanation.culprits(), ["batches", "codes"]);
    assert_eq!(modules(&explanation), [("normalize", Operation::Normalize)]);
}

#[test]
fn a_subject_and_itself_are_the_same_whatever_its_batches_and_threads() {
    for (a, b) in [
        ("native", "native"),
        ("native", "native,batch=7,threads=1"),
        ("native,gemm=chunk:112", "native,gemm=chunk:112,batch=5"),
        ("native", "native,gemm=chunk:192,gelu=erf,ties=first"),
    ] {
        let explanation = between(a, b);
        assert_eq!(explanation.verdict, Verdict::Same, "{a} and {b}");
        assert!(explanation.culprits().is_empty(), "{a} and {b}");
        assert!(explanation.encoder.is_none(), "{a} and {b}");
    }
}
