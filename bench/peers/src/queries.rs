//! The queries that indexes are searched with: `queries.npy` in a folder, `(queries, tokens, dim)`.

use std::path::Path;

use crate::npy::Array;

/// The queries of a folder.
pub struct QueryEmbeddings {
    pub dim: usize,
    /// Tokens per query.
    pub tokens: usize,
    values: Vec<f32>,
}

impl QueryEmbeddings {
    /// # Errors
    /// When the folder has none.
    pub fn read(folder: &Path) -> Result<QueryEmbeddings, String> {
        let Array { shape, values } = Array::<f32>::read(&folder.join("queries.npy"))?;
        let [_, tokens, dim] = shape[..] else {
            return Err("queries.npy has no three dimensions".to_owned());
        };
        Ok(QueryEmbeddings {
            dim,
            tokens,
            values,
        })
    }

    /// Each query `(tokens, dim)`.
    pub fn each(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.tokens * self.dim)
    }
}
