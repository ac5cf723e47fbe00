//! Index folders: those that the reference built with two versions of PyTorch, and what they become.

#![allow(clippy::unwrap_used)]

mod toy;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use concord_index::format::{INDEX_MANIFEST, IndexManifest, file_records};
use concord_lab::diff::{About, Bits, Evidence, Outcome, Verdict};
use concord_lab::{DiffError, DiffOptions, Side, SideError, SideKind, diff};
use concord_pipeline::{ArtifactRecord, MANIFEST_VERSION, Value};
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{BitHash, DType, Tensor};
use tempfile::tempdir;
use toy::{Keeps, ToyRun, compared, field, row};

const OLD: &str = "torch-1.13.1/index";
const NEW: &str = "torch-2.15.0/index";

fn golden(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    root.join(path)
}

/// A copy of a golden index, to be changed.
fn copied(from: &str, to: PathBuf) -> PathBuf {
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(golden(from)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// A record of an artifact that is a single tensor.
fn record(name: &str, tensor: &Tensor) -> ArtifactRecord {
    let chunk = Value::from(tensor.clone()).record();
    ArtifactRecord::new(name, vec![chunk], &[None])
}

/// Makes the index one of Concord's with these artifacts in its manifest.
fn sign(index: &Path, artifacts: Vec<ArtifactRecord>) {
    let manifest = IndexManifest {
        concord: "index".to_owned(),
        version: MANIFEST_VERSION,
        contract: 1,
        inputs: BTreeMap::new(),
        options: BTreeMap::new(),
        artifacts,
        files: file_records(index, files_of(index)).unwrap(),
    };
    manifest.write(index).unwrap();
}

/// The names of the files of an index, but for its manifest.
fn files_of(index: &Path) -> Vec<String> {
    let entries = fs::read_dir(index).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != INDEX_MANIFEST).collect()
}

#[test]
fn two_indexes_of_the_reference_part_at_the_centroids() {
    let report = compared(&golden(OLD), &golden(NEW));
    assert_eq!(report.a.kind, SideKind::ForeignIndex);
    assert_eq!(report.first_different.as_deref(), Some("centroids"));
    assert_eq!((report.counts.different, report.counts.same), (5, 4));
    let names: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "doclens",
            "centroids",
            "bucket_cutoffs",
            "bucket_weights",
            "avg_residual",
            "codes",
            "residuals",
            "ivf",
            "ivf_lengths"
        ]
    );
    assert!(report.remarks.is_empty());
}

#[test]
fn zeros_behind_the_inverted_lists_are_no_difference() {
    let folder = tempdir().unwrap();
    let unpadded = copied(OLD, folder.path().join("index"));
    let path = unpadded.join("ivf.pid.pt");
    let tensors = pt::read_tensors(&path).unwrap();
    let listed: i64 = tensors[1].as_slice::<i64>().unwrap().iter().sum();
    assert!(
        tensors[0].len() > listed as usize,
        "the golden index is padded"
    );
    let lists = tensors[0].slice_rows(0..listed as usize).unwrap();
    let tuple = [lists, tensors[1].clone()].map(PtValue::Tensor);
    pt::write(&path, &PtValue::Tuple(tuple.to_vec())).unwrap();
    let report = compared(&golden(OLD), &unpadded);
    assert_eq!(report.verdict, Verdict::Same);
    let shape = &field(&report, "ivf").a.as_ref().unwrap().shape;
    assert_eq!(*shape, [listed as usize]);
}

#[test]
fn lengths_that_exceed_the_inverted_lists_are_refused() {
    let folder = tempdir().unwrap();
    for wrong in [-1i64, 1 << 40] {
        let index = copied(OLD, folder.path().join(wrong.to_string()));
        let path = index.join("ivf.pid.pt");
        let lists = pt::read_tensors(&path).unwrap().remove(0);
        let tuple = [lists, Tensor::vector(vec![wrong])].map(PtValue::Tensor);
        pt::write(&path, &PtValue::Tuple(tuple.to_vec())).unwrap();
        let (a, b) = (
            Side::open(&golden(OLD)).unwrap(),
            Side::open(&index).unwrap(),
        );
        let error = diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap_err();
        assert!(
            matches!(error, DiffError::Side(SideError::InvertedLists { .. })),
            "{error}"
        );
    }
}

