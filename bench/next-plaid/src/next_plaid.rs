//! next-plaid, as its documentation uses it: defaults but for what is compared.

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use next_plaid::{IndexConfig, MmapIndex, SearchParameters};
use serde_json::{Value, json};

use crate::npy::Array;
use crate::queries::QueryEmbeddings;
use crate::searches::Searches;

pub const VERSION: &str = "1.8.5";

/// Builds an index of a folder's passages, with residuals of `nbits` and its own number of centroids. What is said of it
/// has the seconds that it took without reading the embeddings, and the number of centroids.
///
/// # Errors
/// When something cannot be read or written.
pub fn build(folder: &Path, nbits: usize, niters: usize, out: &Path) -> Result<Value, String> {
    let passages = folder.join("passages");
    let embeddings = Array::<f32>::read(&passages.join("embeddings.npy"))?;
    let doclens = Array::<i64>::read(&passages.join("embeddings.doclens.npy"))?;
    let dim = embeddings.shape[1];
    let mut rows = embeddings.values.as_slice();
    let mut of_passages = Vec::with_capacity(doclens.values.len());
    for &length in &doclens.values {
        let (own, rest) = rows.split_at(length as usize * dim);
        rows = rest;
        let shape = (length as usize, dim);
        of_passages.push(
            ArrayView2::from_shape(shape, own)
                .map_err(|e| e.to_string())?
                .to_owned(),
        );
    }
    drop(embeddings);
    std::fs::create_dir_all(out).map_err(|e| e.to_string())?;
    let config = IndexConfig {
        nbits,
        kmeans_niters: niters,
        ..IndexConfig::default()
    };
    let started = Instant::now();
    let out = out.to_str().ok_or("a path that is no text")?;
    let index =
        MmapIndex::create_with_kmeans(&of_passages, out, &config).map_err(|e| e.to_string())?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({ "seconds": seconds, "centroids": index.num_partitions() }))
}

/// An index of next-plaid.
pub struct NextPlaid(MmapIndex);

impl NextPlaid {
    /// Opens an index, with the tables beside it that it makes for faster searches.
    ///
    /// # Errors
    /// When the folder holds none.
    pub fn open(folder: &Path) -> Result<NextPlaid, String> {
        let folder = folder.to_str().ok_or("a path that is no text")?;
        let mut index = MmapIndex::load(folder).map_err(|e| e.to_string())?;
        index
            .prewarm_residual_lut_sidecar()
            .map_err(|e| e.to_string())?;
        Ok(NextPlaid(index))
    }
}

fn parameters(k: usize) -> SearchParameters {
    SearchParameters {
        top_k: k,
        ..SearchParameters::default()
    }
}

fn matrix(query: &[f32], dim: usize) -> Result<Array2<f32>, String> {
    let shape = (query.len() / dim, dim);
    Ok(ArrayView2::from_shape(shape, query)
        .map_err(|e| e.to_string())?
        .to_owned())
}

impl Searches for NextPlaid {
    fn one(&self, query: &[f32], k: usize) -> Result<Vec<i64>, String> {
        let query = matrix(query, self.0.embedding_dim())?;
        let found = self.0.search(&query, &parameters(k), None);
        Ok(found.map_err(|e| e.to_string())?.passage_ids)
    }

    fn all(&self, queries: &QueryEmbeddings, k: usize) -> Result<Vec<Vec<i64>>, String> {
        let queries: Vec<Array2<f32>> = queries
            .each()
            .map(|query| matrix(query, queries.dim))
            .collect::<Result<_, _>>()?;
        let found = self.0.search_batch(&queries, &parameters(k), true, None);
        let found = found.map_err(|e| e.to_string())?;
        Ok(found.into_iter().map(|result| result.passage_ids).collect())
    }
}
