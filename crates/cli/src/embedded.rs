//! The checkpoint and the collection that are part of the program.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::{Collection, Qrels, Queries};
use concord_model::checkpoint::Checkpoint;
use concord_pipeline::publish::{write_file, writing};
use concord_tensor::{Tensor, safetensors};

use crate::output::Failure;

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

/// A file of the embedded collection, by its name.
macro_rules! data_file {
    ($file:literal) => {
        ($file, include_str!(concat!("../../../data/", $file)))
    };
}

const PASSAGES: (&str, &str) = data_file!("collection.tsv");
const QUERIES: (&str, &str) = data_file!("queries.tsv");
const QRELS: (&str, &str) = data_file!("qrels.tsv");

/// The embedded checkpoint.
pub fn checkpoint() -> Result<Checkpoint, Failure> {
    Ok(Checkpoint::embedded(CHECKPOINT, &CHECKPOINT_FILES)?)
}

/// The embedded collection with its queries and judgements.
pub struct Data {
    pub collection: Arc<Collection>,
    pub queries: Queries,
    pub qrels: Qrels,
}

impl Data {
    pub fn read() -> Result<Data, Failure> {
        let collection = Collection::parse_tsv(PASSAGES.0, PASSAGES.1.as_bytes())?;
        Ok(Data {
            collection: Arc::new(collection),
            queries: Queries::parse_tsv(QUERIES.0, QUERIES.1.as_bytes())?,
            qrels: Qrels::parse(QRELS.0, QRELS.1.as_bytes())?,
        })
    }

    /// Writes the three files into `folder`.
    pub fn write(folder: &Path) -> Result<(), Failure> {
        for (name, text) in [PASSAGES, QUERIES, QRELS] {
            write_file(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }
}

/// Writes the embedded checkpoint as an ordinary one, in f32, into a new `folder`.
pub fn write_checkpoint(checkpoint: &Checkpoint, folder: &Path) -> Result<(), Failure> {
    // What a killed process has left is made again.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(writing(folder))?;
    }
    std::fs::create_dir(folder).map_err(writing(folder))?;
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