#[test]
fn settings_of_indexes_are_compared() {
    let folder = tempdir().unwrap();
    let index = copied(OLD, folder.path().join("index"));
    let path = index.join("metadata.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"kmeans_niters\": 4"));
    let text = text.replace("\"kmeans_niters\": 4", "\"kmeans_niters\": 5");
    fs::write(&path, text).unwrap();
    let report = compared(&golden(OLD), &index);
    assert_eq!(report.remarks.len(), 1);
    assert_eq!(report.remarks[0].about, About::Option);
    let text = report.remarks[0].to_string();
    assert_eq!(text, "option `kmeans_niters` differs (4 and 5)");
}

#[test]
fn chunks_of_an_index_and_of_a_run_are_compared_row_by_row() {
    let folder = tempdir().unwrap();
    let codes = pt::read_tensor(golden(OLD).join("0.codes.pt")).unwrap();
    let cut = |at: [usize; 4]| {
        at.windows(2)
            .map(|ends| codes.slice_rows(ends[0]..ends[1]).unwrap().into())
            .collect::<Vec<Value>>()
    };
    let rows = codes.rows();
    let values = ToyRun::new(folder.path(), "values", Keeps::Values);
    let values = values.artifact("codes", cut([0, 7, 1000, rows])).finish();
    let hashes = ToyRun::new(folder.path(), "hashes", Keeps::Hashes);
    let hashes = hashes.artifact("codes", cut([0, 1, 2, rows])).finish();
    for (run, evidence) in [(values, Evidence::Values), (hashes, Evidence::Hashes)] {
        let report = compared(&golden(OLD), &run);
        assert_eq!(field(&report, "codes").bits, Bits::Same(evidence));
        assert_eq!(row(&report, "residuals").outcome, Outcome::OneSided);
        assert_eq!(report.verdict, Verdict::Same);
    }
}

#[test]
fn manifests_decide_on_bits_and_files_give_the_figures() {
    let folder = tempdir().unwrap();
    // The f32 centroids of the two differ by less than f16 can show.
    let full = pt::read_tensor(golden(OLD).join("centroids.pt")).unwrap();
    let full = full.cast(DType::F32).unwrap();
    let mut moved = full.as_slice::<f32>().unwrap().to_vec();
    moved[40] = f32::from_bits(moved[40].to_bits() + 1);
    let moved = Tensor::new(full.shape().to_vec(), moved).unwrap();
    let signed = |name, centroids: &Tensor| {
        let index = copied(OLD, folder.path().join(name));
        let embs = Tensor::vector(vec![1.0f32]);
        sign(
            &index,
            vec![record("embs", &embs), record("centroids", centroids)],
        );
        index
    };
    let (a, b) = (signed("a", &full), signed("b", &moved));
    let report = compared(&a, &b);
    assert_eq!(report.a.kind, SideKind::ConcordIndex);
    assert_eq!(field(&report, "embs").bits, Bits::Same(Evidence::Hashes));
    let centroids = field(&report, "centroids");
    assert_eq!(centroids.a.as_ref().unwrap().dtype, DType::F32);
    assert_eq!(centroids.bits, Bits::Different(Evidence::Hashes));
    let figures = &centroids.numbers.as_ref().unwrap().report;
    assert_eq!((figures.dtype_a, figures.differing), (DType::F16, 0));

    // Beside an index without a manifest, what counts is what both have: the files.
    let report = compared(&a, &golden(OLD));
    let centroids = field(&report, "centroids");
    assert_eq!(centroids.dtype_same, Some(true));
    assert_eq!(centroids.bits, Bits::Same(Evidence::Values));
    assert_eq!(row(&report, "embs").outcome, Outcome::OneSided);
}

#[test]
fn centroids_that_an_index_rounds_are_the_same_as_those_of_the_run_it_was_made_of() {
    let folder = tempdir().unwrap();
    let centroids = pt::read_tensor(golden(OLD).join("centroids.pt")).unwrap();
    let full: Vec<f32> = centroids
        .cast(DType::F32)
        .unwrap()
        .as_slice()
        .unwrap()
        .to_vec();
    let full = full.iter().map(|value| value * (1.0 + 1e-5)).collect();
    let full = Tensor::new(centroids.shape().to_vec(), full).unwrap();
    let index = copied(OLD, folder.path().join("index"));
    sign(&index, vec![record("centroids", &full)]);
    let run = ToyRun::new(folder.path(), "run", Keeps::Values);
    let run = run.artifact("centroids", [full.into()]).finish();
    let report = compared(&index, &run);
    let row = field(&report, "centroids");
    assert_eq!(row.bits, Bits::Same(Evidence::Hashes));
    assert_eq!((row.values, &row.numbers), (None, &None));
    assert_eq!(report.verdict, Verdict::Same);
}

