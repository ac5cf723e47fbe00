//! Random operations, and a plain list of passages beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use concord_corpus::Collection;
use concord_engine::change::{compact, delete, merge, retrain};
use concord_engine::settings::IndexSettings;
use concord_index::verify::verify;
use concord_pipeline::NoProgress;

use crate::bytes;
use crate::killing::{Change, Kills, Moment};
use crate::random::Random;
use crate::readers::{Reader, Truth, ids, ids_of};
use crate::world::{Passage, World, adding_of, make, passages, texts};

/// An index, and what should be in it.
struct Beside<'a> {
    folder: &'a Path,
    index: PathBuf,
    random: Random,
    texts: Vec<String>,
    model: Vec<Passage>,
    world: World,
    truth: Arc<Truth>,
    /// The last number that became an id.
    next: usize,
    kills: Kills,
}

/// Changes an index and a list in the same way, `operations` times, and compares. Returns how often each was done, and
/// how the kills fell.
pub fn random_operations(seed: u64, operations: usize) -> (BTreeMap<&'static str, usize>, Kills) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = passages(0..40, "p");
    let world = World::new(&at("base"), model.clone());
    world.copy(&at("index"));
    let mut beside = Beside {
        folder: folder.path(),
        index: at("index"),
        random: Random(seed),
        texts: texts(),
        truth: Arc::new(Truth::of(&world, &at("all"))),
        model,
        world,
        next: 0,
        kills: Kills::default(),
    };
    let mut counts = BTreeMap::new();
    let mut old = beside.reader();
    for _ in 0..operations {
        let word = match beside.random.below(100) {
            73..78 => {
                old.check(&mut beside.random, 5);
                old = beside.reader();
                "reopen"
            }
            any => beside.operation(any),
        };
        *counts.entry(word).or_insert(0) += 1;
        assert_eq!(ids_of(&beside.index), ids(&beside.model), "after {word}");
    }
    assert_eq!(verify(&beside.index).unwrap(), []);
    beside.reader().check_all(1000);
    (counts, beside.kills)
}

