//! Who has opened an index, and what is to be found in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use concord_corpus::DocumentIds;
use concord_index::filter::{parse, select};
use concord_index::format::{Index, PASSAGES_FILE};
use concord_index::passages::PassageDb;
use concord_index::search::{Hit, PassageSet, Request, SearchOptions, Searcher};
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;

use crate::golden::NEW;
use crate::random::Random;
use crate::world::{Passage, World, number, passages, texts};

/// The scores of each query with each text under one codec, computed of an index of all texts.
pub struct Truth {
    queries: Vec<Vec<f32>>,
    scores: Vec<BTreeMap<String, f32>>,
}

impl Truth {
    /// Under the codec of the world, by an index that is built at `all`.
    pub fn of(world: &World, all: &Path) -> Truth {
        let texts = texts();
        world.shard(all, passages(0..texts.len(), "t"));
        let searcher = searcher(all);
        let embeddings = NEW.array("query_embs.npy");
        let of_query = embeddings.shape()[1] * embeddings.shape()[2];
        let queries = embeddings.as_slice::<f32>().unwrap().chunks(of_query);
        let queries: Vec<Vec<f32>> = queries.map(<[f32]>::to_vec).collect();
        let pids: Vec<u32> = (0..texts.len() as u32).collect();
        let scores = queries.iter().map(|query| {
            let hits = searcher.score(query, &pids, Floor::None);
            let by_text = hits
                .iter()
                .map(|hit| (texts[hit.pid as usize].clone(), hit.score));
            by_text.collect()
        });
        Truth {
            scores: scores.collect(),
            queries,
        }
    }
}

fn searcher(index: &Path) -> Searcher {
    Searcher::new(Arc::new(Index::open(index).unwrap()), &Compute::fastest())
}

/// An index that somebody has opened.
pub struct Reader {
    searcher: Searcher,
    ids: PassageDb,
    /// What was there, in order.
    model: Vec<Passage>,
    truth: Arc<Truth>,
}

impl Reader {
    pub fn open(index: &Path, model: &[Passage], truth: &Arc<Truth>) -> Reader {
        Reader {
            searcher: searcher(index),
            ids: PassageDb::open(&index.join(PASSAGES_FILE)).unwrap(),
            model: model.to_vec(),
            truth: Arc::clone(truth),
        }
    }

    /// A query of all passages and two of some: the exact results are those of the model, and those of the reference's
    /// stages are among them with the same scores.
    pub fn check(&self, random: &mut Random, k: usize) {
        let query = random.below(self.truth.queries.len());
        self.check_among(query, k, None);
        let kept = 1 + random.below(3);
        let mut some: Vec<&Passage> = self.model.iter().collect();
        some.retain(|_| random.below(3) < kept);
        if !some.is_empty() {
            self.check_among(query, k, Some(&some));
        }
        self.check_where(query, k);
    }

    /// A query of the passages that conditions choose, which are those of the model that have such a number.
    fn check_where(&self, query: usize, k: usize) {
        let conditions = parse("NOT n > 3 OR n IS NULL").unwrap();
        let chosen = select(&self.ids, &conditions).unwrap();
        let fits = |passage: &&Passage| number(passage).is_none_or(|n| n <= 3);
        let those: Vec<&Passage> = self.model.iter().filter(fits).collect();
        assert_eq!(chosen.len(), those.len());
        let pid = |(id, _): &&Passage| self.ids.pid_of(id).unwrap();
        assert!(those.iter().map(pid).all(|pid| chosen.contains(pid)));
        self.check_among(query, k, Some(&those));
    }

    pub fn check_all(&self, k: usize) {
        (0..self.truth.queries.len()).for_each(|query| self.check_among(query, k, None));
    }

    fn check_among(&self, query: usize, k: usize, among: Option<&[&Passage]>) {
        let (scores, query) = (&self.truth.scores[query], &self.truth.queries[query]);
        let options = SearchOptions::default();
        let set = among.map(|some| {
            let pids = some.iter().map(|(id, _)| self.ids.pid_of(id).unwrap());
            PassageSet::of(pids, self.ids.passages()).unwrap()
        });
        let stages = Request {
            among: set.as_ref(),
            ..Request::new(k, &options)
        };
        let exact = Request {
            exact: true,
            ..stages
        };
        let all: Vec<&Passage> = self.model.iter().collect();
        let mut expected: Vec<(String, f32)> = among
            .unwrap_or(&all)
            .iter()
            .map(|(id, text)| (id.clone(), scores[text]))
            .collect();
        // Stable, as ties go to the lower number.
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        let named = |hits: Vec<Hit>| -> Vec<(String, u32)> {
            let named = hits.iter().map(|hit| {
                let id = self.ids.external_id(hit.pid).into_owned();
                (id, hit.score.to_bits())
            });
            named.collect()
        };
        let expected: Vec<(String, u32)> = expected
            .into_iter()
            .map(|(id, score)| (id, score.to_bits()))
            .collect();
        let found = named(self.searcher.answer(query, usize::MAX, &exact).hits);
        assert_eq!(found, expected[..k.min(expected.len())]);
        let found = named(self.searcher.answer(query, usize::MAX, &stages).hits);
        let places = found
            .iter()
            .map(|hit| expected.iter().position(|other| other == hit).unwrap());
        assert!(places.is_sorted(), "{found:?}");
    }
}

/// The passages that an index has by its own account, in order.
pub fn ids_of(index: &Path) -> Vec<String> {
    let table = PassageDb::open(&index.join(PASSAGES_FILE))
        .unwrap()
        .table()
        .unwrap();
    let there = table.passages().iter().filter(|passage| !passage.deleted);
    there.map(|passage| passage.id.clone()).collect()
}

pub fn ids(model: &[Passage]) -> Vec<String> {
    model.iter().map(|(id, _)| id.clone()).collect()
}
