//! Index folders in which something is missing or altered: what is not known to be the same is not said to be.

#![allow(clippy::unwrap_used)]

mod toy;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use concord_index::format::{INDEX_MANIFEST, IndexManifest, file_records};
use concord_lab::diff::{Outcome, Verdict};
use concord_lab::{DiffError, DiffOptions, Side, SideError, SideKind, diff};
use concord_pipeline::{ArtifactRecord, MANIFEST_VERSION, Value};
use concord_tensor::Tensor;
use concord_tensor::pt::{self, PtValue};
use serde_json::Value as Json;
use tempfile::{TempDir, tempdir};
use toy::{compared, row};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/torch-1.13.1/index")
}

/// Two copies of an index of the reference, to be changed.
fn pair() -> (TempDir, [PathBuf; 2]) {
    let folder = tempdir().unwrap();
    let copies = ["a", "b"].map(|name| {
        let to = folder.path().join(name);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(golden()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        to
    });
    (folder, copies)
}

/// Makes the index one of Concord's: with the records of its codes and of an artifact that has no file.
fn sign(index: &Path) {
    let record = |name: &str, tensor: Tensor| {
        ArtifactRecord::new(name, vec![Value::from(tensor).record()], &[None])
    };
    let names = fs::read_dir(index)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name != INDEX_MANIFEST).collect();
    let manifest = IndexManifest {
        concord: "index".to_owned(),
        version: MANIFEST_VERSION,
        contract: 2,
        inputs: BTreeMap::new(),
        options: BTreeMap::from([("precision".to_owned(), "f32".into())]),
        artifacts: vec![
            record("embs", Tensor::vector(vec![1.0f32])),
            record("codes", pt::read_tensor(index.join("0.codes.pt")).unwrap()),
        ],
        files: file_records(index, names).unwrap(),
    };
    manifest.write(index).unwrap();
}

/// Changes a setting in a JSON file.
fn set(file: &Path, change: impl FnOnce(&mut Json)) {
    let mut json: Json = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut json);
    fs::write(file, json.to_string()).unwrap();
}

/// What is in the way of comparing the two.
fn refused(a: &Path, b: &Path) -> String {
    let sides = Side::open(a).and_then(|a| Ok((a, Side::open(b)?)));
    match sides {
        Err(error) => error.to_string(),
        Ok((a, b)) => {
            let error = diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap_err();
            error.to_string()
        }
    }
}

#[test]
fn an_index_without_chunks_is_no_index() {
    for signed in [[false, false], [true, false], [true, true]] {
        let (_folder, [a, b]) = pair();
        for (index, signed) in [&a, &b].into_iter().zip(signed) {
            set(&index.join("metadata.json"), |metadata| {
                metadata["num_chunks"] = 0.into()
            });
            fs::remove_file(index.join("0.codes.pt")).unwrap();
            fs::write(
                index.join("0.codes.pt"),
                fs::read(golden().join("0.codes.pt")).unwrap(),
            )
            .unwrap();
            if signed {
                sign(index);
            }
            fs::remove_file(index.join("0.codes.pt")).unwrap();
        }
        let error = refused(&a, &b);
        assert!(error.contains("num_chunks"), "{error}");
    }
}

#[test]
fn a_missing_file_is_told_whoever_built_the_index() {
    for file in [
        "0.codes.pt",
        "0.residuals.pt",
        "doclens.0.json",
        "centroids.pt",
        "ivf.pid.pt",
    ] {
        for signed in [[false, false], [true, false], [false, true], [true, true]] {
            let (_folder, [a, b]) = pair();
            for (index, signed) in [&a, &b].into_iter().zip(signed) {
                if signed {
                    sign(index);
                }
            }
            fs::remove_file(b.join(file)).unwrap();
            let error = refused(&a, &b);
            assert!(error.contains(file), "{error}");
        }
    }
}

#[test]
fn settings_by_which_an_index_is_read_are_part_of_what_is_the_same() {
    for (file, key, value, named) in [
        ("metadata.json", "nbits", Json::from(4), "nbits"),
        ("metadata.json", "query_maxlen", 64.into(), "query_maxlen"),
        ("metadata.json", "ncells", 3.into(), "ncells"),
        (
            "metadata.json",
            "mask_punctuation",
            false.into(),
            "mask_punctuation",
        ),
        ("plan.json", "nbits", 4.into(), "nbits of plan.json"),
    ] {
        for signed in [[false, false], [true, false], [true, true]] {
            let (_folder, [a, b]) = pair();
            set(&b.join(file), |json| json["config"][key] = value.clone());
            for (index, signed) in [&a, &b].into_iter().zip(signed) {
                if signed {
                    sign(index);
                }
            }
            let report = compared(&a, &b);
            assert_eq!(report.verdict, Verdict::Different, "{key} {signed:?}");
            assert_eq!(report.settings_different, [named]);
            assert!(report.remarks.iter().any(|remark| remark.name == named));
            assert_eq!(report.counts.different, 0, "no artifact differs");
        }
    }
    let (_folder, [a, b]) = pair();
    set(&b.join("metadata.json"), |json| {
        json["num_embeddings"] = 7.into()
    });
    fs::remove_file(a.join("plan.json")).unwrap();
    let report = compared(&a, &b);
    assert_eq!(report.verdict, Verdict::Different);
    let names = &report.settings_different;
    assert!(names.contains(&"num_embeddings".to_owned()), "{names:?}");
    assert!(
        names.contains(&"nbits of plan.json".to_owned()),
        "{names:?}"
    );
}

