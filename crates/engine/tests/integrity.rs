//! An index of Concord is what its manifest says, and the manifest is what was written, down to the bit.

#![allow(clippy::unwrap_used)]

mod engine;
#[path = "../../index/tests/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use concord_engine::build::Layout;
use concord_engine::settings::IndexSettings;
use concord_index::format::{INDEX_MANIFEST, Index, IndexManifest, ManifestError, file_records};
use concord_index::verify::{Finding, check, verify};
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{BitHash, DType, Tensor};
use tempfile::TempDir;

use engine::{built, engine};

/// Places of a large file whose bits are flipped, spread over all of it.
const SAMPLED: usize = 40;

/// Bytes of a file of which every one is flipped.
const SMALL: usize = 2048;

fn index() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("index");
    let native = engine("native", IndexSettings::default()).unwrap();
    built(&native, Layout::default(), &out);
    (folder, out)
}

/// The names of all files that belong to the index.
fn files(index: &Path) -> Vec<String> {
    let manifest = IndexManifest::read(index).unwrap().unwrap();
    manifest.files.into_iter().map(|file| file.name).collect()
}

/// The index does not verify, and cannot be opened.
#[track_caller]
fn is_found(index: &Path, file: &str, what: &str) {
    match verify(index) {
        Err(error) => assert!(error.to_string().contains(file), "{what}: {error}"),
        Ok(findings) => assert!(
            findings
                .iter()
                .any(|finding| finding.to_string().contains(file)),
            "{what}: {findings:?}"
        ),
    }
    let error = Index::open(index).err();
    let error = error
        .unwrap_or_else(|| panic!("{what}: it was opened"))
        .to_string();
    assert!(error.contains(file), "{what}: {error}");
}

#[test]
fn a_flipped_bit_in_any_byte_of_the_manifest_is_found() {
    let (_folder, index) = index();
    let path = index.join(INDEX_MANIFEST);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        is_found(&index, INDEX_MANIFEST, &format!("byte {at}"));
    }
    // Of what is not hashed itself, every bit.
    for at in bytes.len() - 90..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            is_found(&index, INDEX_MANIFEST, &format!("bit {bit} of byte {at}"));
        }
    }
    fs::write(&path, &bytes).unwrap();
    assert_eq!(verify(&index).unwrap(), []);
}

