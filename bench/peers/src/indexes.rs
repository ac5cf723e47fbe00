//! Indexes that are searched: Concord's, and with its feature next-plaid's.
//!
//! Each is asked for queries one after another, as somebody who waits for each answer does, and for all at once.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use concord_index::format::Index;
use concord_index::search::{Request, SearchOptions, Searcher};
use concord_kernels::compute::{Compute, ComputeOptions};
use rayon::prelude::*;
use serde_json::Value;

use crate::collection::QueryEmbeddings;
use crate::npy::Array;
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

/// What Concord is asked: the reference's stages with values that follow from `k` unless they are given, or an exact
/// search.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Asked {
    #[arg(long)]
    exact: bool,
    #[arg(long)]
    ncells: Option<usize>,
    #[arg(long)]
    ndocs: Option<usize>,
    #[arg(long)]
    threshold: Option<f32>,
}

/// Concord's search.
pub struct ConcordIndex {
    searcher: Searcher,
    compute: Compute,
    asked: Asked,
}

impl ConcordIndex {
    /// # Errors
    /// When the folder holds no index.
    pub fn open(folder: &Path, threads: usize, asked: Asked) -> Result<ConcordIndex, String> {
        let index = Index::open(folder).map_err(|e| e.to_string())?;
        let options = ComputeOptions::default().with_threads(NonZeroUsize::new(threads));
        let compute = Compute::new(&options).map_err(|e| e.to_string())?;
        let searcher = Searcher::new(Arc::new(index), &compute);
        Ok(ConcordIndex {
            searcher,
            compute,
            asked,
        })
    }

    fn find(&self, query: &[f32], tokens: usize, k: usize) -> Vec<i64> {
        let options = SearchOptions {
            ncells: self.asked.ncells,
            ndocs: self.asked.ndocs,
            centroid_score_threshold: self.asked.threshold,
            ..SearchOptions::default()
        };
        let request = Request {
            exact: self.asked.exact,
            ..Request::new(k, &options)
        };
        let found = self.searcher.answer(query, tokens, &request);
        found.hits.into_iter().map(|hit| hit.pid.into()).collect()
    }
}

impl Searches for ConcordIndex {
    fn one(&self, query: &[f32], k: usize) -> Result<Vec<i64>, String> {
        let tokens = query.len() / self.searcher.index().dim();
        Ok(self.compute.install(|| self.find(query, tokens, k)))
    }

    fn all(&self, queries: &QueryEmbeddings, k: usize) -> Result<Vec<Vec<i64>>, String> {
        let each: Vec<&[f32]> = queries.each().collect();
        let find = |query: &&[f32]| self.find(query, queries.tokens, k);
        Ok(self.compute.install(|| each.par_iter().map(find).collect()))
    }
}
