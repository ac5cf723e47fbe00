//! Checking an index: against its manifest, and by building it again.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::build::Layout;
use concord_engine::rebuild::{RebuildError, RebuildReport, rebuild};
use concord_engine::settings::IndexSettings;
use concord_index::format::{Index, IndexError, IndexManifest, PASSAGES_FILE};
use concord_index::verify::{Finding, VerifyError, verify};
use concord_pipeline::NoProgress;
use concord_pipeline::artifact::{CENTROIDS, D, EMBS};
use concord_tensor::BitHash;
use serde_json::json;

use engine::{built, checkpoint, collection, engine, engine_over, options, swap};
use golden::OLD;

/// The manifest of an index that `word` built at `out`.
fn manifest(word: &str, settings: IndexSettings, out: &Path) -> IndexManifest {
    let native = engine(word, settings).unwrap();
    built(&native, Layout::default(), out);
    IndexManifest::read(out).unwrap().unwrap()
}

/// Builds again what a manifest says, in other batches and with other threads.
fn rebuilt(
    manifest: &IndexManifest,
    collection: Collection,
) -> Result<RebuildReport, RebuildError> {
    let compute = options("native,batch=5,threads=1,isa=scalar");
    rebuild(
        manifest,
        Arc::new(checkpoint()),
        collection,
        compute,
        &NoProgress,
    )
}

#[test]
fn an_index_comes_out_the_same_when_it_is_built_again() {
    let others = IndexSettings {
        nbits: Some(4),
        doc_maxlen: Some(20),
        kmeans_niters: Some(2),
        partitions: std::num::NonZeroUsize::new(50),
        seed: 7,
        swaps: Vec::new(),
    };
    for (word, settings) in [
        ("native", IndexSettings::default()),
        ("native", others),
        (
            "native,gemm=split-k:4,bert.encoder.layer.1:identity",
            IndexSettings::default(),
        ),
        (
            "native,gemm=matrixmultiply,batch=6",
            IndexSettings::default(),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(word, settings, &folder.path().join("index"));
        let report = rebuilt(&manifest, collection()).unwrap();
        assert_eq!(report.differing, Vec::<String>::new(), "{word}");
        assert_eq!(report.compared, manifest.artifacts.len());
        assert_eq!(report.compared, concord_pipeline::artifact::ORDER.len());
    }
}

#[test]
fn artifacts_that_differ_are_named_in_the_order_of_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = manifest(
        "native",
        IndexSettings::default(),
        &folder.path().join("index"),
    );
    for name in [CENTROIDS, EMBS] {
        let record = manifest
            .artifacts
            .iter_mut()
            .find(|a| a.name == name)
            .unwrap();
        record.hash = BitHash::of_bytes(b"something else");
    }
    let report = rebuilt(&manifest, collection()).unwrap();
    assert_eq!(report.differing, [EMBS, CENTROIDS]);
    let record = manifest.artifacts.iter_mut().find(|a| a.name == D).unwrap();
    record.name = "Dd".to_owned();
    assert_eq!(
        rebuilt(&manifest, collection()).unwrap().differing,
        ["Dd", EMBS, CENTROIDS]
    );
}

#[test]
fn what_cannot_be_built_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = manifest(
        "native",
        IndexSettings::default(),
        &folder.path().join("index"),
    );
    let refused = |change: &dyn Fn(&mut IndexManifest)| {
        let mut manifest = whole.clone();
        change(&mut manifest);
        rebuilt(&manifest, collection()).unwrap_err()
    };

    let error = rebuilt(&whole, Collection::from_passages(["another text"])).unwrap_err();
    assert!(
        matches!(&error, RebuildError::OtherInput(input) if input == "collection"),
        "{error}"
    );
    let error = refused(&|manifest| {
        manifest
            .inputs
            .insert("checkpoint".to_owned(), BitHash::of_bytes(b"another"));
    });
    assert!(
        matches!(&error, RebuildError::OtherInput(input) if input == "checkpoint"),
        "{error}"
    );
    let error = refused(&|manifest| manifest.contract += 1);
    assert!(matches!(error, RebuildError::Contract(_)), "{error}");
    for option in [
        "nbits",
        "doc_maxlen",
        "kmeans_niters",
        "seed",
        "precision",
        "numerics",
    ] {
        let error = refused(&|manifest| {
            manifest.options.remove(option);
        });
        assert!(
            matches!(&error, RebuildError::Option(name) if name == option),
            "{error}"
        );
        let error = refused(&|manifest| {
            manifest
                .options
                .insert(option.to_owned(), json!({"is": "wrong"}));
        });
        assert!(
            matches!(&error, RebuildError::Option(name) if name == option),
            "{error}"
        );
    }
    let error = refused(&|manifest| {
        manifest
            .options
            .insert("numerics".to_owned(), json!(["gemm=abacus"]));
    });
    assert!(error.to_string().contains("abacus"), "{error}");
}