#[test]
fn a_flipped_bit_in_any_other_file_is_found() {
    let (_folder, index) = index();
    for file in files(&index) {
        let path = index.join(&file);
        let bytes = fs::read(&path).unwrap();
        let step = if bytes.len() <= SMALL {
            1
        } else {
            bytes.len() / SAMPLED
        };
        let last = [bytes.len() - 1];
        for at in (0..bytes.len()).step_by(step).chain(last) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            is_found(&index, &file, &format!("byte {at} of {file}"));
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(verify(&index).unwrap(), []);
    Index::open(&index).unwrap();
}

#[test]
fn files_that_are_shorter_longer_or_gone_are_found() {
    let (_folder, index) = index();
    let all = files(&index).into_iter().chain([INDEX_MANIFEST.to_owned()]);
    for file in all {
        let path = index.join(&file);
        let bytes = fs::read(&path).unwrap();
        let longer = |more: &[u8]| [&bytes[..], more].concat();
        for other in [
            bytes[..bytes.len() - 1].to_vec(),
            bytes[..bytes.len() / 2].to_vec(),
            Vec::new(),
            longer(b"\n"),
            longer(b" "),
            longer(b"\0"),
            longer(&bytes),
        ] {
            fs::write(&path, &other).unwrap();
            is_found(&index, &file, &format!("{} bytes of {file}", other.len()));
        }
        fs::remove_file(&path).unwrap();
        if file != INDEX_MANIFEST {
            is_found(&index, &file, &format!("no {file}"));
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(verify(&index).unwrap(), []);
}

#[test]
fn a_file_too_many_is_found() {
    let (_folder, index) = index();
    for file in ["1.codes.pt", "notes.txt", "0.codes.pt~", ".hidden"] {
        fs::write(index.join(file), "").unwrap();
        let file = file.to_owned();
        assert_eq!(
            verify(&index).unwrap(),
            [Finding::Unknown { file: file.clone() }]
        );
        fs::remove_file(index.join(file)).unwrap();
    }
}

/// What is written of an index: a hash over all bytes before the last field.
#[test]
fn the_manifest_ends_with_the_hash_of_the_bytes_before() {
    let (_folder, index) = index();
    let text = fs::read_to_string(index.join(INDEX_MANIFEST)).unwrap();
    let (before, hash) = text.rsplit_once(",\n  \"hash\": \"").unwrap();
    assert_eq!(
        hash,
        format!("{}\"\n}}\n", BitHash::of_bytes(before.as_bytes()))
    );
    assert!(check(&index).unwrap().manifest_has_hash);
}

#[test]
fn an_index_whose_manifest_has_no_hash_is_opened_and_verified_as_such() {
    let (_folder, index) = index();
    let path = index.join(INDEX_MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.rsplit_once(",\n  \"hash\": \"").unwrap();
    let old = format!("{before}\n}}\n");
    fs::write(&path, &old).unwrap();
    let checked = check(&index).unwrap();
    assert_eq!(checked.findings, []);
    assert!(!checked.manifest_has_hash);
    Index::open(&index).unwrap();
    // A hash that is there has to be right and to stand where it is written.
    let hash = BitHash::of_bytes(before.as_bytes());
    let moved = old.replacen("{\n", &format!("{{\n  \"hash\": \"{hash}\",\n"), 1);
    fs::write(&path, moved).unwrap();
    let error = IndexManifest::read(&index).unwrap_err();
    assert!(matches!(error, ManifestError::Altered(_)), "{error}");
    let unknown = old.replacen("{\n", "{\n  \"hasi\": 1,\n", 1);
    fs::write(&path, unknown).unwrap();
    let error = IndexManifest::read(&index).unwrap_err();
    assert!(matches!(error, ManifestError::Malformed { .. }), "{error}");
}

/// Writes the manifest anew after `change`, as somebody would who means to deceive.
fn sign(index: &Path, change: impl FnOnce(&mut IndexManifest)) {
    let mut manifest = IndexManifest::read(index).unwrap().unwrap();
    change(&mut manifest);
    manifest.write(index).unwrap();
}

#[test]
fn names_that_leave_the_folder_are_not_followed() {
    let (folder, index) = index();
    let outside = folder.path().join("outside");
    fs::write(&outside, "outside").unwrap();
    for name in [
        outside.to_str().unwrap(),
        "../outside",
        "..",
        "sub/../../outside",
    ] {
        let (_other, index) = {
            let other = tempfile::tempdir().unwrap();
            let to = other.path().join("index");
            copy(&index, &to);
            (other, to)
        };
        sign(&index, |manifest| {
            let mut record = manifest.files[0].clone();
            record.name = name.to_owned();
            manifest.files.push(record);
        });
        is_found(&index, name, name);
        let findings = verify(&index).unwrap();
        assert!(
            findings[0].to_string().contains("leads out of the folder"),
            "{findings:?}"
        );
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_any_file_is_told_at_once() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let (_folder, index) = index();
    for file in files(&index).into_iter().chain([INDEX_MANIFEST.to_owned()]) {
        let path = index.join(&file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        is_found(&index, &file, &file);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        is_found(&index, &file, &file);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    // The log is no part of the index, so nobody waits for it either.
    let log = index.join("concord.log.json");
    fs::remove_file(&log).unwrap();
    mkfifoat(CWD, &log, Mode::RWXU).unwrap();
    assert!(concord_engine::log::BuildLog::read(&index).is_none());
    assert_eq!(verify(&index).unwrap(), []);
}

#[test]
fn numbers_that_are_none_are_found_though_every_byte_is_as_it_was_written() {
    for (file, tensor) in [
        ("centroids.pt", "centroids"),
        ("buckets.pt", "bucket_cutoffs"),
        ("avg_residual.pt", "avg_residual"),
    ] {
        let (_folder, index) = index();
        let path = index.join(file);
        let mut tensors = pt::read_tensors(&path).unwrap();
        let (dtype, shape) = (tensors[0].dtype(), tensors[0].shape().to_vec());
        let mut values = vec![0.5f32; tensors[0].len()];
        *values.last_mut().unwrap() = f32::NAN;
        let last: Vec<usize> = shape.iter().map(|size| size - 1).collect();
        tensors[0] = Tensor::new(shape, values).unwrap().cast(dtype).unwrap();
        assert!(dtype == DType::F16 || dtype == DType::F32);
        let mut tensors: Vec<_> = tensors.into_iter().map(PtValue::Tensor).collect();
        let value = match tensors.len() {
            1 => tensors.remove(0),
            _ => PtValue::Tuple(tensors),
        };
        pt::write(&path, &value).unwrap();
        sign(&index, |manifest| {
            let names = manifest
                .files
                .iter()
                .map(|file| file.name.clone())
                .collect();
            manifest.files = file_records(&index, names).unwrap();
        });
        let expected = Finding::NotFinite {
            file: file.to_owned(),
            tensor: tensor.to_owned(),
            value: "NaN".to_owned(),
            at: last,
        };
        assert_eq!(verify(&index).unwrap(), [expected]);
        is_found(&index, file, file);
    }
}
