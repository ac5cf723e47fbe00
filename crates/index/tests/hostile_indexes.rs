//! Indexes without a manifest whose files say what no index says.

#![allow(clippy::unwrap_used)]

#[path = "../../tensor/tests/archive/mod.rs"]
mod archive;
mod golden;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use archive::{Archive, pickle, tensor};
use concord_index::format::{Index, IndexError, IndexTensors};
use concord_index::search::{SearchOptions, Searcher};
use concord_kernels::compute::Compute;
use concord_tensor::pt::{self, PtValue};
use concord_tensor::{DType, Tensor};
use tempfile::TempDir;

use golden::OLD;

/// A copy of the reference's index, to be changed.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(OLD.path("index")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn refused(folder: &Path) -> IndexError {
    Index::open(folder).err().unwrap()
}

fn doclens(folder: &Path) -> Vec<i64> {
    let text = fs::read(folder.join("doclens.0.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn write_doclens(folder: &Path, doclens: &[i64]) {
    let text = serde_json::to_vec(doclens).unwrap();
    fs::write(folder.join("doclens.0.json"), text).unwrap();
}

/// Changes a setting of `metadata.json`.
fn set(folder: &Path, key: &str, value: &str) {
    let path = folder.join("metadata.json");
    let text = fs::read(&path).unwrap();
    let mut metadata: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let place = match key.strip_prefix("config.") {
        Some(key) => &mut metadata["config"][key],
        None => &mut metadata[key],
    };
    *place = serde_json::from_str(value).unwrap();
    fs::write(&path, metadata.to_string()).unwrap();
}

/// Writes `values` in place of the first value of the first tensor of a file.
fn spoil(path: &Path, value: f32, at: usize) {
    let mut tensors = pt::read_tensors(path).unwrap();
    let (dtype, shape) = (tensors[0].dtype(), tensors[0].shape().to_vec());
    let mut values = tensors[0]
        .cast(DType::F32)
        .unwrap()
        .as_slice::<f32>()
        .unwrap()
        .to_vec();
    values[at] = value;
    tensors[0] = Tensor::new(shape, values).unwrap().cast(dtype).unwrap();
    let mut tensors: Vec<_> = tensors.into_iter().map(PtValue::Tensor).collect();
    let value = match tensors.len() {
        1 => tensors.remove(0),
        _ => PtValue::Tuple(tensors),
    };
    pt::write(path, &value).unwrap();
}

#[test]
fn a_tensor_that_is_larger_than_its_file_is_refused_before_it_is_read() {
    // Gigabytes of views of one stored row.
    for (file, name, class, shape, strides, count, size) in [
        (
            "centroids.pt",
            "centroids",
            "Half",
            &[1i64 << 23, 32][..],
            &[0i64, 1][..],
            32i64,
            2usize,
        ),
        ("0.codes.pt", "codes", "Int", &[1 << 30], &[0], 1, 4),
        (
            "0.residuals.pt",
            "residuals",
            "Byte",
            &[1 << 28, 8],
            &[0, 1],
            8,
            1,
        ),
        ("ivf.pid.pt", "ivf", "Int", &[1 << 30], &[0], 1, 4),
    ] {
        let folder = copied();
        let class = format!("{class}Storage");
        let one = tensor(&class, "0", count, 0, shape, strides);
        let all = match file {
            "ivf.pid.pt" => [b"(", &one[..], &one[..], b"t"].concat(),
            _ => one,
        };
        let storage = vec![0u8; count as usize * size];
        let bytes = Archive::of(&pickle(&all), &[&storage]).finish();
        fs::write(folder.path().join(file), bytes).unwrap();
        let error = refused(folder.path());
        assert!(
            matches!(error, IndexError::Shape { .. } | IndexError::File(_)),
            "{file}: {error}"
        );
        let tensors = IndexTensors::open(folder.path()).unwrap();
        assert!(tensors.artifact(name).is_err(), "{file}");
    }
}

#[test]
fn sizes_that_the_metadata_does_not_have_are_refused() {
    for (key, value, said) in [
        ("num_partitions", "7", "`centroids` has shape"),
        ("num_partitions", "-1", "`num_partitions` is -1"),
        ("config.dim", "64", "`centroids` has shape"),
        ("config.dim", "18446744073709551615", "cannot have"),
        ("config.nbits", "4", "`bucket_cutoffs` has shape"),
        ("config.nbits", "65", "cannot have"),
        ("num_chunks", "0", "`num_chunks` is 0"),
        ("num_chunks", "1.5", "not a whole number"),
        ("num_chunks", "18446744073709551615", "doclens.1.json"),
        ("num_chunks", "2", "doclens.1.json"),
    ] {
        let folder = copied();
        set(folder.path(), key, value);
        let error = refused(folder.path()).to_string();
        assert!(error.contains(said), "{key} = {value}: {error}");
    }
}

#[test]
fn lengths_of_passages_that_add_up_to_nothing_are_refused() {
    let whole = copied();
    let lengths = doclens(whole.path());
    let sum: i64 = lengths.iter().sum();
    let with = |changes: &[(usize, i64)]| {
        let mut lengths = lengths.clone();
        for &(at, length) in changes {
            lengths[at] = length;
        }
        lengths
    };
    // Modulo 2^64 the second adds up to what there is.
    let rest = sum - lengths[0] - lengths[1] - lengths[2];
    for wrong in [
        with(&[(0, i64::MAX)]),
        with(&[(0, i64::MAX), (1, i64::MAX), (2, sum - rest + 2)]),
        with(&[(0, -1), (1, lengths[0] + lengths[1] + 1)]),
        with(&[(0, i64::MIN), (1, i64::MIN)]),
        with(&[(5, lengths[5] + 1)]),
        with(&[(5, 0)]),
        vec![0; lengths.len()],
        vec![],
    ] {
        let folder = copied();
        write_doclens(folder.path(), &wrong);
        let error = refused(folder.path());
        assert!(matches!(error, IndexError::Shape { .. }), "{error}");
    }
    for text in ["[1, 2", "{}", "[1.5]", "[9223372036854775808]", ""] {
        let folder = copied();
        fs::write(folder.path().join("doclens.0.json"), text).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, IndexError::Json { .. }), "{text}: {error}");
    }
}

