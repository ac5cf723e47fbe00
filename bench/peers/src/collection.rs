//! What indexes are built of and searched with: embeddings of passages and queries in a folder.
//!
//! `passages/embeddings.npy` has the embeddings `(embeddings, dim)` of all passages one after another,
//! `passages/embeddings.doclens.npy` how many each has, `queries.npy` the queries `(queries, tokens, dim)`.

use std::fs;
use std::path::Path;

use concord_corpus::{Collection, Queries};
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_model::checkpoint::Checkpoint;
use concord_model::numerics::Numerics;
use concord_model::precision::Precision;
use concord_model::query::QueryEncoder;

use crate::concord::Concord;
use crate::npy::Array;
use crate::tokens::Tokens;

/// Writes a folder with what a checkpoint makes of a collection and of queries, as Concord encodes them in `f32`.
///
/// # Errors
/// When something cannot be read, encoded or written.
pub fn embed(
    checkpoint: &Checkpoint,
    collection: &Collection,
    queries: &Queries,
    folder: &Path,
) -> Result<(), String> {
    let passages = folder.join("passages");
    fs::create_dir_all(&passages).map_err(|e| format!("{}: {e}", passages.display()))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let texts: Vec<&str> = collection.iter().collect();
    let tokens = Tokens::of_passages(checkpoint, &texts)?;
    let encoder = Concord::new(checkpoint, Precision::F32, threads, tokens)?;
    let (doclens, embeddings) = encoder.kept()?;
    let dim = encoder.dim();
    let shape = vec![embeddings.len() / dim, dim];
    let values = embeddings;
    Array { shape, values }.write(&passages.join("embeddings.npy"))?;
    let shape = vec![doclens.len()];
    let values = doclens;
    Array { shape, values }.write(&passages.join("embeddings.doclens.npy"))?;

    let compute = Compute::new(&ComputeOptions::default()).map_err(|e| e.to_string())?;
    let config = checkpoint.colbert_config([]).map_err(|e| e.to_string())?;
    let numerics = Numerics::default();
    let encoder = QueryEncoder::new(checkpoint, &config, &numerics, Precision::F32, &compute);
    let encoder = encoder.map_err(|e| e.to_string())?;
    let mut values = Vec::new();
    for query in queries.iter() {
        values.extend(encoder.encode(query.text).map_err(|e| e.to_string())?);
    }
    let shape = vec![
        queries.len(),
        values.len() / queries.len().max(1) / dim,
        dim,
    ];
    Array { shape, values }.write(&folder.join("queries.npy"))
}
