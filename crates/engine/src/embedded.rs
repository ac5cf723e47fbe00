//! The checkpoint that is part of the program.

use std::fs;
use std::io::Write;
use std::path::Path;

use concord_model::checkpoint::{Checkpoint, CheckpointError};
use concord_pipeline::publish::{PublishError, write_file, writing};
use concord_tensor::{FileError, Tensor, TensorError, safetensors};

/// Why the embedded checkpoint cannot be written as an ordinary one.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// What the embedded checkpoint is called wherever a checkpoint is asked for.
pub const CHECKPOINT: &str = "concord-mini";

/// The file of a checkpoint that holds its weights.
const WEIGHTS: &str = "model.safetensors";

/// A file of the embedded checkpoint, by its name.
macro_rules! model_file {
    ($file:literal) => {
        (
            $file,
            include_bytes!(concat!("../../../models/concord-mini/", $file)),
        )
    };
}

/// The files of the embedded checkpoint.
pub const CHECKPOINT_FILES: [(&str, &[u8]); 6] = [
    model_file!("artifact.metadata"),
    model_file!("config.json"),
    model_file!("model.safetensors"),
    model_file!("special_tokens_map.json"),
    model_file!("tokenizer_config.json"),
    model_file!("vocab.txt"),
];

/// The embedded checkpoint's model card and the notice of the model it was made from.
pub const CHECKPOINT_PAPERS: [(&str, &[u8]); 2] = [model_file!("README.md"), model_file!("NOTICE")];

/// The embedded checkpoint.
pub fn checkpoint() -> Result<Checkpoint, CheckpointError> {
    Checkpoint::embedded(CHECKPOINT, &CHECKPOINT_FILES)
}

/// Writes the embedded checkpoint as an ordinary one, in f32, into a new `folder`.
pub fn write_checkpoint(checkpoint: &Checkpoint, folder: &Path) -> Result<(), ExportError> {
    // What a killed process has left is made again.
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(writing(folder))?;
    }
    fs::create_dir(folder).map_err(writing(folder))?;
    let files = CHECKPOINT_FILES.into_iter();
    let files = files.chain(CHECKPOINT_PAPERS);
    for (name, bytes) in files.filter(|(name, _)| *name != WEIGHTS) {
        write_file(&folder.join(name), |file| file.write_all(bytes))?;
    }
    let weights = checkpoint.weights().iter();
    let weights = weights.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let mut weights: Vec<_> = weights.collect();
    // The pooler is not kept in memory, since nothing is computed with it; it is zeros.
    let hidden = checkpoint.bert_config().hidden_size;
    for (name, shape) in [
        ("bert.pooler.dense.weight", vec![hidden, hidden]),
        ("bert.pooler.dense.bias", vec![hidden]),
    ] {
        let zeros = vec![0f32; shape.iter().product()];
        weights.push((name.to_owned(), Tensor::new(shape, zeros)?));
    }
    Ok(safetensors::write(folder.join(WEIGHTS), &weights)?)
}
