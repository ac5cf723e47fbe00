//! Concord's index, searched.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use concord_index::format::Index;
use concord_index::search::{Request, SearchOptions, Searcher};
use concord_kernels::compute::{Compute, ComputeOptions};
use rayon::prelude::*;

use crate::queries::QueryEmbeddings;
use crate::searches::Searches;

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
