//! An index that is changed, and a plain list of passages beside it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use concord_corpus::{Collection, DocumentIds};
use concord_engine::build::{Layout, build};
use concord_engine::change::{Adding, ChangeError, ChangeReport, add, compact, delete, merge};
use concord_engine::origin::Origin;
use concord_engine::settings::IndexSettings;
use concord_index::format::{Index, PASSAGES_FILE};
use concord_index::passages::PassageDb;
use concord_index::search::{Request, SearchOptions, Searcher};
use concord_index::verify::verify;
use concord_kernels::compute::Compute;
use concord_kernels::maxsim::Floor;
use concord_model::hub::HubOptions;
use concord_pipeline::NoProgress;
use concord_pipeline::artifact::{AVG_RESIDUAL, BUCKET_CUTOFFS, BUCKET_WEIGHTS, CENTROIDS};

use crate::engine::{engine_over, options, swap};
use crate::golden::{NEW, input};

/// An id and a text.
pub type Passage = (String, String);

/// The texts of the golden collection.
pub fn texts() -> Vec<String> {
    let all = Collection::open(input("collection.tsv")).unwrap();
    all.iter().map(str::to_owned).collect()
}

/// These texts under ids that are `prefix` and the number.
pub fn passages(range: Range<usize>, prefix: &str) -> Vec<Passage> {
    let texts = texts();
    let passage = |at: usize| (format!("{prefix}{at}"), texts[at].clone());
    range.map(passage).collect()
}

/// A collection that brings its ids.
pub fn collection(passages: &[Passage]) -> Collection {
    let line = |(id, text): &Passage| serde_json::json!({ "_id": id, "text": text }).to_string();
    let lines: Vec<String> = passages.iter().map(line).collect();
    Collection::parse_beir("passages", lines.join("\n").as_bytes()).unwrap()
}

fn adding(passages: &[Passage]) -> Adding {
    Adding {
        collection: Arc::new(collection(passages)),
        checkpoint: Some(input("checkpoint").to_str().unwrap().to_owned()),
        hub: HubOptions::new(""),
        compute: options("native"),
    }
}

/// A first index, whose codec all others have.
pub struct World {
    base: PathBuf,
}

impl World {
    pub fn new(base: &Path, passages: Vec<Passage>) -> World {
        make(base, &passages, IndexSettings::default());
        World {
            base: base.to_owned(),
        }
    }

    /// An index that is built apart with the codec.
    pub fn shard(&self, out: &Path, passages: Vec<Passage>) {
        let codec = [CENTROIDS, BUCKET_CUTOFFS, BUCKET_WEIGHTS, AVG_RESIDUAL];
        let swaps = codec.map(|name| swap(name, &self.base)).into();
        let settings = IndexSettings {
            swaps,
            ..IndexSettings::default()
        };
        make(out, &passages, settings);
    }

