//! An exact search finds what scoring every passage finds.

#![allow(clippy::unwrap_used)]

mod golden;

use std::sync::Arc;

use concord_index::format::Index;
use concord_index::search::{Hit, PassageSet, Request, SearchOptions, Searcher};
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;

use golden::VERSIONS;

fn bits(hits: &[Hit]) -> Vec<(u32, u32)> {
    let bits = |hit: &Hit| (hit.pid, hit.score.to_bits());
    hits.iter().map(bits).collect()
}

#[test]
fn the_best_of_all_passages_or_of_some_are_found_to_the_bit() {
    let (mut asked, mut scored) = (0, 0);
    for golden in VERSIONS {
        let index = Arc::new(Index::open(&golden.path("index")).unwrap());
        let all: Vec<u32> = (0..index.passages() as u32).collect();
        let some: Vec<u32> = all.iter().copied().filter(|pid| pid % 3 > 0).collect();
        let set = PassageSet::of(some.iter().copied(), all.len()).unwrap();
        let embeddings = golden.array("query_embs.npy");
        let width = embeddings.row_len();
        let values = embeddings.as_slice::<f32>().unwrap();
        let zeros = vec![0.0; width];
        let queries: Vec<&[f32]> = values.chunks_exact(width).chain([&zeros[..]]).collect();
        for compute in Compute::available() {
            let searcher = Searcher::new(Arc::clone(&index), &compute);
            for query in &queries {
                for floor in [Floor::None, Floor::Zero] {
                    for (among, pids) in [(None, &all), (Some(&set), &some)] {
                        let every = searcher.score(query, pids, floor);
                        for k in [0, 1, 3, 10, 40, every.len() - 1, every.len(), 1_000] {
                            let request = Request {
                                k,
                                options: SearchOptions {
                                    floor,
                                    ..SearchOptions::default()
                                },
                                exact: true,
                                among,
                            };
                            let found = searcher.answer(query, 16, &request);
                            let best = &every[..k.min(every.len())];
                            assert_eq!(bits(&found.hits), bits(best), "{compute}, k = {k}");
                            let tied =
                                k > 0 && k < every.len() && every[k - 1].score == every[k].score;
                            assert_eq!(found.tied_with_left_out, tied, "{compute}, k = {k}");
                            assert_eq!(found.candidates, pids.len());
                            if k == 3 && query != &queries[queries.len() - 1] {
                                (asked, scored) = (asked + pids.len(), scored + found.scored);
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{scored} of {asked} passages were scored for k = 3");
    assert!(
        scored < asked / 2,
        "{scored} of {asked} passages were scored"
    );
}

#[test]
fn stages_over_a_set_find_what_they_find_of_it() {
    let index = Arc::new(Index::open(&VERSIONS[0].path("index")).unwrap());
    let searcher = Searcher::new(Arc::clone(&index), &Compute::fastest());
    let query = searcher.embeddings(7);
    let set = PassageSet::of([7, 20, 21, 90], index.passages()).unwrap();
    let everything = SearchOptions {
        ncells: Some(10_000),
        ndocs: Some(10_000),
        ..SearchOptions::default()
    };
    let request = Request {
        among: Some(&set),
        ..Request::new(10, &everything)
    };
    let found = searcher.answer(&query, 64, &request);
    let expected = searcher.score(&query, &[7, 20, 21, 90], Floor::None);
    assert_eq!(bits(&found.hits), bits(&expected));
}