#[test]
fn a_passage_without_embeddings_is_scored_and_matched_like_any_other() {
    let folder = copied();
    let mut lengths = doclens(folder.path());
    lengths[1] += lengths[0];
    lengths[0] = 0;
    write_doclens(folder.path(), &lengths);
    let index = Arc::new(Index::open(folder.path()).unwrap());
    let searcher = Searcher::new(Arc::clone(&index), &Compute::scalar());
    let query = searcher.embeddings(2);
    assert!(searcher.matches(&query, 0).is_empty());
    assert!(searcher.embeddings(0).is_empty());
    assert_eq!(searcher.matches(&query, 1).len(), query.len() / index.dim());
    let everything = SearchOptions {
        ncells: Some(10_000),
        centroid_score_threshold: Some(-9.0),
        ndocs: Some(10_000),
        ..SearchOptions::default()
    };
    let hits = searcher.search(&query, 32, 1_000, &everything);
    assert!(hits.iter().all(|hit| hit.score.is_finite()));
}

#[test]
fn numbers_that_are_none_are_told_with_their_place() {
    for (file, tensor, value, at, place) in [
        ("centroids.pt", "centroids", f32::NAN, 33, "[1, 1]"),
        ("centroids.pt", "centroids", f32::INFINITY, 0, "[0, 0]"),
        ("buckets.pt", "bucket_cutoffs", f32::NAN, 2, "[2]"),
        (
            "avg_residual.pt",
            "avg_residual",
            f32::NEG_INFINITY,
            0,
            "[]",
        ),
    ] {
        let folder = copied();
        let path = folder.path().join(file);
        spoil(&path, value, at);
        let error = refused(folder.path());
        assert!(matches!(error, IndexError::NotFinite { .. }), "{error}");
        let error = error.to_string();
        let said = format!("`{tensor}` is {value} at {place}");
        assert!(error.contains(&said) && error.contains(file), "{error}");
    }
}

#[test]
fn files_of_settings_are_read_up_to_a_bound() {
    for file in ["metadata.json", "doclens.0.json"] {
        let folder = copied();
        let path = folder.path().join(file);
        let mut text = fs::read(&path).unwrap();
        // White space that JSON allows, more than anybody writes.
        text.resize(text.len() + (16 << 20), b' ');
        fs::write(&path, text).unwrap();
        let error = refused(folder.path()).to_string();
        assert!(
            error.contains(file) && error.contains("bytes that are read"),
            "{error}"
        );
    }
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_links_out_of_the_folder_are_refused_in_the_place_of_any_file() {
    use std::os::unix::fs::symlink;
    let whole = OLD.path("index");
    for file in fs::read_dir(&whole).unwrap() {
        let name = file.unwrap().file_name();
        let shown = name.to_str().unwrap();
        if ["plan.json", "0.metadata.json"].contains(&shown) {
            continue;
        }
        for to in ["/dev/zero", "../elsewhere", "/etc/hostname"] {
            let folder = copied();
            fs::remove_file(folder.path().join(&name)).unwrap();
            symlink(to, folder.path().join(&name)).unwrap();
            let error = refused(folder.path()).to_string();
            assert!(
                error.contains(shown) && error.contains("leads out"),
                "{error}"
            );
        }
        let folder = copied();
        fs::remove_file(folder.path().join(&name)).unwrap();
        fs::create_dir(folder.path().join(&name)).unwrap();
        let error = refused(folder.path()).to_string();
        assert!(
            error.contains(shown) && error.contains("a folder"),
            "{error}"
        );
    }
    // A link to a name in the same folder is one of the folder's files.
    let folder = copied();
    fs::rename(folder.path().join("centroids.pt"), folder.path().join("c")).unwrap();
    symlink("c", folder.path().join("centroids.pt")).unwrap();
    Index::open(folder.path()).unwrap();
}
