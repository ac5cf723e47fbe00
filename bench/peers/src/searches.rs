//! How an index is asked: for queries one after another, as somebody who waits for each answer does, and for all at once.

use std::path::Path;

use serde_json::Value;

use crate::npy::Array;
use crate::queries::QueryEmbeddings;
use crate::rounds;

/// Who searches one index.
pub trait Searches {
    /// The pids of the best `k` passages for a query `(tokens, dim)`, best first.
    ///
    /// # Errors
    /// When the index cannot be searched.
    fn one(&self, query: &[f32], k: usize) -> Result<Vec<i64>, String>;

    /// [`Searches::one`] for all queries, which may be searched side by side.
    ///
    /// # Errors
    /// As [`Searches::one`].
    fn all(&self, queries: &QueryEmbeddings, k: usize) -> Result<Vec<Vec<i64>>, String>;
}

/// Answers `one K` and `all K` with the seconds that the queries took, and `results K FILE` by writing an array
/// `(queries, K)` of pids, -1 where there are fewer.
///
/// # Errors
/// When something cannot be searched or written.
pub fn answer(
    index: &dyn Searches,
    queries: &QueryEmbeddings,
    request: &str,
    rest: &str,
) -> Result<Value, String> {
    let (k, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let k: usize = k
        .parse()
        .map_err(|_| format!("{k} is no number of results"))?;
    let one_by_one = || -> Result<Vec<Vec<i64>>, String> {
        queries.each().map(|query| index.one(query, k)).collect()
    };
    match request {
        "one" => rounds::seconds(one_by_one).map(Value::from),
        "all" => rounds::seconds(|| index.all(queries, k)).map(Value::from),
        "results" => {
            let mut found = one_by_one()?;
            for pids in &mut found {
                pids.resize(k, -1);
            }
            let shape = vec![found.len(), k];
            let values = found.concat();
            Array { shape, values }.write(Path::new(rest))?;
            Ok(Value::Null)
        }
        unknown => rounds::unknown(unknown),
    }
}
