//! The embeddings of queries.

use std::path::Path;

use concord_tensor::DType;
use half::f16;

use super::error::{EmbeddingsError, Problem};
use super::files::{Cut, EmbeddingFile};
use super::looks::look_at;

/// Queries as embeddings, none of which is zero or not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenQueries {
    /// Numbers of an embedding.
    pub width: usize,
    pub queries: Vec<GivenQuery>,
}

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenQuery {
    /// The name of its tensor, else its number, from 0.
    pub id: String,
    /// `(tokens, width)`.
    pub embeddings: Vec<f32>,
}

impl GivenQueries {
    /// Reads a file of tensors: one `(tokens, width)` is a query, one `(queries, tokens, width)` are several, and so are
    /// several `(tokens, width)`, in the order of their names with numbers in them by their value.
    ///
    /// # Errors
    /// When it cannot be read, holds something else, or embeddings that nothing can be compared with.
    pub fn read(path: &Path) -> Result<GivenQueries, EmbeddingsError> {
        let file = EmbeddingFile::open(path)?;
        let lengths = match &file.cut {
            Cut::Rows => vec![file.rows],
            Cut::Each { rows, .. } => rows.clone(),
        };
        let (mut first, mut queries) = (0, Vec::with_capacity(lengths.len()));
        for (number, length) in lengths.into_iter().enumerate() {
            let id = file.name(number).unwrap_or_else(|| number.to_string());
            let mut embeddings = Vec::with_capacity(length * file.width);
            file.read(first..first + length, |tensor| {
                embeddings.extend_from_slice(tensor.cast(DType::F32)?.as_slice::<f32>()?);
                Ok(())
            })?;
            first += length;
            let unusable = |(embedding, problem): (usize, Problem)| EmbeddingsError::Unusable {
                what: format!("query {id}"),
                of: String::new(),
                embedding,
                problem,
            };
            if embeddings.is_empty() {
                return Err(EmbeddingsError::Empty(path.to_owned()));
            }
            // Queries are not rounded, so what is too small or too large for `f16` is none of their problems.
            let ones = embeddings.iter().map(|&value| match value {
                value if !value.is_finite() => f16::INFINITY,
                0.0 => f16::ZERO,
                _ => f16::ONE,
            });
            let rounded: Vec<f16> = ones.collect();
            look_at(&embeddings, &rounded, file.width).map_err(unusable)?;
            queries.push(GivenQuery { id, embeddings });
        }
        if queries.is_empty() {
            return Err(EmbeddingsError::Empty(path.to_owned()));
        }
        let width = file.width;
        Ok(GivenQueries { width, queries })
    }
}
