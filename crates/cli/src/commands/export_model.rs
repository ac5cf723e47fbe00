//! `concord export-model`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::publish::{Staging, write_file, writing};
use concord_tensor::{Tensor, safetensors};

use crate::embedded;
use crate::output::{Failure, Outcome, print};

/// The file of a checkpoint that holds its weights.
const WEIGHTS: &str = "model.safetensors";

/// The finished folder inside the staging folder.
const FINISHED: &str = "checkpoint";

/// Write the embedded checkpoint to a folder.
///
/// The folder is an ordinary ColBERT checkpoint in f32, which colbert-ai loads. Concord takes it for
/// the same checkpoint as concord-mini: an index built with either has the same hashes.
#[derive(Args)]
#[command(after_help = "Example:
  concord export-model concord-mini")]
pub struct ExportModelCommand {
    /// The folder to make
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

impl ExportModelCommand {
    pub fn run(self) -> Result<Outcome, Failure> {
        let out = &self.out;
        if out.symlink_metadata().is_ok() {
            let out = out.display();
            return Err(format!("{out} is there already: remove it, or choose another DIR").into());
        }
        let checkpoint = embedded::checkpoint()?;
        let staging = Staging::open(out)?;
        if let Err(error) = write(&checkpoint, &staging.path(FINISHED)) {
            staging.discard()?;
            return Err(error);
        }
        staging.publish(FINISHED)?;
        print(&format!(
            "{}: the checkpoint {} in f32, {}\n",
            out.display(),
            checkpoint.name(),
            checkpoint.hash()
        ))?;
        Ok(Outcome::Same)
    }
}

/// Writes the checkpoint's files into a new `folder`.
fn write(checkpoint: &Checkpoint, folder: &Path) -> Result<(), Failure> {
    // What a killed process has left is made again.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(writing(folder))?;
    }
    std::fs::create_dir(folder).map_err(writing(folder))?;
    let files = embedded::CHECKPOINT_FILES.into_iter();
    let files = files.chain(embedded::CHECKPOINT_PAPERS);
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
