//! What is said of the graph without a checkpoint is what the graph does.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::collections::{BTreeMap, BTreeSet};

use concord_engine::graph::{
    GRAPH, decided_by_option, decides_after_encoder, made_from_input, maker, needs, settings,
    sources, stand_in,
};
use concord_engine::settings::IndexSettings;
use concord_engine::swap::{Swap, swap_declaration};
use concord_pipeline::artifact::{NUM_PASSAGES, ORDER, PASSAGES};
use concord_pipeline::{EvaluateError, Evaluator};
use concord_tensor::{BitHash, DType, Tensor, npy};

use engine::{engine, evaluated, swap};

#[test]
fn the_stages_that_are_run_are_those_that_are_declared() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let declared: Vec<_> = native.declarations().collect();
    assert_eq!(declared, GRAPH);
}

#[test]
fn the_artifacts_are_the_sources_and_what_stages_make() {
    let made = GRAPH.iter().flat_map(|stage| stage.outputs);
    let mut artifacts: Vec<&str> = made.map(|output| output.name).collect();
    artifacts.extend([PASSAGES, NUM_PASSAGES]);
    artifacts.sort_unstable();
    let mut known = ORDER.to_vec();
    known.sort_unstable();
    assert_eq!(artifacts, known);
}

#[test]
fn a_declaration_agrees_with_itself_and_reads_what_was_made_before() {
    let mut made = BTreeSet::from([PASSAGES, NUM_PASSAGES]);
    for stage in GRAPH {
        for input in stage.inputs {
            assert!(made.contains(input.field.artifact), "{}", input.field);
        }
        for output in stage.outputs {
            for field in output.made_from.unwrap_or_default() {
                let declared = stage.input(field.artifact, field.name);
                assert!(declared.is_some(), "{} of {field}", output.name);
            }
            for other in output.made_from_outputs {
                assert!(*other != output.name && stage.output(other).is_some());
            }
            assert!(!output.absorbed_by.is_empty(), "{}", output.name);
            assert!(made.insert(output.name));
        }
        let read = stage.inputs.iter().all(|input| {
            let mut outputs = stage.outputs.iter();
            outputs.any(|output| stage.sources(output).contains(&input.field))
        });
        assert!(read, "{} reads what nothing is made from", stage.name);
    }
}

