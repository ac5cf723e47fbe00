//! The checkpoint and the collection that are part of the program.

use std::path::Path;
use std::sync::Arc;

use concord_corpus::{Collection, Qrels, Queries};
use concord_model::checkpoint::Checkpoint;

use crate::output::Failure;

/// What the embedded checkpoint is called wherever a checkpoint is asked for.
pub const CHECKPOINT: &str = "concord-mini";

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
            concord_pipeline::publish::write_file(&folder.join(name), |file| {
                std::io::Write::write_all(file, text.as_bytes())
            })?;
        }
        Ok(())
    }
}
