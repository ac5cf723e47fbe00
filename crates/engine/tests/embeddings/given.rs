//! Embeddings in files, and indexes of them.

use std::fs;
use std::path::{Path, PathBuf};

use concord_engine::build::{Layout, build};
use concord_engine::embeddings::{
    EmbeddingFiles, EmbeddingsError, GivenIndex, GivenPassages, GivenSettings,
};
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_pipeline::NoProgress;
use concord_pipeline::artifact::{D, DOCLENS};
use concord_tensor::{Tensor, npy};
use tempfile::TempDir;

use crate::engine::{engine, evaluated, tensor};

/// What the engine makes of the golden collection: embeddings `(E, d)` in `f32`, and how many each passage has.
pub fn encoded() -> (Tensor, Vec<i64>) {
    let native = engine("native", IndexSettings::default()).unwrap();
    evaluated(&native, |evaluator| {
        let doclens = tensor(evaluator, DOCLENS, "")?;
        Ok((
            tensor(evaluator, D, "")?,
            doclens.as_slice::<i64>().unwrap().to_vec(),
        ))
    })
}

/// A folder for files of tensors.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn npy(&self, name: &str, tensor: &Tensor) -> PathBuf {
        let path = self.path(name);
        npy::write(&path, tensor).unwrap();
        path
    }

    pub fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The files of passages that are cut out of one tensor.
    pub fn cut(&self, embeddings: &Tensor, doclens: &[i64]) -> EmbeddingFiles {
        EmbeddingFiles {
            embeddings: vec![self.npy("embeddings.npy", embeddings)],
            doclens: Some(self.npy("doclens.npy", &Tensor::vector(doclens.to_vec()))),
            ids: None,
        }
    }
}

pub fn rows(rows: usize, width: usize, value: impl Fn(usize) -> f32) -> Tensor {
    let values: Vec<f32> = (0..rows * width).map(value).collect();
    Tensor::new(vec![rows, width], values).unwrap()
}

pub fn open(files: &EmbeddingFiles) -> Result<GivenPassages, EmbeddingsError> {
    GivenPassages::open(files)
}

pub fn index_of(files: &EmbeddingFiles, threads: usize, out: &Path) {
    let options = ComputeOptions::default().with_threads(threads.try_into().ok());
    let settings = GivenSettings {
        nbits: Some(1),
        ..GivenSettings::default()
    };
    let compute = Compute::new(&options).unwrap();
    let given = GivenIndex::new(open(files).unwrap(), settings, compute, &NoProgress).unwrap();
    build(
        &given,
        Layout::default(),
        &Origin::default(),
        out,
        &NoProgress,
    )
    .unwrap();
}

/// Every file of a folder but those that say where an index is from.
pub fn tensor_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| {
            let others = [
                "concord.json",
                "concord.log.json",
                "metadata.json",
                "plan.json",
                "passages.db",
            ];
            !others.contains(&name.as_str())
        })
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect();
    files.sort();
    files
}
