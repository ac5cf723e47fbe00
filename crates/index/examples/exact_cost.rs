//! What an exact search costs beside the stages, and whether it finds what scoring every passage finds.
//!
//! ```sh
//! cargo run --release -p concord-index --example exact_cost -- INDEX QUERIES.npy THREADS K ROUNDS QUERIES CHECKED ISA
//! ```
//!
//! The first `QUERIES` are searched one by one and then all at once, by stages and exactly in turns; medians of the
//! `ROUNDS`. The first `CHECKED` are compared with the scores of all passages.

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use concord_index::format::Index;
use concord_index::search::{Found, Hit, Request, SearchOptions, Searcher};
use concord_kernels::compute::{Compute, ComputeOptions};
use concord_kernels::maxsim::Floor;
use concord_tensor::npy;
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |at: usize| arguments.get(at).map(String::as_str);
    let number = |at: usize, default: usize| text(at).map_or(Ok(default), |text| text.parse());
    let (Some(index), Some(queries)) = (text(0), text(1)) else {
        return Err("an index and an .npy file of queries (queries, tokens, dim)".into());
    };
    let mut options = ComputeOptions::default().with_threads(NonZeroUsize::new(number(2, 1)?));
    if let Some(isa) = text(7) {
        options = options.with_isa(isa)?;
    }
    let compute = Compute::new(&options)?;
    let index = Arc::new(Index::open(Path::new(index))?);
    let queries = npy::read(queries)?;
    let width = queries.shape().last().copied().unwrap_or(0) * queries.shape()[1];
    let queries: Vec<&[f32]> = queries.as_slice::<f32>()?.chunks_exact(width).collect();
    let (k, rounds) = (number(3, 10)?, number(4, 5)?);
    let asked = &queries[..number(5, queries.len())?.min(queries.len())];
    let checked = &queries[..number(6, 0)?.min(queries.len())];
    println!(
        "{} passages, {} embeddings, {} queries, k = {k}, {compute:?}",
        index.passages(),
        index.embeddings(),
        asked.len()
    );
    let searcher = Searcher::new(index, &compute);
    let by_stages = Request::new(k, &SearchOptions::default());
    let exactly = Request {
        exact: true,
        ..by_stages
    };
    compute.install(|| {
        if let Some(query) = asked.first() {
            let (wall, processors) = (Instant::now(), processor_seconds());
            searcher.answer(query, usize::MAX, &exactly);
            let passed = processor_seconds() - processors;
            println!(
                "the first exact search: {:.3} s, {passed:.2} s of processors",
                wall.elapsed().as_secs_f64()
            );
        }
        let mut taken = [const { Vec::new() }; 4];
        let mut scored = 0;
        for _ in 0..rounds {
            for (of, request) in [&by_stages, &exactly].into_iter().enumerate() {
                let answer = |query: &&[f32]| searcher.answer(query, usize::MAX, request);
                let found = timed(&mut taken[of], || {
                    asked.iter().map(answer).collect::<Vec<Found>>()
                });
                scored = found.iter().map(|found| found.scored).sum();
                timed(&mut taken[2 + of], || {
                    asked.par_iter().map(answer).collect::<Vec<Found>>()
                });
            }
        }
        if rounds > 0 {
            let names = [
                "one by one, stages",
                "exact",
                "all at once, stages",
                "exact",
            ];
            for (name, taken) in names.iter().zip(&mut taken) {
                let of = |at: usize, taken: &mut [[f64; 2]]| {
                    taken.sort_by(|a, b| a[at].total_cmp(&b[at]));
                    taken[taken.len() / 2][at] / asked.len() as f64 * 1e3
                };
                println!(
                    "{name}: {:.3} ms a query, {:.3} ms of processors",
                    of(0, taken),
                    of(1, taken)
                );
            }
            println!(
                "scored for the exact ones: {:.1} passages a query",
                scored as f64 / asked.len() as f64
            );
        }
        compare(&searcher, checked);
    });
    Ok(())
}

/// Counts the queries whose exact results are those of scoring all passages.
fn compare(searcher: &Searcher, queries: &[&[f32]]) {
    let all: Vec<u32> = (0..searcher.index().passages() as u32).collect();
    let ks = [1, 10, 100, 1000];
    let equal: Vec<[bool; 4]> = (queries.par_iter())
        .map(|query| {
            let every = searcher.score(query, &all, Floor::None);
            ks.map(|k| {
                let request = Request {
                    exact: true,
                    ..Request::new(k, &SearchOptions::default())
                };
                let found = searcher.answer(query, usize::MAX, &request).hits;
                bits(&found) == bits(&every[..k.min(every.len())])
            })
        })
        .collect();
    for (at, k) in ks.iter().enumerate().filter(|_| !queries.is_empty()) {
        let equal = equal.iter().filter(|equal| equal[at]).count();
        println!("k = {k}: {equal} of {} the same", queries.len());
    }
}

fn bits(hits: &[Hit]) -> Vec<(u32, u32)> {
    let bits = |hit: &Hit| (hit.pid, hit.score.to_bits());
    hits.iter().map(bits).collect()
}

fn timed<T>(taken: &mut Vec<[f64; 2]>, work: impl FnOnce() -> T) -> T {
    let (wall, processors) = (Instant::now(), processor_seconds());
    let made = work();
    taken.push([
        wall.elapsed().as_secs_f64(),
        processor_seconds() - processors,
    ]);
    made
}

/// What the threads of this process have taken of the processors so far; nothing where the system does not tell.
fn processor_seconds() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    let files = threads
        .flatten()
        .map(|thread| thread.path().join("schedstat"));
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let first = texts.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    first.sum::<f64>() / 1e9
}