impl Beside<'_> {
    fn reader(&self) -> Reader {
        Reader::open(&self.index, &self.model, &self.truth)
    }

    /// A few new passages.
    fn new_ones(&mut self) -> Vec<Passage> {
        let count = 1 + self.random.below(4);
        (0..count).map(|_| self.new_one(None)).collect()
    }

    fn new_one(&mut self, id: Option<String>) -> Passage {
        let id = id.unwrap_or_else(|| {
            self.next += 1;
            format!("n{}", self.next)
        });
        (id, self.texts[self.random.below(self.texts.len())].clone())
    }

    /// The id of one that is there.
    fn known(&mut self) -> String {
        self.model[self.random.below(self.model.len())].0.clone()
    }

    /// A few new passages and one of an id that is there.
    fn replacing(&mut self) -> (String, Vec<Passage>) {
        let mut more = self.new_ones();
        let id = self.known();
        more.push(self.new_one(Some(id.clone())));
        (id, more)
    }

    fn operation(&mut self, which: usize) -> &'static str {
        // Many passages are deleted where there are many.
        match (which, self.model.len()) {
            (0..15, _) => {
                let more = self.new_ones();
                self.world.add(&self.index, more.clone(), false).unwrap();
                self.model.extend(more);
                "add"
            }
            (15..20, _) => {
                let (id, more) = self.replacing();
                let refused = self.world.add(&self.index, more, false).unwrap_err();
                assert!(
                    refused.to_string().contains(&format!("`{id}` already")),
                    "{refused}"
                );
                "add refused"
            }
            (20..30, _) => {
                let (id, more) = self.replacing();
                self.world.add(&self.index, more.clone(), true).unwrap();
                self.model.retain(|(own, _)| *own != id);
                self.model.extend(more);
                "replace"
            }
            (30..45, n) if n > 20 => {
                let gone = (0..=self.random.below(n / 8)).map(|_| self.known());
                let gone: Vec<String> = gone.collect();
                delete(&self.index, gone.iter().map(String::as_str), &NoProgress).unwrap();
                self.model.retain(|(id, _)| !gone.contains(id));
                "delete"
            }
            (45..48, _) => {
                let unknown = format!("n{}", self.next + 1);
                assert!(delete(&self.index, [unknown.as_str()], &NoProgress).is_err());
                "delete refused"
            }
            (48..55, _) => {
                compact(&self.index, &NoProgress).unwrap();
                "compact"
            }
            (55..60, _) => {
                let (more, [shard, out]) = self.shard();
                merge(&[self.index.clone(), shard], &out, &NoProgress).unwrap();
                self.moved(&out);
                self.model.extend(more);
                "merge"
            }
            (60..61, _) => {
                self.retrain();
                "retrain"
            }
            (61..73, _) => {
                self.kill();
                "kill"
            }
            _ => {
                let k = [1, 10, 1000][self.random.below(3)];
                self.reader().check(&mut self.random, k);
                "search"
            }
        }
    }

    /// New passages in an index of their own, and where it lies, and where a merged one may lie.
    fn shard(&mut self) -> (Vec<Passage>, [PathBuf; 2]) {
        let more = self.new_ones();
        let places = ["shard", "merged"].map(|name| self.folder.join(name));
        let _ = fs::remove_dir_all(&places[0]);
        self.world.shard(&places[0], more.clone());
        (more, places)
    }

    /// Puts a merged index in the place of the index.
    fn moved(&self, out: &Path) {
        fs::remove_dir_all(&self.index).unwrap();
        fs::rename(out, &self.index).unwrap();
    }

    /// Trains the codec anew, under which everything is scored from now on.
    fn retrain(&mut self) {
        let texts = adding_of(Collection::from_passages(&self.texts));
        retrain(&self.index, &texts, &NoProgress).unwrap();
        let [built, base, all] = ["built", "base", "all"].map(|name| self.folder.join(name));
        make(&built, &self.model, IndexSettings::default());
        assert_eq!(bytes(&self.index), bytes(&built));
        for folder in [&base, &all] {
            fs::remove_dir_all(folder).unwrap();
        }
        fs::rename(&built, &base).unwrap();
        self.world = World::at(&base);
        self.truth = Arc::new(Truth::of(&self.world, &all));
    }

    fn kill(&mut self) {
        let before = ids(&self.model);
        let (change, after) = match self.random.below(5) {
            0 => {
                let more = self.new_ones();
                let after = [&self.model[..], &more[..]].concat();
                let (passages, replace) = (more, false);
                (Change::Add { passages, replace }, after)
            }
            1 => {
                let (id, more) = self.replacing();
                let left = self.model.iter().filter(|(own, _)| *own != id);
                let after = left.chain(&more).cloned().collect();
                let (passages, replace) = (more, true);
                (Change::Add { passages, replace }, after)
            }
            2 if before.len() > 1 => {
                let id = self.known();
                let left = self.model.iter().filter(|(own, _)| *own != id);
                let after = left.cloned().collect();
                (Change::Delete(vec![id]), after)
            }
            3 => {
                let (more, places) = self.shard();
                let after = [&self.model[..], &more[..]].concat();
                let [shard, out] = places.map(|path| path.to_str().unwrap().to_owned());
                (Change::Merge(shard, out), after)
            }
            _ => (Change::Compact, self.model.clone()),
        };
        let states = [&before[..], &ids(&after)[..]];
        let made = self
            .kills
            .kill(&mut self.random, &self.index, &change, states);
        if let (true, Change::Merge(_, out)) = (made, &change) {
            self.moved(Path::new(out));
        }
        if made {
            self.model = after;
        }
    }
}

/// That as many kills fell inside of a change as are needed to say anything.
pub fn check_moments(kills: &Kills) {
    let all: usize = kills.counts.values().sum();
    let inside = kills.of(Moment::Inside);
    assert!(2 * inside >= all, "{inside} of {all}: {:?}", kills.counts);
}
