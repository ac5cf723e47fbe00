//! The collection that is part of the program, with its queries and judgements.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::{Collection, Qrels, Queries};
use concord_pipeline::publish::write_file;

use crate::output::Failure;

/// A file of the embedded collection, by its name.
macro_rules! data_file {
    ($file:literal) => {
        ($file, include_str!(concat!("../../../data/", $file)))
    };
}

const PASSAGES: (&str, &str) = data_file!("collection.tsv");
const QUERIES: (&str, &str) = data_file!("queries.tsv");
const QRELS: (&str, &str) = data_file!("qrels.tsv");

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