#[test]
fn files_that_were_altered_behind_their_manifest_differ() {
    let folder = tempdir().unwrap();
    let codes = pt::read_tensor(golden(OLD).join("0.codes.pt")).unwrap();
    let signed = |name| {
        let index = copied(OLD, folder.path().join(name));
        sign(&index, vec![record("codes", &codes)]);
        index
    };
    let (whole, altered) = (signed("whole"), signed("altered"));
    let mut other = codes.as_slice::<i32>().unwrap().to_vec();
    other[5] += 1;
    pt::write(
        altered.join("0.codes.pt"),
        &PtValue::Tensor(Tensor::vector(other)),
    )
    .unwrap();
    let report = compared(&whole, &altered);
    assert_eq!(
        field(&report, "codes").bits,
        Bits::Different(Evidence::Values)
    );

    let shorter = codes.slice_rows(0..5).unwrap();
    pt::write(altered.join("0.codes.pt"), &PtValue::Tensor(shorter)).unwrap();
    let report = compared(&whole, &altered);
    assert_eq!(report.b.kind, SideKind::DamagedIndex);
    let damage = report.b.damage.as_deref().unwrap();
    assert!(damage.starts_with("0.codes.pt has "), "{damage}");
    assert_eq!(
        field(&report, "codes").bits,
        Bits::Different(Evidence::Form)
    );
}

#[test]
fn a_damaged_manifest_is_refused() {
    let folder = tempdir().unwrap();
    let index = copied(OLD, folder.path().join("index"));
    fs::write(index.join(INDEX_MANIFEST), "{").unwrap();
    assert!(matches!(Side::open(&index), Err(SideError::Manifest(_))));
}

/// Its hashes are of another kind, which must not pass for damage, let alone for a difference.
#[test]
fn a_manifest_of_version_1_is_refused_as_such() {
    let folder = tempdir().unwrap();
    let index = copied(OLD, folder.path().join("index"));
    sign(&index, vec![record("centroids", &Tensor::scalar(1i64))]);
    let path = index.join(INDEX_MANIFEST);
    let current = fs::read_to_string(&path).unwrap();
    // Such manifests had no hash of their own.
    let hash = current.rfind(",\n  \"hash\"").unwrap();
    let old = format!("{}\n}}\n", &current[..hash])
        .replace("sha256:", "blake3:")
        .replace(
            &format!("\"version\": {MANIFEST_VERSION}"),
            "\"version\": 1",
        );
    fs::write(&path, old).unwrap();
    let refused = |error: String| {
        assert!(
            error.contains("a manifest of index, version 1; this program reads"),
            "{error}"
        );
    };
    refused(Side::open(&index).err().unwrap().to_string());
    refused(IndexManifest::read(&index).unwrap_err().to_string());
}

#[test]
fn an_index_without_one_of_its_files_is_refused() {
    let folder = tempdir().unwrap();
    let index = copied(OLD, folder.path().join("index"));
    fs::remove_file(index.join("0.residuals.pt")).unwrap();
    let side = Side::open(&index).unwrap();
    let error = diff(&side, &side, &DiffOptions::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("0.residuals.pt"), "{error}");
}

#[test]
fn inputs_of_manifests_are_compared() {
    let folder = tempdir().unwrap();
    let signed = |name, collection: &[u8]| {
        let index = copied(OLD, folder.path().join(name));
        sign(&index, Vec::new());
        let mut manifest = IndexManifest::read(&index).unwrap().unwrap();
        let hash = BitHash::of_bytes(collection);
        manifest.inputs.insert("collection".to_owned(), hash);
        manifest.write(&index).unwrap();
        index
    };
    let report = compared(&signed("a", b"one"), &signed("b", b"another"));
    assert_eq!(report.remarks.len(), 1);
    assert_eq!(
        (report.remarks[0].about, report.remarks[0].name.as_str()),
        (About::Input, "collection")
    );
}