#[test]
fn a_number_in_the_manifest_that_is_out_of_range_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = manifest(
        "native",
        IndexSettings::default(),
        &folder.path().join("index"),
    );
    // 2^32 more than the seed that it was built with.
    manifest
        .options
        .insert("seed".to_owned(), json!(12345 + (1u64 << 32)));
    let error = rebuilt(&manifest, collection()).unwrap_err();
    assert!(
        matches!(&error, RebuildError::Option(name) if name == "seed"),
        "{error}"
    );
}

#[test]
fn an_index_with_something_swapped_in_cannot_be_built_again() {
    let settings = IndexSettings {
        swaps: vec![swap(CENTROIDS, &OLD.path("centroids.npy"))],
        ..IndexSettings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest("native", settings, &folder.path().join("index"));
    let error = rebuilt(&manifest, collection()).unwrap_err();
    assert!(matches!(error, RebuildError::Swapped), "{error}");
}

#[test]
fn every_way_a_file_can_differ_from_the_manifest_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    manifest("native", IndexSettings::default(), &out);
    assert_eq!(verify(&out).unwrap(), []);
    Index::open(&out).unwrap();

    let codes = out.join("0.codes.pt");
    let mut bytes = fs::read(&codes).unwrap();
    bytes[400] ^= 1;
    fs::write(&codes, &bytes).unwrap();
    let residuals = fs::read(out.join("0.residuals.pt")).unwrap();
    fs::write(out.join("0.residuals.pt"), &residuals[1..]).unwrap();
    fs::remove_file(out.join("centroids.pt")).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let (bytes, file) = (residuals.len() as u64, str::to_owned);
    assert_eq!(
        verify(&out).unwrap(),
        [
            Finding::Altered {
                file: file("0.codes.pt")
            },
            Finding::Size {
                file: file("0.residuals.pt"),
                expected: bytes,
                found: bytes - 1
            },
            Finding::Missing {
                file: file("centroids.pt")
            },
            Finding::Unknown {
                file: file("notes.txt")
            },
        ]
    );
    let error = Index::open(&out).err().unwrap();
    assert!(
        matches!(&error, IndexError::Damaged { finding: Finding::Altered { file }, .. } if file == "0.codes.pt"),
        "{error}"
    );
}

#[test]
fn an_index_of_the_reference_has_nothing_to_be_verified_against() {
    let error = verify(&OLD.path("index")).unwrap_err();
    assert!(matches!(error, VerifyError::NoManifest(_)));
    assert!(error.to_string().contains("concord diff"), "{error}");
    Index::open(&OLD.path("index")).unwrap();
}

#[test]
fn ids_that_the_manifest_does_not_know_of_are_no_other_input() {
    let passages = concat!(
        r#"{"_id": "a", "text": "a river runs through the valley"}"#,
        "\n",
        r#"{"_id": "b", "text": "the harbour is closed in winter"}"#,
    );
    let collection = || Collection::parse_beir("passages", passages.as_bytes()).unwrap();
    let native = engine_over(collection(), "native", IndexSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    built(&native, Layout::default(), &out);
    let mut manifest = IndexManifest::read(&out).unwrap().unwrap();
    assert_eq!(rebuilt(&manifest, collection()).unwrap().differing, [""; 0]);
    // Other ids are another input.
    let others = Collection::parse_beir("passages", passages.replace("\"b\"", "\"c\"").as_bytes());
    let refused = rebuilt(&manifest, others.unwrap());
    assert!(matches!(refused, Err(RebuildError::OtherInput(input)) if input == "ids"));
    // As an earlier version wrote it, without a table of passages.
    manifest.inputs.remove("ids").unwrap();
    manifest.files.retain(|file| file.name != PASSAGES_FILE);
    assert_eq!(rebuilt(&manifest, collection()).unwrap().differing, [""; 0]);
}
