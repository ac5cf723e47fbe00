//! The seeded draws against those that Python and PyTorch made.

#![allow(clippy::unwrap_used)]

mod golden;

use concord_index::random::{permutation, python_sample};
use concord_index::stages::SamplePids;
use concord_pipeline::artifact::{NUM_PASSAGES, SAMPLED_PIDS};
use concord_pipeline::{Evaluator, Graph, Grid, MemoryStore, Source, StageError, Value};
use concord_tensor::Tensor;
use serde::Deserialize;

use golden::{VERSIONS, sha256};

/// The seed of the reference.
const SEED: u32 = 12345;

#[derive(Deserialize)]
struct Draws {
    sampled_pids: Vec<Draw>,
    randperm: Vec<Draw>,
}

#[derive(Deserialize)]
struct Draw {
    /// How many there are to draw from: passages, or rows of the sample.
    #[serde(alias = "passages", alias = "rows")]
    population: u32,
    count: usize,
    first: Vec<u32>,
    sha256: String,
}

impl Draw {
    fn check(&self, drawn: &[u32]) {
        let population = self.population;
        assert_eq!(drawn.len(), self.count, "drawn from {population}");
        assert_eq!(
            drawn[..self.first.len()],
            self.first,
            "drawn from {population}"
        );
        let bytes: Vec<u8> = drawn
            .iter()
            .flat_map(|&number| i64::from(number).to_le_bytes())
            .collect();
        assert_eq!(sha256(&bytes), self.sha256, "drawn from {population}");
    }
}

/// The number of passages of a collection that does not exist.
struct NumPassages(u32);

impl Source for NumPassages {
    fn name(&self) -> &'static str {
        NUM_PASSAGES
    }

    fn chunks(&self) -> usize {
        1
    }

    fn value(&self, _: usize) -> Result<Value, StageError> {
        Ok(Tensor::scalar(i64::from(self.0)).into())
    }
}

/// The artifact `sampled_pids` of a collection of that many passages.
fn sampled_pids(passages: u32) -> Vec<i64> {
    let graph = Graph::new().with(SamplePids { seed: SEED });
    let count = NumPassages(passages);
    let (sources, store) = ([&count as &dyn Source], MemoryStore::new());
    let evaluator = Evaluator::new(&graph, &sources, Grid::new(passages as usize), &store);
    let pids = evaluator.load(SAMPLED_PIDS, 0).unwrap();
    pids.field("").unwrap().as_slice::<i64>().unwrap().to_vec()
}

#[test]
fn passages_are_drawn_as_python_draws_them() {
    for golden in VERSIONS {
        let draws: Draws = golden.json("draws.json");
        assert!(
            draws
                .sampled_pids
                .iter()
                .any(|draw| draw.population == 1_000_000)
        );
        for draw in draws.sampled_pids {
            draw.check(&python_sample(SEED, draw.population, draw.count as u32));
        }
    }
}

#[test]
fn the_sample_has_the_size_and_the_passages_of_the_reference_in_ascending_order() {
    for draw in VERSIONS[0].json::<Draws>("draws.json").sampled_pids {
        let mut expected: Vec<i64> = python_sample(SEED, draw.population, draw.count as u32)
            .into_iter()
            .map(i64::from)
            .collect();
        expected.sort_unstable();
        assert_eq!(
            sampled_pids(draw.population),
            expected,
            "of {}",
            draw.population
        );
    }
}

#[test]
fn the_sample_is_shuffled_as_torch_shuffles_it() {
    for golden in VERSIONS {
        for draw in golden.json::<Draws>("draws.json").randperm {
            draw.check(&permutation(SEED, draw.population as usize));
        }
    }
}