    /// A copy of the first index as it is now.
    pub fn copy(&self, to: &Path) {
        fs::create_dir(to).unwrap();
        for file in fs::read_dir(&self.base).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    pub fn add(
        &self,
        index: &Path,
        passages: Vec<Passage>,
        replace: bool,
    ) -> Result<ChangeReport, ChangeError> {
        add(index, &adding(&passages), replace, &NoProgress)
    }
}

fn make(out: &Path, passages: &[Passage], settings: IndexSettings) {
    let native = engine_over(collection(passages), "native", settings).unwrap();
    build(
        &native,
        Layout::default(),
        &Origin::default(),
        out,
        &NoProgress,
    )
    .unwrap();
}

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The scores of each query with each text, computed of an index of all texts.
struct Truth {
    queries: Vec<Vec<f32>>,
    scores: Vec<BTreeMap<String, f32>>,
}

impl Truth {
    fn of(world: &World, folder: &Path) -> Truth {
        let (all, texts) = (folder.join("all"), texts());
        world.shard(&all, passages(0..texts.len(), "t"));
        let searcher = searcher(&all);
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
struct Reader {
    searcher: Searcher,
    ids: PassageDb,
    /// What was there, in order.
    model: Vec<Passage>,
}

impl Reader {
    fn open(index: &Path, model: &[Passage]) -> Reader {
        let ids = PassageDb::open(&index.join(PASSAGES_FILE)).unwrap();
        Reader {
            searcher: searcher(index),
            ids,
            model: model.to_vec(),
        }
    }

    /// The exact results are those of the model, and those of the reference's stages are among them.
    fn check(&self, truth: &Truth, query: usize, k: usize) {
        let scores = &truth.scores[query];
        let options = SearchOptions::default();
        let request = Request {
            exact: true,
            ..Request::new(k, &options)
        };
        let query = &truth.queries[query];
        let found = self.searcher.answer(query, usize::MAX, &request).hits;
        let named = found.iter().map(|hit| {
            (
                self.ids.external_id(hit.pid).into_owned(),
                hit.score.to_bits(),
            )
        });
        let mut expected: Vec<(&str, f32)> = self
            .model
            .iter()
            .map(|(id, text)| (id.as_str(), scores[text]))
            .collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        expected.truncate(k);
        let expected = expected
            .iter()
            .map(|(id, score)| ((*id).to_owned(), score.to_bits()));
        assert_eq!(named.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        for hit in self.searcher.find(query, usize::MAX, k, &options).hits {
            let id = self.ids.external_id(hit.pid).into_owned();
            let (_, text) = self.model.iter().find(|(own, _)| *own == id).unwrap();
            assert_eq!(scores[text].to_bits(), hit.score.to_bits());
        }
    }
}

/// The passages that an index has by its own account, in order.
fn ids_of(index: &Path) -> Vec<String> {
    let table = PassageDb::open(&index.join(PASSAGES_FILE))
        .unwrap()
        .table()
        .unwrap();
    let there = table.passages().iter().filter(|passage| !passage.deleted);
    there.map(|passage| passage.id.clone()).collect()
}

fn ids(model: &[Passage]) -> Vec<String> {
    model.iter().map(|(id, _)| id.clone()).collect()
}

/// Changes an index and a list in the same way, `operations` times, and compares. Returns how often each was done.
pub fn random_operations(seed: u64, operations: usize) -> BTreeMap<&'static str, usize> {
    let folder = tempfile::tempdir().unwrap();
    let (index, out) = (folder.path().join("index"), folder.path().join("merged"));
    let base = folder.path().join("base");
    let mut model = passages(0..40, "p");
    let world = World::new(&base, model.clone());
    world.copy(&index);
    let truth = Truth::of(&world, folder.path());
    let texts = texts();
    let mut random = Random(seed);
    let mut counts = BTreeMap::new();
    let mut old = Reader::open(&index, &model);
    let mut next = 0;
    let new = |random: &mut Random, next: &mut usize| -> Vec<Passage> {
        let count = 1 + random.below(4);
        let passage = |_| {
            *next += 1;
            (format!("n{next}"), texts[random.below(texts.len())].clone())
        };
        (0..count).map(passage).collect::<Vec<_>>()
    };
    for _ in 0..operations {
        // Many passages are deleted where there are many.
        let word = match (random.below(100), model.len()) {
            (0..15, _) => {
                let more = new(&mut random, &mut next);
                world.add(&index, more.clone(), false).unwrap();
                model.extend(more);
                "add"
            }
            (15..20, n) => {
                let (id, _) = model[random.below(n)].clone();
                let mut more = new(&mut random, &mut next);
                more.push((id.clone(), texts[random.below(texts.len())].clone()));
                let refused = world.add(&index, more, false).unwrap_err();
                assert!(
                    refused.to_string().contains(&format!("`{id}` already")),
                    "{refused}"
                );
                "add refused"
            }
            (20..30, n) => {
                let mut more = new(&mut random, &mut next);
                let (id, _) = model[random.below(n)].clone();
                more.push((id.clone(), texts[random.below(texts.len())].clone()));
                world.add(&index, more.clone(), true).unwrap();
                model.retain(|(own, _)| *own != id);
                model.extend(more);
                "replace"
            }
            (30..45, n) if n > 20 => {
                let gone = (0..1 + random.below(n / 8)).map(|_| model[random.below(n)].0.clone());
                let gone: Vec<String> = gone.collect();
                delete(&index, gone.iter().map(String::as_str), &NoProgress).unwrap();
                model.retain(|(id, _)| !gone.contains(id));
                "delete"
            }
            (45..48, _) => {
                let unknown = format!("n{}", next + 1);
                assert!(delete(&index, [unknown.as_str()], &NoProgress).is_err());
                "delete refused"
            }
            (48..55, _) => {
                compact(&index, &NoProgress).unwrap();
                "compact"
            }
            (55..60, _) => {
                let (more, shard) = (new(&mut random, &mut next), folder.path().join("shard"));
                world.shard(&shard, more.clone());
                merge(&[index.clone(), shard.clone()], &out, &NoProgress).unwrap();
                [&index, &shard]
                    .iter()
                    .for_each(|path| fs::remove_dir_all(path).unwrap());
                fs::rename(&out, &index).unwrap();
                model.extend(more);
                "merge"
            }
            (60..70, n) => {
                let after = match random.below(3) {
                    0 => {
                        let more = new(&mut random, &mut next);
                        let after = [&model[..], &more[..]].concat();
                        killed(&mut random, &index, "add", serde_json::json!(more));
                        after
                    }
                    1 => {
                        let id = model[random.below(n)].0.clone();
                        killed(&mut random, &index, "delete", serde_json::json!([id]));
                        model
                            .iter()
                            .filter(|(own, _)| *own != id)
                            .cloned()
                            .collect()
                    }
                    _ => {
                        killed(&mut random, &index, "compact", serde_json::json!([]));
                        model.clone()
                    }
                };
                let there = ids_of(&index);
                if there == ids(&after) {
                    model = after;
                }
                assert_eq!(there, ids(&model), "something else than before or after");
                "kill"
            }
            (70..75, _) => {
                old.check(&truth, random.below(truth.queries.len()), 5);
                old = Reader::open(&index, &model);
                "reopen"
            }
            _ => {
                let k = [1, 10, 1000][random.below(3)];
                let reader = Reader::open(&index, &model);
                reader.check(&truth, random.below(truth.queries.len()), k);
                "search"
            }
        };
        *counts.entry(word).or_insert(0) += 1;
        assert_eq!(ids_of(&index), ids(&model), "after {word}");
    }
    assert_eq!(verify(&index).unwrap(), []);
    let reader = Reader::open(&index, &model);
    (0..truth.queries.len()).for_each(|query| reader.check(&truth, query, 1000));
    counts
}

/// What a child is told to do: in which folder, and with what.
const TOLD: [&str; 3] = [
    "CONCORD_TEST_INDEX",
    "CONCORD_TEST_CHANGE",
    "CONCORD_TEST_WITH",
];

/// Has another process change the index and kills it after a while.
fn killed(random: &mut Random, index: &Path, change: &str, with: serde_json::Value) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "process_that_is_killed"]);
    command
        .env(TOLD[0], index)
        .env(TOLD[1], change)
        .env(TOLD[2], with.to_string());
    let (out, errors) = (Stdio::null(), Stdio::null());
    let mut child = command.stdout(out).stderr(errors).spawn().unwrap();
    thread::sleep(Duration::from_micros(random.below(60_000) as u64));
    // On Unix it is a SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Does what it is told, if it is.
pub fn child() {
    let Ok([index, change, with]) = TOLD
        .map(env::var)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map(|told| <[String; 3]>::try_from(told).unwrap())
    else {
        return;
    };
    let index = Path::new(&index);
    match change.as_str() {
        "add" => {
            let passages: Vec<Passage> = serde_json::from_str(&with).unwrap();
            add(index, &adding(&passages), false, &NoProgress).unwrap();
        }
        "delete" => {
            let ids: Vec<String> = serde_json::from_str(&with).unwrap();
            delete(index, ids.iter().map(String::as_str), &NoProgress).unwrap();
        }
        _ => drop(compact(index, &NoProgress).unwrap()),
    }
}