#[test]
fn a_setting_is_told_once_and_sizes_that_follow_from_what_differs_are_not() {
    let (_folder, [a, b]) = pair();
    for file in ["metadata.json", "plan.json"] {
        set(&b.join(file), |json| json["config"]["nbits"] = 4.into());
    }
    let report = compared(&a, &b);
    assert_eq!(report.settings_different, ["nbits"]);
    assert_eq!(report.remarks.len(), 1);

    let (_folder, [a, b]) = pair();
    set(&b.join("metadata.json"), |metadata| {
        metadata["num_embeddings"] = 7.into();
    });
    assert_eq!(compared(&a, &b).settings_different, ["num_embeddings"]);
    let path = b.join("avg_residual.pt");
    pt::write(&path, &PtValue::Tensor(Tensor::scalar(0.5f32))).unwrap();
    let report = compared(&a, &b);
    assert_eq!(report.first_different.as_deref(), Some("avg_residual"));
    assert!(report.settings_different.is_empty() && report.remarks.is_empty());
}

#[test]
fn settings_that_say_where_something_lay_are_no_difference() {
    let (_folder, [a, b]) = pair();
    for key in [
        "root",
        "experiment",
        "index_name",
        "checkpoint",
        "collection",
        "name",
    ] {
        set(&b.join("metadata.json"), |json| {
            json["config"][key] = "elsewhere".into()
        });
    }
    let report = compared(&a, &b);
    assert_eq!(report.verdict, Verdict::Same);
    assert!(report.remarks.is_empty(), "{:?}", report.remarks);
}

#[test]
fn an_index_of_concord_is_compared_with_one_without_a_manifest_in_what_both_have() {
    let (_folder, [a, b]) = pair();
    sign(&a);
    let report = compared(&a, &b);
    assert_eq!(report.b.kind, SideKind::ForeignIndex);
    assert_eq!(report.verdict, Verdict::Same);
    assert_eq!((report.counts.same, report.counts.one_sided), (9, 1));
    assert_eq!(row(&report, "embs").outcome, Outcome::OneSided);
}

#[test]
fn an_altered_manifest_is_not_believed() {
    let (_folder, [a, b]) = pair();
    sign(&a);
    sign(&b);
    assert_eq!(compared(&a, &b).verdict, Verdict::Same);
    let path = b.join(INDEX_MANIFEST);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, flipped).unwrap();
        let error = Side::open(&b).err().unwrap();
        assert!(
            matches!(error, SideError::Manifest(_)),
            "byte {at}: {error}"
        );
    }
    fs::write(&path, [&bytes[..], b" "].concat()).unwrap();
    assert!(matches!(Side::open(&b), Err(SideError::Manifest(_))));
}

#[test]
fn an_index_whose_files_are_not_as_its_manifest_says_is_the_same_as_no_other() {
    type Spoil = fn(&Path);
    let damage: [(&str, Spoil); 3] = [
        ("plan.json", |index| {
            let path = index.join("plan.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen(' ', "\t", 1)).unwrap();
        }),
        ("0.metadata.json", |index| {
            fs::remove_file(index.join("0.metadata.json")).unwrap()
        }),
        ("1.codes.pt", |index| {
            fs::write(index.join("1.codes.pt"), "").unwrap()
        }),
    ];
    for (file, spoil) in damage {
        let (_folder, [a, b]) = pair();
        sign(&a);
        sign(&b);
        spoil(&b);
        let report = compared(&a, &b);
        assert_eq!(report.b.kind, SideKind::DamagedIndex);
        assert!(report.b.damage.as_ref().unwrap().contains(file));
        assert!(
            matches!(report.verdict, Verdict::CannotTell { .. }),
            "{:?}",
            report.verdict
        );
        let report = compared(&b, &b);
        assert!(
            matches!(report.verdict, Verdict::CannotTell { .. }),
            "{:?}",
            report.verdict
        );
    }
    // Notes of a user are no part of an index.
    let (_folder, [a, b]) = pair();
    sign(&a);
    sign(&b);
    fs::write(b.join("notes.txt"), "mine").unwrap();
    assert_eq!(compared(&a, &b).verdict, Verdict::Same);
}

#[test]
fn what_a_record_says_and_no_file_has_is_no_reason_to_open_the_index() {
    let (_folder, [a, b]) = pair();
    sign(&a);
    fs::remove_file(a.join("0.codes.pt")).unwrap();
    let (a, b) = (Side::open(&a).unwrap(), Side::open(&b).unwrap());
    let error = diff(&a, &b, &DiffOptions::default(), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, DiffError::Side(SideError::Index(_))),
        "{error}"
    );
}