/// What each artifact is made from, as everybody who explains a difference relies on it.
#[test]
fn every_artifact_names_what_it_is_made_from() {
    let lineage: BTreeMap<&str, String> = ORDER
        .into_iter()
        .map(|artifact| {
            let fields = sources(artifact).into_iter().map(|field| field.to_string());
            (artifact, fields.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected = [
        ("passages", ""),
        ("num_passages", ""),
        ("sampled_pids", "num_passages"),
        ("tensorize_output", "passages.text passages.ends"),
        ("batches", "tensorize_output.ids tensorize_output.lengths"),
        ("D", "batches.D_ batches.mask_"),
        ("doclens", "tensorize_output.lengths batches.mask_"),
        ("embs", "D"),
        ("local_sample_embs", "sampled_pids doclens embs"),
        ("plan", "num_passages sampled_pids doclens"),
        ("sample", "local_sample_embs"),
        ("sample_heldout", "local_sample_embs"),
        ("centroids", "plan.num_partitions sample"),
        ("bucket_cutoffs", "sample_heldout centroids"),
        ("bucket_weights", "sample_heldout centroids"),
        ("avg_residual", "sample_heldout centroids"),
        ("codes", "embs centroids"),
        ("residuals", "embs centroids bucket_cutoffs codes"),
        ("values", "codes"),
        ("ivf", "codes doclens"),
        ("ivf_lengths", "codes doclens centroids (rows)"),
    ];
    let expected = expected.map(|(artifact, from)| (artifact, from.to_owned()));
    assert_eq!(lineage, expected.into());
}

#[test]
fn every_option_names_the_artifacts_that_it_decides() {
    let decided = |option| decided_by_option(option).collect::<Vec<_>>();
    assert_eq!(
        decided("nbits"),
        ["bucket_cutoffs", "bucket_weights", "residuals"]
    );
    assert_eq!(decided("doc_maxlen"), ["tensorize_output"]);
    assert_eq!(decided("kmeans_niters"), ["centroids"]);
    assert_eq!(decided("partitions"), ["plan"]);
    assert_eq!(
        decided("seed"),
        ["sampled_pids", "sample", "sample_heldout"]
    );
    assert!(decided("precision").is_empty());
    assert!(decides_after_encoder("nbits") && !decides_after_encoder("doc_maxlen"));
    let of_checkpoint: Vec<_> = made_from_input("checkpoint").collect();
    assert_eq!(of_checkpoint, ["tensorize_output", "batches"]);
    assert_eq!(
        settings(),
        [
            "dim",
            "doc_maxlen",
            "kmeans_niters",
            "mask_punctuation",
            "nbits",
            "partitions",
            "pool_factor",
            "protected_tokens",
            "seed",
            "similarity",
        ]
    );
}

/// Every option of a manifest but those that say in which arithmetic it is computed.
#[test]
fn the_options_of_a_manifest_are_those_that_stages_declare() {
    let native = engine("native,gemm=matrixmultiply", IndexSettings::default()).unwrap();
    for name in native.options().keys() {
        let declared = GRAPH.iter().any(|stage| stage.has_setting(name));
        assert!(declared, "no stage declares `{name}`");
    }
}

#[test]
fn a_stage_runs_alone_on_what_can_be_given() {
    let needed = |artifact| needs(maker(artifact).unwrap().0);
    for (artifact, needed_there) in [
        ("sampled_pids", &[][..]),
        ("plan", &["sampled_pids", "doclens", "embs"]),
        ("sample", &["local_sample_embs"]),
        ("centroids", &["sampled_pids", "doclens", "embs", "sample"]),
        ("avg_residual", &["sample_heldout", "centroids"]),
        ("codes", &["embs", "doclens", "centroids", "bucket_cutoffs"]),
        ("ivf", &["codes", "doclens", "centroids"]),
    ] {
        assert_eq!(needed(artifact).unwrap(), needed_there, "{artifact}");
    }
    for artifact in ["tensorize_output", "batches", "embs"] {
        assert!(needed(artifact).is_none(), "{artifact}");
    }
}

#[test]
fn what_cannot_be_given_is_given_by_what_is_made_from_it_alone() {
    for artifact in ORDER {
        let expected = match artifact {
            "batches" | "D" => Some("embs"),
            "num_passages" => Some("sampled_pids"),
            _ => swap_declaration(artifact).map(|_| artifact),
        };
        assert_eq!(stand_in(artifact), expected, "{artifact}");
    }
}

/// The stages that compute in other ways are those that declare it.
#[test]
fn a_variant_is_taken_by_the_stages_that_declare_it() {
    for (option, variant) in [
        ("normalize", "normalize=rsqrt"),
        ("gemm", "gemm=chunk:7"),
        ("ties", "ties=last"),
        ("gelu", "gelu=tanh"),
        ("layer_norm", "layer_norm=one-pass"),
    ] {
        for stage in GRAPH {
            let word = format!("native,{}:{variant}", stage.name);
            let taken = engine(&word, IndexSettings::default()).is_ok();
            assert_eq!(taken, stage.arithmetic.contains(&option), "{word}");
        }
    }
}

fn hashes(evaluator: &Evaluator<'_>) -> Result<BTreeMap<String, BitHash>, EvaluateError> {
    let artifacts = ORDER.into_iter().map(|name| evaluator.artifact(name));
    artifacts
        .map(|record| record.map(|record| (record.name, record.hash)))
        .collect()
}

/// The artifact with some of its values changed to others that it may have.
fn altered(evaluator: &Evaluator<'_>, artifact: &str) -> Result<Tensor, EvaluateError> {
    let mut parts = Vec::new();
    for chunk in 0..evaluator.chunks(artifact)? {
        let value = evaluator.load(artifact, chunk)?;
        parts.push(value.field("").unwrap().clone());
    }
    let tensor = match parts.as_slice() {
        [only] => only.clone(),
        parts => Tensor::concat_rows(parts).unwrap(),
    };
    let shape = tensor.shape().to_vec();
    Ok(match artifact {
        "sampled_pids" => tensor.slice_rows(0..tensor.rows() - 1).unwrap(),
        "doclens" => {
            let mut lengths = tensor.as_slice::<i64>().unwrap().to_vec();
            (lengths[0], lengths[1]) = (lengths[0] - 1, lengths[1] + 1);
            Tensor::vector(lengths)
        }
        "codes" => {
            let mut codes = tensor.as_slice::<i32>().unwrap().to_vec();
            codes[0] ^= 1;
            Tensor::vector(codes)
        }
        "residuals" => {
            let mut bytes = tensor.as_slice::<u8>().unwrap().to_vec();
            bytes[0] ^= 1;
            Tensor::new(shape, bytes).unwrap()
        }
        _ => {
            let mut values = tensor
                .cast(DType::F32)
                .unwrap()
                .as_slice::<f32>()
                .unwrap()
                .to_vec();
            values.iter_mut().for_each(|value| *value *= 0.75);
            let values = Tensor::new(shape, values).unwrap();
            values.cast(tensor.dtype()).unwrap()
        }
    })
}

/// Everything that is made from an artifact, directly or not.
fn descendants(artifact: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    loop {
        let more = ORDER.into_iter().filter(|other| {
            let mut sources = sources(other).into_iter();
            sources.any(|from| from.artifact == artifact || found.contains(from.artifact))
        });
        let more: BTreeSet<&str> = more.collect();
        if more == found {
            return found;
        }
        found = more;
    }
}

#[test]
fn another_artifact_changes_nothing_but_what_is_made_from_it() {
    let native = engine("native", IndexSettings::default()).unwrap();
    let plain = evaluated(&native, hashes);
    assert_eq!(plain.len(), ORDER.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.npy");
    for artifact in ORDER.into_iter().filter(|a| swap_declaration(a).is_some()) {
        let tensor = evaluated(&native, |evaluator| altered(evaluator, artifact));
        npy::write(&path, &tensor).unwrap();
        let settings = IndexSettings {
            swaps: vec![swap(artifact, &path)],
            ..IndexSettings::default()
        };
        let found = evaluated(&engine("native", settings).unwrap(), hashes);
        assert_ne!(found[artifact], plain[artifact], "{artifact}");
        let may_change = descendants(artifact);
        for (other, hash) in &plain {
            let changed = found[other] != *hash && other != artifact;
            let allowed = may_change.contains(other.as_str());
            assert!(!changed || allowed, "{artifact} changes {other}");
        }
    }
}

#[test]
fn a_swap_that_cannot_be_made_lists_those_that_can() {
    let error = Swap::read("ivf=somewhere").unwrap_err().to_string();
    assert!(error.contains("sampled_pids, doclens, embs"), "{error}");
}
