//! The table of modules against what is computed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use concord_kernels::compute::Compute;
use concord_model::checkpoint::Checkpoint;
use concord_model::encoder::{Encoder, PackedRows, TapsOfBatch};
use concord_model::hub::HubOptions;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::referee::Referee;
use concord_tensor::{Tensor, safetensors};

fn load(folder: &Path) -> Checkpoint {
    Checkpoint::load(folder.to_str().unwrap(), &HubOptions::new("")).unwrap()
}

fn golden() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint")
}

/// The embeddings of two passages, by the encoder and by the referee.
fn embeddings(checkpoint: &Checkpoint) -> (Vec<f32>, Vec<f64>) {
    let numerics = Numerics::default();
    let encoder =
        Encoder::build(checkpoint, &numerics, Precision::F32, &Compute::fastest()).unwrap();
    let referee = Referee::build(checkpoint, &numerics).unwrap();
    let rows = PackedRows {
        ids: &[7, 38, 69, 100, 131, 162, 193],
        lengths: &[4, 3],
        attend: None,
        keep: None,
    };
    let taps = &mut TapsOfBatch::none();
    (encoder.encode(&rows, taps), referee.encode(&rows, taps))
}

#[test]
fn a_checkpoint_has_the_tables_parameters_and_no_others() {
    let checkpoint = load(&golden());
    let names: BTreeSet<&str> = checkpoint.weights().iter().map(|(name, _)| name).collect();
    let architecture = checkpoint.architecture();
    let parameters: Vec<&str> = architecture.parameters().map(|p| p.name.as_str()).collect();
    assert_eq!(names.len(), parameters.len());
    assert_eq!(names, parameters.into_iter().collect());
    for parameter in architecture.parameters() {
        let shape = checkpoint.weights().get(&parameter.name).unwrap().shape();
        let dim = checkpoint.weights().dim();
        let sizes = parameter.shape.iter().map(|size| size.unwrap_or(dim));
        assert_eq!(sizes.collect::<Vec<_>>(), shape, "{}", parameter.name);
    }
}

#[test]
fn the_encoder_and_the_referee_compute_with_every_parameter() {
    let checkpoint = load(&golden());
    let (plain, plain_referee) = embeddings(&checkpoint);
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    for parameter in checkpoint.architecture().parameters() {
        let name = &parameter.name;
        let other = |(own, tensor): (&str, &Tensor)| {
            let mut values = tensor.as_slice::<f32>().unwrap().to_vec();
            if own == name {
                let uneven = values.iter_mut().enumerate();
                uneven.for_each(|(at, value)| *value += (at % 5) as f32 / 8.0);
            }
            let tensor = Tensor::new(tensor.shape().to_vec(), values).unwrap();
            (own.to_owned(), tensor)
        };
        let tensors: Vec<(String, Tensor)> = checkpoint.weights().iter().map(other).collect();
        safetensors::write(folder.path().join("model.safetensors"), &tensors).unwrap();
        let (found, found_referee) = embeddings(&load(folder.path()));
        assert_ne!(found, plain, "{name}");
        assert_ne!(found_referee, plain_referee, "{name}");
    }
}
